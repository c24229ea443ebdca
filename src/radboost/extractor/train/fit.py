"""Training of one network, stage after stage, each from the best epoch of the one before."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from radboost.data.folder import read_json, write_json
from radboost.data.progress import Progress
from radboost.errors import FormatError, RadboostError
from radboost.extractor.train.checkpoint import SafeCheckpoint, read_checkpoint_file, write_checkpoint_file
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.learning import Learning, Material
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.stages import Stage
from radboost.nets.device import resolve_device, resolve_precision

__all__ = ["Best", "fit_network"]

_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


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
        Of the inner examples then.
    history
        One a run epoch: its number, the loss of training, the inner scores and the head's learning rate.
    """

    stage: str
    epoch: int
    epochs: int
    scores: dict[str, float]
    history: list[dict[str, float]]


def fit_network(
    network: Classifier, material: Material, config: TrainConfig, place: Path, progress: Progress
) -> list[Best]:
    """Train in place; the network ends with the weights of the last stage's best epoch.

    Parameters
    ----------
    network
        As it is to begin.
    material
        What it learns from.
    config
        How.
    place
        Folder of this network's checkpoints and logs, under the name of its fold; what is there is gone on with.
    progress
        Told of every epoch.

    Returns
    -------
    list
        One a stage.

    Raises
    ------
    RadboostError
        The loss is not finite, or a checkpoint cannot be written.
    """
    found: list[Best] = []
    for number, stage in enumerate(config.stages):
        folder = place / f"{number}-{stage.name}"
        done = folder / "done.json"
        if not done.is_file():
            before = found[-1].scores if found else {}
            found.append(_fit_stage(network, material, config, _Place(stage, folder, before), progress))
            write_json(done, {**found[-1].__dict__})
        else:
            found.append(Best(**read_json(done)))
            progress.advance(stage.epochs)
        network.load_state_dict(read_checkpoint_file(folder / "best.safetensors")["network"])
    return found


@dataclass(frozen=True)
class _Place:
    """A stage, its folder, and the inner scores of the weights that it begins with; none for untrained heads."""

    stage: Stage
    folder: Path
    before: dict[str, float]


def _fit_stage(network: Classifier, material: Material, config: TrainConfig, place: _Place, progress: Progress) -> Best:
    stage, folder = place.stage, place.folder
    folder.mkdir(parents=True, exist_ok=True)
    keeper = _Keeper(place, config, progress)
    if place.before and not (folder / "best.safetensors").is_file():
        # A stage that only loses ends with what it began with.
        write_checkpoint_file({"network": network.state_dict()}, folder / "best.safetensors")
    device = resolve_device(config.device)
    last = keeper.resumes()
    if last is None or not keeper.over:
        learning = Learning(network, material, config, stage, (folder.parent.name, stage.name))
        with _quiet():
            trainer = pl.Trainer(
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=config.devices,
                strategy="auto" if config.devices == 1 else "ddp_spawn",
                precision=_PRECISION[resolve_precision(config.precision, device)],  # type: ignore[arg-type]
                max_epochs=stage.epochs,
                accumulate_grad_batches=config.learn.accumulate,
                logger=TensorBoardLogger(folder, name="", version="tensorboard"),
                callbacks=[keeper],
                plugins=[SafeCheckpoint()],
                num_sanity_val_steps=0,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=folder,
                log_every_n_steps=1,
            )
            trainer.fit(learning, ckpt_path=last)
    return keeper.best()


class _Keeper(Checkpoint):
    """Writes a checkpoint after every epoch, keeps the best weights, and ends a stage that no longer gains.

    Parameters
    ----------
    place
        Its folder takes ``last.safetensors`` and ``best.safetensors``.
    config, progress
        See `fit_network`.
    """

    def __init__(self, place: _Place, config: TrainConfig, progress: Progress) -> None:
        self._folder, self._stage, self._config, self._progress = place.folder, place.stage, config, progress
        self._state: dict[str, Any] = {"epoch": -1, "epochs": 0, "scores": place.before, "waited": 0, "history": []}
        self._mean: dict[str, Tensor] = {}

    def resumes(self) -> Path | None:
        """Give the checkpoint to go on from; None where there is none that is whole."""
        last = self._folder / "last.safetensors"
        try:
            self._state = dict(read_checkpoint_file(last)["keeper"])
        except FormatError:
            return None
        self._progress.advance(int(self._state["epochs"]))
        return last

    @property
    def over(self) -> bool:
        """Whether the stage has run its epochs, or waited long enough for a gain."""
        patience = self._config.learn.patience
        return self._state["epochs"] >= self._stage.epochs or bool(patience and self._state["waited"] >= patience)

    def best(self) -> Best:
        """Say which epoch was kept."""
        state = dict(read_checkpoint_file(self._folder / "last.safetensors")["keeper"])
        scores, history = dict(state["scores"]), list(state["history"])
        return Best(self._stage.name, int(state["epoch"]), int(state["epochs"]), scores, history)

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Follow the weights with their running mean."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None and not torch.isfinite(loss).all():
            do = "Give a lower rate, or --precision fp32"
            raise RadboostError("the loss is not finite", where=f"stage {self._stage.name}", do=do)
        decay = self._config.learn.ema
        if decay and trainer.global_step:
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
        """Keep the weights if they are the best so far."""
        monitor, scores = self._config.learn.monitor, dict(module.scores)
        sign = -1.0 if monitor == "loss" else 1.0
        before = self._state["scores"].get(monitor)
        self._state["epochs"] = trainer.current_epoch + 1
        self._state["waited"] += 1
        if before is None or sign * scores[monitor] > sign * before:
            self._state |= {"epoch": trainer.current_epoch, "scores": scores, "waited": 0}
            write_checkpoint_file({"network": module.network.state_dict()}, self._folder / "best.safetensors")

    def on_train_epoch_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Write the checkpoint, and end the stage when it is over."""
        row = {"epoch": float(trainer.current_epoch), "train_loss": float(trainer.callback_metrics["train/loss"])}
        row |= {f"inner_{name}": value for name, value in module.scores.items()}
        row["rate"] = float(trainer.optimizers[0].param_groups[-1]["lr"])
        self._state["history"] = [*self._state["history"], row]
        self._state = trainer.strategy.broadcast(self._state)
        trainer.save_checkpoint(self._folder / "last.safetensors")
        trainer.should_stop = self.over
        if trainer.is_global_zero:
            loss = module.scores["loss"]
            self._progress.advance()
            self._progress.say(f"{self._stage.name} {self._state['epochs']}: inner loss {loss:.4f}")

    def on_save_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        """Add what this keeper knows."""
        checkpoint["keeper"], checkpoint["mean"] = self._state, self._mean

    def on_load_checkpoint(self, trainer: pl.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        """Bring it back."""
        self._state, self._mean = dict(checkpoint["keeper"]), dict(checkpoint["mean"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pytorch-lightning's hints to itself: it names devices that are there and loaders that could be larger."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            yield
    finally:
        logger.setLevel(before)
