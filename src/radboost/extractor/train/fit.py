"""Training of one network, stage after stage, each from the best epoch of the one before."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import TensorBoardLogger

from radboost.data.folder import read_json, write_json
from radboost.data.progress import Progress
from radboost.extractor.train.averaging import averaged
from radboost.extractor.train.board import Board
from radboost.extractor.train.checkpoint import SafeCheckpoint, read_checkpoint_file, write_checkpoint_file
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.keeper import Best, Keeper, Spot
from radboost.extractor.train.learning import Learning, Material
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.scores import better
from radboost.nets.device import resolve_device, resolve_precision

__all__ = ["fit_network", "numbered"]

_SEVERAL = "ddp_spawn"
"""How several processes are begun, on GPUs and on a CPU."""
_PRECISION = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


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
            found.append(_fit_stage(network, material, config, Spot(stage, folder, before), progress))
            write_json(done, {**found[-1].__dict__})
        else:
            found.append(Best(**read_json(done)))
            progress.advance(stage.epochs)
        network.load_state_dict(read_checkpoint_file(folder / "best.safetensors")["network"])
    return found


def _fit_stage(network: Classifier, material: Material, config: TrainConfig, spot: Spot, progress: Progress) -> Best:
    stage, folder = spot.stage, spot.folder
    folder.mkdir(parents=True, exist_ok=True)
    gain = partial(better, material.task, config.learn.monitor)
    keeper = Keeper(spot, config.learn, gain, progress)
    if spot.before and not spot.best.is_file():
        # A stage that only loses ends with what it began with.
        write_checkpoint_file({"network": network.state_dict()}, spot.best)
    device = resolve_device(config.device)
    last = keeper.resumes()
    if last is None or not keeper.over:
        learning = Learning(network, material, config, stage, (folder.parent.name, stage.name))
        with _quiet():
            trainer = pl.Trainer(
                accelerator="gpu" if device.type == "cuda" else "cpu",
                devices=numbered(device, config.devices),
                strategy="auto" if config.devices == 1 else _SEVERAL,
                precision=_PRECISION[resolve_precision(config.precision, device)],  # type: ignore[arg-type]
                max_epochs=stage.epochs,
                accumulate_grad_batches=config.learn.accumulate,
                logger=TensorBoardLogger(folder, name="", version="tensorboard"),
                callbacks=[keeper, Board()],
                plugins=[SafeCheckpoint()],
                num_sanity_val_steps=0,
                enable_progress_bar=False,
                enable_model_summary=False,
                use_distributed_sampler=False,
                default_root_dir=folder,
                log_every_n_steps=1,
            )
            with _interruptible():
                trainer.fit(learning, ckpt_path=last)
    best, kept = keeper.best()
    if len(kept) > 1:
        state, scores = averaged(network, [spot.epoch(each) for each in kept], material, config, stage)
        if gain(dict(scores), best.scores):
            write_checkpoint_file({"network": state}, spot.best)
            best = replace(best, scores=dict(scores), averaged=kept)
            progress.say(f"{stage.name}: the mean of epochs {', '.join(str(each + 1) for each in kept)} is kept")
    return best


def numbered(device: torch.device, count: int) -> int | list[int]:
    """Give so many devices, as pytorch-lightning wants them; from the one on that was asked for by its number."""
    return count if device.index is None else list(range(device.index, device.index + count))


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a training as it ends all else: pytorch-lightning exits with 1, and ignores it from then on."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as ended:
        if not isinstance(ended.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
        raise KeyboardInterrupt from None


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
