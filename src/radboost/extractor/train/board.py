"""What TensorBoard shows besides numbers: the network, what it sees, and who is called what."""

from __future__ import annotations

import warnings
from typing import Any

import lightning.pytorch as pl
import numpy as np
import numpy.typing as npt
import torch

from radboost.extractor.train.batches import Batch, shown
from radboost.extractor.views import augment

__all__ = ["Board"]

_CROPS, _CELL = 8, 24
"""Crops shown; side of a cell of a confusion matrix, pixels."""


class Board(pl.Callback):
    """Writes graph and example crops at the beginning, and each epoch's confusion matrices and learning rates."""

    def on_train_batch_start(self, trainer: pl.Trainer, module: Any, batch: Batch, batch_idx: int) -> None:
        """Show the first batch of the first epoch, as the network sees it, and the network."""
        if trainer.is_global_zero and trainer.current_epoch == 0 and batch_idx == 0:
            writer = trainer.logger.experiment  # type: ignore[union-attr]
            views, number = module.config.augment.epoch(0)
            few = shown(batch.pixels[:_CROPS])
            for name, pixels in (("clean", few), ("augmented", augment(few, batch.ids[:_CROPS], number, views))):
                # Channels stand under one another: windows and slices have no colours.
                writer.add_images(f"crops/{name}", pixels.flatten(1, 2)[:, None].cpu().numpy(), dataformats="NCHW")
            _graph(writer, module, few[:1], batch.metadata[:1])

    def on_validation_end(self, trainer: pl.Trainer, module: Any) -> None:
        """Show the inner units' confusion matrices."""
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        writer = trainer.logger.experiment  # type: ignore[union-attr]
        for k, group in enumerate(trainer.optimizers[0].param_groups):
            writer.add_scalar(f"rate/{k}", group["lr"], trainer.current_epoch)
        for target, table in module.inner.confusion.items():
            writer.add_image(f"confusion/{target}", _cells(table), trainer.current_epoch, dataformats="HW")
            rows = "\n".join("| " + " | ".join(f"{value:g}" for value in row) + " |" for row in table)
            head = "| " + " | ".join(f"called {k}" for k in range(len(table))) + " |\n" + "|---" * len(table) + "|\n"
            writer.add_text(f"confusion/{target}", head + rows, trainer.current_epoch)


def _cells(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Share of each true class (row) that is called each class, as a picture in 0..1."""
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
    return np.kron(share, np.ones((_CELL, _CELL))).astype(np.float32)


def _graph(writer: Any, module: Any, pixels: torch.Tensor, metadata: torch.Tensor) -> None:
    """Trace the network in evaluation mode, which changes nothing in it."""
    network = module.network
    training = network.training
    network.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            # Tracing warns of sizes that become constants, which a picture may have.
            warnings.simplefilter("ignore")
            writer.add_graph(network, (pixels, metadata), verbose=False)
    except RuntimeError as error:
        # Of some networks torch cannot draw a graph; they can be trained all the same.
        writer.add_text("graph", f"could not be drawn: {str(error).splitlines()[0]}")
    finally:
        network.train(training)
