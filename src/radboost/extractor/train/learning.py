"""One stage of one network, as pytorch-lightning runs it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingWarmRestarts, LambdaLR, LRScheduler, ReduceLROnPlateau

from radboost.data.task import Task
from radboost.extractor.train.batches import Batch, ExampleSet, Order, deal, loader, mix, shown, stream_seed
from radboost.extractor.train.config import LearnConfig, TrainConfig
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.objective import Goal
from radboost.extractor.train.scores import Judged, judge
from radboost.extractor.train.stages import Stage
from radboost.extractor.views import augment
from radboost.nets.device import resolve_device

__all__ = ["Learning", "Material", "falling"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """What one network learns from.

    Attributes
    ----------
    task
        Its targets.
    examples
        All of them.
    train, inner
        Numbers of the examples that are learnt from, and of those that choose the epoch.
    first
        Class of the first target of each example, -1 unlabelled: what samplers look at.
    goal
        What is minimised.
    """

    task: Task
    examples: ExampleSet
    train: IntArray
    inner: IntArray
    first: IntArray
    goal: Goal


class Learning(pl.LightningModule):
    """A network in one stage.

    Parameters
    ----------
    network
        It learns in place.
    material
        From what.
    config
        How.
    stage
        Which layers, and how fast.
    words
        What names its streams of random numbers: fold and stage.
    """

    def __init__(
        self, network: Classifier, material: Material, config: TrainConfig, stage: Stage, words: tuple[object, ...]
    ) -> None:
        super().__init__()
        self.network, self._material, self._config, self._stage = network, material, config, stage
        self._words = (config.seed, *words)
        self._learnt: list[tuple[Tensor, Tensor]] = []
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._plateau: ReduceLROnPlateau | None = None
        self._restored: dict[str, Any] | None = None
        self.inner = Judged({}, {})
        self.learnt: dict[str, float] = {}

    # What pytorch-lightning asks for.

    def train_dataloader(self) -> Any:
        """Batches of an epoch; asked again for each, in the order that the epoch's number decides."""
        learn, found = self._config.learn, self._material
        whole = learn.batch_size * self._world[1]

        def order(epoch: int) -> IntArray:
            seed = stream_seed(*self._words, "order", epoch)
            return deal(found.first[found.train], found.train, learn.sampler, whole, seed)

        return self._loader(Order(order, lambda: self.current_epoch, learn.batch_size, self._world))

    def val_dataloader(self) -> Any:
        """Batches of the inner examples."""
        order = Order(lambda _: self._material.inner, lambda: 0, 2 * self._config.learn.batch_size, self._world)
        return self._loader(order)

    def configure_optimizers(self) -> Any:
        """Adam with a rate for each block, and how the rates fall."""
        learn, stage = self._config.learn, self._stage
        rates = [rate * self._world[1] for rate in stage.rates(self.network.blocks)]
        groups = self.network.let_learn(rates, stage.window * self._world[1])
        optimiser = torch.optim.Adam(groups, weight_decay=learn.weight_decay)
        if learn.rate == "plateau":
            # Stepped by ourselves at the end of an epoch, before its checkpoint is written: pytorch-lightning does it
            # after, and a resumed run would go on with the old rate.
            self._plateau = ReduceLROnPlateau(optimiser, "min", factor=0.5, patience=3)
            return optimiser
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        scheduler = falling(optimiser, learn, steps, stage.epochs)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        """Learn: backbones come in evaluation mode, and pytorch-lightning leaves modes as they are."""
        self.network.train()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed what is random inside the network, so that a resumed epoch repeats: loaders draw numbers, too."""
        torch.manual_seed(stream_seed(*self._words, "dropout", self.current_epoch, batch_idx, self._world[0]))

    def on_train_epoch_end(self) -> None:
        """Score what was learnt from, as it was seen; and let the rate fall where the inner loss has stopped to."""
        # Mixed pictures have no label of their own to be scored by.
        self.learnt = self._judge(self._learnt).scores if self._learnt else {}
        for name, value in self.learnt.items():
            self.log(f"train/{name}", value, sync_dist=True)
        if self._plateau is not None:
            self._plateau.step(self.inner.scores["loss"])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add how long the inner loss has not fallen; what is random is seeded anew for every batch."""
        checkpoint["plateau"] = {} if self._plateau is None else dict(self._plateau.state_dict())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Bring it back, once the optimiser is there."""
        self._restored = checkpoint["plateau"]

    def on_train_start(self) -> None:
        """Bring back what a checkpoint held."""
        if self._restored is not None and self._plateau is not None:
            self._plateau.load_state_dict(self._restored)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of a batch of augmented crops."""
        views, number = self._config.augment.epoch(self.current_epoch)
        pixels = augment(shown(batch.pixels), batch.ids, number, views)
        goal, mixup = self._material.goal, self._config.learn.mixup
        if mixup:
            seed = stream_seed(*self._words, "mixup", self.current_epoch, index)
            mixed = mix(pixels, batch, mixup, seed)
            margins = self.network(mixed.pixels, mixed.metadata)
            own, other = (goal.loss(margins, label, weight) for label, weight in mixed.labels)
            loss = mixed.share * own + (1 - mixed.share) * other
        else:
            margins = self.network(pixels, batch.metadata)
            loss = goal.loss(margins, batch.label, batch.weight)
            self._learnt.append((batch.number, margins.detach().float()))
        self.log("train/objective", loss, on_step=False, on_epoch=True, batch_size=len(batch.ids), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Keep margins; scores are of the whole epoch, never the mean of batches."""
        margins = self.network(shown(batch.pixels), batch.metadata)
        self._seen.append((batch.number, margins.float()))

    def on_validation_epoch_end(self) -> None:
        """Score the inner examples."""
        if self.trainer.sanity_checking:
            self._seen.clear()
            return
        self.inner = self._judge(self._seen)
        for name, value in self.inner.scores.items():
            self.log(f"inner/{name}", value, sync_dist=True)

    # What is our own.

    @property
    def config(self) -> TrainConfig:
        """How it learns."""
        return self._config

    def _judge(self, seen: list[tuple[Tensor, Tensor]]) -> Judged:
        parts = [torch.cat([each[k] for each in seen]) for k in range(2)]
        seen.clear()
        if self._world[1] > 1:
            parts = [part.flatten(0, 1) for part in self.all_gather(parts)]
        number, margins = (part.cpu().numpy() for part in parts)
        # Processes share the examples out with some of them twice, and samplers may draw one again.
        number, once = np.unique(number, return_index=True)
        return judge(self._material.examples.about, number, margins[once].astype(np.float64))

    @property
    def _world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self._trainer else (0, 1)

    def _loader(self, order: Order) -> Any:
        return loader(self._material.examples, order, pin=resolve_device(self._config.device).type == "cuda")


def falling(optimiser: Optimizer, learn: LearnConfig, steps: int, epochs: int) -> LRScheduler:
    """Let rates fall over a stage of so many steps, after a warm-up or from epoch to epoch, as `learn` says."""
    if learn.rate == "restarts":
        return CosineAnnealingWarmRestarts(optimiser, max(1, steps // epochs))
    return LambdaLR(optimiser, _fall(learn.rate, learn.warm_up, steps))


def _fall(kind: str, warm_up: float, steps: int) -> Callable[[int], float]:
    rise = math.ceil(warm_up * steps)

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / (rise + 1)
        if kind == "cosine":
            return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))
        return 1.0

    return factor
