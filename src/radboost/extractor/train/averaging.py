"""The mean of a stage's best epochs, and the statistics that its batch normalisation needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from radboost.extractor.train.batches import Order, deal, shown, stream_seed
from radboost.extractor.train.checkpoint import read_checkpoint_file
from radboost.extractor.train.config import TrainConfig
from radboost.extractor.train.learning import Material
from radboost.extractor.train.network import Classifier
from radboost.extractor.train.panel import margins_of
from radboost.extractor.train.scores import judge
from radboost.extractor.train.stages import Stage
from radboost.extractor.views import augment
from radboost.nets.averaging import average_states
from radboost.nets.device import autocast, resolve_device, resolve_precision

__all__ = ["averaged"]


def averaged(
    network: Classifier, files: Sequence[Path], material: Material, config: TrainConfig, stage: Stage
) -> tuple[dict[str, Tensor], Mapping[str, float]]:
    """Average the weights of some epochs.

    Running statistics belong to the weights that made them: those of the mean network are taken anew from one pass over
    the training examples (Izmailov et al., UAI 2018), in the layers that learnt. What was frozen stays to the bit.

    Parameters
    ----------
    network
        It ends with the mean.
    files
        Checkpoints of the epochs, the best first.
    material, config, stage
        What it learnt from, and how.

    Returns
    -------
    tuple
        Its state, and its inner scores.
    """
    network.load_state_dict(average_states([read_checkpoint_file(file)["network"] for file in files]))
    network.let_learn(stage.rates(network.blocks))
    _refresh(network, material, config, stage)
    margins = margins_of(network, material.examples, material.inner, config)
    scores = judge(material.examples.about, material.inner, margins).scores
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}, scores


def _refresh(network: Classifier, material: Material, config: TrainConfig, stage: Stage) -> None:
    norms = [m for m in network.train().modules() if isinstance(m, _BatchNorm) and m.training and m.track_running_stats]
    network.eval()
    if not norms:
        return
    device = resolve_device(config.device)
    precision = resolve_precision(config.precision, device)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # None: the mean over all batches, each as heavy as the other.
        norm.momentum = None
        norm.train()
    seed = stream_seed(config.seed, stage.name, "statistics")
    order = deal(material.first[material.train], material.train, "shuffle", config.learn.batch_size, seed)
    views, number = config.augment.epoch(0)
    network.to(device)
    with torch.no_grad(), autocast(device, precision):
        for own in Order(lambda _: order, lambda: 0, config.learn.batch_size):
            batch = material.examples[own].to(device)
            network(augment(shown(batch.pixels), batch.ids, number, views), batch.metadata)
    network.cpu()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
