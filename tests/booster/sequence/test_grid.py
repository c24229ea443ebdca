"""Slices lie where their rank says, blanks are blank, views are whole series."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radboost.booster.sequence.grid import Grid
from radboost.errors import UserError


def test_places_blanks_and_views() -> None:
    sequence = np.array([5, 5, 5, 2, -1, 5])
    position = np.array([3, 0, 1, 7, -1, 3])
    grid = Grid.of(6, sequence, position, "residual")
    assert [s.tolist() for s in grid.series] == [[[3]], [[1, 1], [2, 2], [-1, -1], [0, 5]], [[4]]]
    patch = grid.patch([1, 0], 1)
    assert patch.rows.tolist() == [
        [[-1, 1, 2, -1, 0, -1], [-1, 1, 2, -1, 5, -1]],
        [[-1, 3, -1, -1, -1, -1], [-1, 3, -1, -1, -1, -1]],
    ]
    assert patch.own.sum() == 5, "a slice shown again as a view does not count again"
    x = torch.arange(1.0, 7.0)[:, None]
    columns = patch.columns(x)
    assert columns.shape == (2, 2, 2, 6)
    assert columns[0, 1].tolist() == [[0, 2, 3, 0, 6, 0], [0, 1, 1, 0, 1, 0]]


def test_noise_is_on_what_is_there_and_views_share_it() -> None:
    # Slice 0 has two views, slice 1 one, which is shown again; then a blank, then a slice of one view.
    grid = Grid.of(4, np.zeros(4, np.int64), np.array([0, 0, 1, 3]), "residual")
    assert grid.slices == 3
    x = torch.zeros(4, 500)
    columns = grid.patch([0], 1).columns(x, 0.5, torch.Generator().manual_seed(0))[0]
    assert columns[:, -1].tolist() == [[0, 1, 1, 0, 1, 0]] * 2
    values = columns[:, :-1]
    assert (values[..., [0, 3, 5]] == 0).all(), "a blank stays blank"
    assert torch.equal(values[0], values[1])
    assert values[0][:, [1, 2, 4]].std(dim=0).numpy() == pytest.approx([0.5] * 3, rel=0.1)
    assert torch.equal(grid.patch([0], 1).columns(x)[0, :, :-1], torch.zeros(2, 500, 6))


def test_a_window_is_cut() -> None:
    grid = Grid.of(5, np.zeros(5, np.int64), np.arange(5), "pooled-res")
    assert grid.patch([0], 0, np.array([2]), 2).rows.tolist() == [[[2, 3]]]


def test_the_mean_is_over_slices_not_views() -> None:
    grid = Grid.of(3, np.zeros(3, np.int64), np.array([0, 0, 1]), "residual")
    np.testing.assert_allclose(grid.mean(np.array([1.0, 1.0, 4.0])), [3.0])


@pytest.mark.parametrize("order", [(None, None), (np.full(3, -1), np.full(3, -1))])
def test_units_without_an_order_are_refused(order: tuple[np.ndarray | None, np.ndarray | None]) -> None:
    with pytest.raises(UserError, match=r"no order.*residual|residual.*no order"):
        Grid.of(3, *order, "residual")
