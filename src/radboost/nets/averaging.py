"""Weights of one network at several times, as one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

__all__ = ["average_states"]


def average_states(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Average state dicts of one network, the best first.

    Parameters
    ----------
    states
        Of the same names and shapes. Numbers that are whole, such as counts of batches, are the first's.

    Returns
    -------
    dict
        Means in each tensor's own type, summed in double precision.
    """
    first = states[0]
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value.clone()
        for name, value in first.items()
    }
