"""A slice's logits depend on its receptive field and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radboost.booster.sequence.grid import Grid
from radboost.booster.sequence.heads import HEADS, Shape, draw, logits, receptive_field


def parameters(head: str, columns: int = 3) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    own = draw(Shape(head, columns, 8, 2), random)
    # The last layer begins at zero, which would hide everything.
    return own | {"last.weight": torch.randn(own["last.weight"].shape, generator=random)}


@pytest.mark.parametrize(("head", "field"), [("pooled-res", 21), ("residual", 25)])
def test_receptive_field_is_the_recipes(head: str, field: int) -> None:
    assert receptive_field(head) == field
    x = torch.randn(1, 1, 4, 61, generator=torch.Generator().manual_seed(1), requires_grad=True)
    logits(head, parameters(head), x)[0, 30].sum().backward()
    felt = np.flatnonzero(x.grad.abs().sum(dim=(0, 1, 2)).numpy())
    assert felt.min() == 30 - field // 2
    assert felt.max() == 30 + field // 2


@pytest.mark.parametrize("head", HEADS)
def test_a_series_does_not_feel_how_long_its_neighbours_are(head: str) -> None:
    short, long = 5, 40
    sequence = np.repeat([0, 1], [short, long])
    grid = Grid.of(45, sequence, np.concatenate([np.arange(short), np.arange(long)]), head)
    x = torch.randn(45, 3, generator=torch.Generator().manual_seed(2))
    blanks, own = receptive_field(head) // 2, parameters(head)
    alone = logits(head, own, grid.patch([0], blanks).columns(x))[0, blanks : blanks + short]
    beside = logits(head, own, grid.patch([0, 1], blanks).columns(x))[0, blanks : blanks + short]
    torch.testing.assert_close(alone, beside, rtol=1e-5, atol=1e-5)


def test_views_are_pooled_by_their_maximum_after_the_first_convolution() -> None:
    own = parameters("pooled-res")
    x = torch.randn(2, 3, 4, 30, generator=torch.Generator().manual_seed(3))
    out = logits("pooled-res", own, x)
    torch.testing.assert_close(out, logits("pooled-res", own, x.flip(1)), msg="their order says nothing")
    twice = torch.cat([x, x[:, :1]], dim=1)
    torch.testing.assert_close(out, logits("pooled-res", own, twice), msg="nor does a view shown again")
    assert not torch.allclose(out, logits("pooled-res", own, x[:, :1]))
