"""Each example once a pass, or as often as its weight says."""

from __future__ import annotations

import torch

from radboost.nets.samplers import batches, draw_by_weight


def test_a_pass_shows_each_example_once() -> None:
    seen = list(batches(10, 4, 7, torch.Generator().manual_seed(0)))
    assert [len(b) for b in seen] == [4, 3, 3, 4, 3, 3, 4]
    assert sorted(torch.cat(seen[:3]).tolist()) == sorted(torch.cat(seen[3:6]).tolist()) == list(range(10))


def test_examples_are_drawn_by_weight() -> None:
    weight = torch.tensor([0.0, 1.0, 3.0])
    drawn = torch.cat(list(draw_by_weight(weight, 50, 200, torch.Generator().manual_seed(0))))
    share = torch.bincount(drawn, minlength=3) / len(drawn)
    torch.testing.assert_close(share, weight / 4, atol=0.02, rtol=0)
    assert share[0] == 0
