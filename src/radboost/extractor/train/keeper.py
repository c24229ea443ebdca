"""What is kept of a stage: the last checkpoint to go on from, and its best epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from radboost.data.progress import Progress
from radboost.errors import RadboostError, UserError
from radboost.extractor.train.checkpoint import read_checkpoint_file, write_checkpoint_file
from radboost.extractor.train.config import LearnConfig
from radboost.extractor.train.stages import Stage

__all__ = ["Best", "Keeper", "Spot"]

Better = Callable[[dict[str, float], dict[str, float]], bool]


@dataclass(frozen=True)
class Best:
    """The epoch of a stage that was kept.

    Attributes
    ----------
    stage
        Name of the stage.
    epoch
        Counted from 0; -1 where no epoch was better than what the stage began with.
    epochs
        How many were run.
    scores
        Of the inner units then.
    history
        One a run epoch: its number, what was minimised, scores of training and inner units, the head's learning rate.
    averaged
        Epochs whose mean was kept, the best first; empty where the best alone was.
    """

    stage: str
    epoch: int
    epochs: int
    scores: dict[str, float]
    history: list[dict[str, float]]
    averaged: list[int]


@dataclass(frozen=True)
class Spot:
    """A stage, its folder, and the inner scores of the weights that it begins with; none for untrained heads."""

    stage: Stage
    folder: Path
    before: dict[str, float]

    @property
    def best(self) -> Path:
        """Weights of the best epoch."""
        return self.folder / "best.safetensors"

    @property
    def last(self) -> Path:
        """Checkpoint to go on from."""
        return self.folder / "last.safetensors"

    def epoch(self, number: int) -> Path:
        """Weights of one of the best epochs, where several are kept."""
        return self.folder / f"epoch-{number}.safetensors"


class Keeper(Checkpoint):
    """Writes a checkpoint after every epoch, keeps the best weights, and ends a stage that no longer gains.

    Parameters
    ----------
    spot
        Its folder takes the checkpoints.
    learn
        How many epochs are kept, how long a gain is waited for, and the decay of the running mean.
    better
        Whether scores are better than others.
    progress
        Told of every epoch.
    """

    def __init__(self, spot: Spot, learn: LearnConfig, better: Better, progress: Progress) -> None:
        self._spot, self._learn, self._better, self._progress = spot, learn, better, progress
        self._state: dict[str, Any] = {
            **{"epoch": -1, "epochs": 0, "scores": spot.before, "waited": 0, "history": []},
            "kept": [],
        }
        self._mean: dict[str, Tensor] = {}
        self._followed = 0

    def resumes(self) -> Path | None:
        """Give the checkpoint to go on from; None where there is none.

        Raises
        ------
        FormatError
            It is not the one that was written: checkpoints appear whole or not at all, so that no kill explains it.
        """
        if not self._spot.last.is_file():
            return None
        self._state = dict(read_checkpoint_file(self._spot.last)["keeper"])
        self._progress.advance(int(self._state["epochs"]))
        return self._spot.last

    @property
    def over(self) -> bool:
        """Whether the stage has run its epochs, or waited long enough for a gain."""
        patience = self._learn.patience
        return self._state["epochs"] >= self._spot.stage.epochs or bool(patience and self._state["waited"] >= patience)

    def best(self) -> tuple[Best, list[int]]:
        """Say which epoch was kept, and which are to be averaged: none where no epoch was a gain."""
        state = dict(read_checkpoint_file(self._spot.last)["keeper"])
        scores, history = dict(state["scores"]), list(state["history"])
        kept = [int(epoch) for epoch, _ in state["kept"]] if state["epoch"] >= 0 else []
        return Best(self._spot.stage.name, int(state["epoch"]), int(state["epochs"]), scores, history, []), kept

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Follow the weights with their running mean."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None and not torch.isfinite(loss).all():
            do = "Give a lower rate, or --precision fp32"
            raise RadboostError("the loss is not finite", where=f"stage {self._spot.stage.name}", do=do)
        decay, steps = self._learn.ema, trainer.global_step
        # Where gradients are added over batches, most batches leave the weights where they are.
        if decay and steps > self._followed:
            self._followed = steps
            for name, value in module.network.state_dict().items():
                mean = self._mean.get(name)
                if mean is None or not value.is_floating_point():
                    self._mean[name] = value.detach().clone()
                else:
                    mean.lerp_(value.detach(), 1 - decay)

    def on_validation_start(self, trainer: pl.Trainer, module: Any) -> None:
        """Judge the running mean, where there is one."""
        self._swap(module)

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Go on with the weights themselves."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            self._judge(trainer, module)
        self._swap(module)

    def _swap(self, module: Any) -> None:
        if self._mean:
            own = {name: value.detach().clone() for name, value in module.network.state_dict().items()}
            module.network.load_state_dict(self._mean)
            self._mean = own

    def _judge(self, trainer: pl.Trainer, module: Any) -> None:
        """Keep the weights if they are among the best so far."""
        scores, epoch = dict(module.inner.scores), trainer.current_epoch
        undefined = [name for name in ("loss", self._learn.monitor) if name not in scores]
        if undefined:
            what = "the inner units do not define what epochs are chosen by"
            do = "Choose by loss, or give more patients"
            raise UserError(what, where="[learn] monitor", got=undefined[0], do=do)
        content = {"network": module.network.state_dict()}
        self._state["epochs"] = epoch + 1
        self._state["waited"] += 1
        if self._better(scores, self._state["scores"]):
            self._state |= {"epoch": epoch, "scores": scores, "waited": 0}
            write_checkpoint_file(content, self._spot.best)
        if self._learn.keep > 1:
            self._rank(epoch, scores, content)

    def _rank(self, epoch: int, scores: dict[str, float], content: dict[str, Any]) -> None:
        kept = [(int(number), dict(told)) for number, told in self._state["kept"]]
        place = next((k for k, (_, told) in enumerate(kept) if self._better(scores, told)), len(kept))
        kept.insert(place, (epoch, scores))
        if place < self._learn.keep:
            write_checkpoint_file(content, self._spot.epoch(epoch))
        for number, _ in kept[self._learn.keep :]:
            self._spot.epoch(number).unlink(missing_ok=True)
        self._state["kept"] = [[number, told] for number, told in kept[: self._learn.keep]]

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Write the checkpoint, and end the stage when it is over."""
        row = {"epoch": float(trainer.current_epoch), "objective": float(trainer.callback_metrics["train/objective"])}
        row |= {f"train_{name}": value for name, value in module.learnt.items()}
        row |= {f"inner_{name}": value for name, value in module.inner.scores.items()}
        row["rate"] = float(trainer.optimizers[0].param_groups[-1]["lr"])
        self._state["history"] = [*self._state["history"], row]
        self._state = trainer.strategy.broadcast(self._state)
        trainer.save_checkpoint(self._spot.last)
        trainer.should_stop = self.over
        if trainer.is_global_zero:
            loss = module.inner.scores["loss"]
            self._progress.advance()
            self._progress.say(f"{self._spot.stage.name} {self._state['epochs']}: inner loss {loss:.4f}")

    def on_save_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        """Add what this keeper knows."""
        checkpoint["keeper"], checkpoint["mean"] = self._state, self._mean

    def on_load_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        """Bring it back."""
        self._state, self._mean = dict(checkpoint["keeper"]), dict(checkpoint["mean"])
        self._followed = int(checkpoint["global_step"])
