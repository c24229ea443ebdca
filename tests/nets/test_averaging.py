from __future__ import annotations

import torch

from radboost.nets.averaging import average_states


def test_the_mean_is_taken_in_double_and_counts_are_the_bests():
    states = [{"w": torch.tensor([1e8, v]), "n": torch.tensor(int(v))} for v in (1.0, 2.0, 6.0)]
    found = average_states(states)
    assert found["w"].tolist() == [1e8, 3.0]
    assert (found["w"].dtype, found["n"].item()) == (torch.float32, 1)
