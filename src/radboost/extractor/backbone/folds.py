"""The networks of a training as one backbone: each sees every crop, and each gives matrices of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from radboost.data.networks import fold_pool, network_name, training_content
from radboost.errors import WeightsError, offenders
from radboost.extractor.backbone.heads import HEAD, TrainedHead
from radboost.extractor.backbone.load import Backbone, load_one
from radboost.extractor.backbone.pooling import pooled
from radboost.extractor.backbone.weights import checkpoint_sha256, fit_weights, read_checkpoint, weights_sha256

if TYPE_CHECKING:
    from radboost.extractor.backbone.config import BackboneConfig

__all__ = ["FoldBackbone", "load_backbone", "own_part", "trained_state"]


@dataclass(frozen=True)
class FoldBackbone(Backbone):
    """Networks of outer folds; `widths` names their poolings as ``<pool>@fold<k>``, `model` holds all of them.

    Attributes
    ----------
    networks
        One a fold.
    folds
        Their numbers.
    heads
        Their heads, where what these say is asked for; else none.
    """

    networks: tuple[Backbone, ...] = ()
    folds: tuple[int, ...] = ()
    heads: tuple[TrainedHead, ...] = ()

    def identifier(self) -> dict[str, object]:
        """Tell it from any other; see `Backbone.identifier`."""
        return {**super().identifier(), "folds": list(self.folds)}

    def embed(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Embed images with every network; see `Backbone.embed`."""
        out: dict[str, torch.Tensor] = {}
        pools = tuple(pool for pool in self.config.pool if pool != HEAD)
        for number, (fold, network) in enumerate(zip(self.folds, self.networks, strict=True)):
            features = network.features(images)
            found = pooled(features, network.layout, pools)
            if self.heads:
                found[HEAD] = self.heads[number](features)
            out |= {fold_pool(pool, fold): found[pool] for pool in self.config.pool}
        return out


def trained_state(path: Path, sha256: str) -> dict[str, torch.Tensor]:
    """Read a trained network's tensors, head and all; raises WeightsError where they are not those of this hash."""
    state = read_checkpoint(path, unwrap=False)
    if weights_sha256(state) != sha256:
        raise WeightsError("is not the network that was written", where=path, do="Train anew, or bring the file back")
    return state


def own_part(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the backbone out of a trained network's tensors."""
    return {name.removeprefix("model."): t for name, t in state.items() if name.startswith("model.")}


def load_backbone(config: BackboneConfig) -> Backbone:
    """Build a backbone on the CPU: one network, or those of a training's folds.

    Raises
    ------
    UserError
        There is no such model, or it does not take images of this size, or it lacks a pooling, or the extra for it is
        not installed.
    WeightsError
        Its weights cannot be had, or do not fit it.
    """
    folder = config.training
    if folder is None:
        return load_one(config)
    content = training_content(folder)
    # The training replaces all weights: none are asked for that would have to be fetched.
    pools = tuple(pool for pool in config.pool if pool != HEAD)
    plain = replace(config, checkpoint=None, random_init=0, pool=pools or ("avg",))
    folds = tuple(int(fold) for fold in content["folds"])
    sums = {int(network["fold"]): network["weights_sha256"] for network in content["networks"]}
    paths = {fold: folder / network_name(fold) / "network.safetensors" for fold in folds}
    networks = tuple(_trained(load_one(plain), paths[fold], sums[fold]) for fold in folds)
    first = networks[0]
    heads: tuple[TrainedHead, ...] = ()
    own = dict(first.widths)
    if HEAD in config.pool:
        states = (trained_state(paths[fold], sums[fold]) for fold in folds)
        heads = tuple(TrainedHead(content, state, first.layout) for state in states)
        own[HEAD] = heads[0].width
    widths = {fold_pool(pool, fold): own[pool] for fold in folds for pool in config.pool}
    shared = {
        "config": replace(config, size=first.config.size),
        "model": nn.ModuleList([*(network.model for network in networks), *heads]),
        "widths": widths,
        "weights_sha256": checkpoint_sha256(folder),
    }
    return FoldBackbone(**{**first.__dict__, **shared}, networks=networks, folds=folds, heads=heads)


def _trained(network: Backbone, path: Path, sha256: str) -> Backbone:
    state = trained_state(path, sha256)
    wrong = fit_weights(network.model, own_part(state), ())
    if wrong:
        raise WeightsError("does not fit the backbone", where=path, got=offenders(wrong), do="Train anew")
    return network
