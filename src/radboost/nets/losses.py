"""Losses on label distributions: the log loss and its focal variant, for networks of both stages."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["class_factors", "label_losses"]


def label_losses(margin: Tensor, label: Tensor, focal: float = 0.0) -> Tensor:
    """Loss of each row: the sum over classes k of ``t_k (1 - p_k)^gamma (-log p_k)``.

    Parameters
    ----------
    margin
        Shape (..., 1): log odds of class 1; or (..., classes): logits.
    label
        Shape (..., classes), or what broadcasts to it: label distributions, rows summing to 1.
    focal
        Gamma, not negative; 0 is the log loss.

    Returns
    -------
    Tensor
        Shape (...).
    """
    logits = torch.cat([torch.zeros_like(margin), margin], dim=-1) if margin.shape[-1] == 1 else margin
    log = torch.log_softmax(logits, dim=-1)
    if focal:
        # 1 - p from the logarithm, without the loss of digits near 1; kept off 0, where a power below 1 has no slope.
        log = log * (-torch.expm1(log)).clamp_min(1e-12) ** focal
    return -(label * log).sum(dim=-1)


def class_factors(totals: Tensor) -> Tensor:
    """Factors (classes,) that give every class the same share of the rows' weight, and leave its sum as it is.

    Parameters
    ----------
    totals
        Weight of each class's rows (classes,), not negative. A class without any has factor 0, and the others its
        share.
    """
    there = totals > 0
    fair = totals.sum() / there.sum().clamp_min(1)
    return torch.where(there, fair / torch.where(there, totals, 1.0), 0.0)
