"""Worlds between the data and the target set, and beyond: which of safe, risky and robust is the best in which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from radboost.data.predictions import Block, Predictions
from radboost.ensemble.blend import crossfit_blend
from radboost.ensemble.policy import Policy
from radboost.ensemble.result import BlendConfig, Sweep
from radboost.metrics import clustered_sums, divided, log_loss
from radboost.metrics.scores import TERMS

__all__ = ["STRENGTHS", "sweep"]

FloatArray: TypeAlias = npt.NDArray[np.float64]

STRENGTHS = tuple(k / 4 for k in range(9))
"""Powers of the target weights: 0 is the data as they are, 1 the target set as it was simulated, 2 twice as far."""

FACTORS = tuple(2.0**k for k in range(-4, 5))
"""By what the odds of the last class are multiplied."""


def sweep(predictions: Predictions, known: Mapping[Policy, Predictions], config: BlendConfig) -> tuple[Sweep, ...]:
    """Score the cross-fitted blends of all policies under other weights of the same rows.

    Parameters
    ----------
    predictions
        As for `radboost.ensemble.blend.fit_blend`.
    known
        Cross-fitted predictions of policies that are there already.
    config
        How the blends are made; robust is made in probability space whatever it says.

    Returns
    -------
    tuple
        Two a target, along the strength of the target weights and along prevalence; none without target weights, where
        the three policies are one.
    """
    if not predictions.weighted_for_target:
        return ()
    blends = {
        policy: known[policy] if policy in known else crossfit_blend(predictions, policy, _for(policy, config))
        for policy in Policy
    }
    blocks = {policy: {block.target: block for block in blend.blocks()} for policy, blend in blends.items()}
    found = []
    for target in blocks[Policy.SAFE]:
        own = _aligned({policy: by_target[target] for policy, by_target in blocks.items()})
        if (own[Policy.SAFE].task_weight > 0).any():
            found += [_along_strength(own), _along_prevalence(own)]
    return tuple(found)


def _for(policy: Policy, config: BlendConfig) -> BlendConfig:
    if policy is not Policy.ROBUST or config.space != "logit":
        return config
    return BlendConfig(**{**vars(config), "space": "prob"})


def _aligned(blocks: Mapping[Policy, Block]) -> dict[Policy, Block]:
    """Labelled units that all policies predicted."""
    first, *others = blocks.values()
    shared = first.unit[first.label >= 0]
    for other in others:
        shared = np.intersect1d(shared, other.unit)
    return {policy: block.take(np.isin(block.unit, shared)) for policy, block in blocks.items()}


def _along_strength(blocks: Mapping[Policy, Block]) -> Sweep:
    block = blocks[Policy.SAFE]
    worlds = [block.task_weight * block.target_weight**strength for strength in STRENGTHS]
    return _swept(blocks, "strength", STRENGTHS, worlds)


def _along_prevalence(blocks: Mapping[Policy, Block]) -> Sweep:
    block = blocks[Policy.SAFE]
    last = block.label == len(block.classes) - 1
    rate = float(np.average(last, weights=block.task_weight))
    rates = [rate * f / (1 - rate + rate * f) for f in FACTORS] if 0 < rate < 1 else [rate]
    worlds = [
        block.task_weight * (np.where(last, wanted / rate, (1 - wanted) / (1 - rate)) if 0 < rate < 1 else 1.0)
        for wanted in rates
    ]
    return _swept(blocks, "prevalence", tuple(rates), worlds)


def _swept(blocks: Mapping[Policy, Block], axis: str, at: tuple[float, ...], worlds: list[FloatArray]) -> Sweep:
    """Score the policies in every world, and what each loses to the best one there, on the same draws of patients."""
    first = blocks[Policy.SAFE]
    names = [policy.value for policy in blocks]
    terms = TERMS[log_loss]
    rows = np.stack(
        [
            terms(block.label, block.p[:, 0, 1] if block.p.shape[2] == 2 else block.p[:, 0])[0]
            for block in blocks.values()
        ]
    )
    losses = np.array([rows @ weight / weight.sum() for weight in worlds])
    best = losses.argmin(axis=1)
    columns = np.concatenate([[weight, *(weight * rows)] for weight in worlds]).T

    def scores(sums: FloatArray) -> FloatArray:
        weight, *each = sums.reshape(len(worlds), -1).T
        own = divided(np.stack(each, axis=1), np.repeat(weight[:, None], len(names), axis=1))
        return np.concatenate([own, own - own[np.arange(len(worlds)), best][:, None]]).ravel()

    band = clustered_sums(columns, first.group, scores)
    low, high, value = (part.reshape(2, len(worlds), len(names)) for part in (band.low, band.high, band.value))
    by_policy = {name: k for k, name in enumerate(names)}
    return Sweep(
        first.target,
        axis,
        at,
        {name: tuple(value[0, :, k].tolist()) for name, k in by_policy.items()},
        {name: tuple(zip(low[0, :, k].tolist(), high[0, :, k].tolist(), strict=True)) for name, k in by_policy.items()},
        {name: tuple(zip(low[1, :, k].tolist(), high[1, :, k].tolist(), strict=True)) for name, k in by_policy.items()},
        int((first.task_weight > 0).sum()),
        len(np.unique(first.group[first.task_weight > 0])),
    )
