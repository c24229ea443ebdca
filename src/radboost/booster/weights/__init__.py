"""Weights that simulate a target set: read, checked, and made from metadata."""

from __future__ import annotations

from radboost.booster.weights.prevalence import parse_prevalence
from radboost.booster.weights.simulate import WeightConfig, Weighting, simulate
from radboost.booster.weights.table import picture_path, read_weights, refuse_written, resolve_weights, write_weights

__all__ = [
    "WeightConfig",
    "Weighting",
    "parse_prevalence",
    "picture_path",
    "read_weights",
    "refuse_written",
    "resolve_weights",
    "simulate",
    "write_weights",
]
