"""The networks' loss is the objective's, whose derivatives are tested there."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radboost.booster.objective import Objective
from radboost.booster.rows import Rows
from radboost.nets.losses import class_factors, label_losses


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("focal", [0.0, 0.5, 2.0])
def test_losses_and_slopes_are_those_of_the_objective(classes: int, focal: float) -> None:
    random = np.random.default_rng(0)
    y = np.arange(12) % classes
    loss = Objective(focal=focal, soft=0.2).bind(Rows(np.zeros((12, 1), np.float32), y, np.ones(12), y, classes, ()))
    margin = random.normal(size=(12, 1 if classes == 2 else classes))
    tensor = torch.from_numpy(margin).requires_grad_(True)
    out = label_losses(tensor, torch.from_numpy(loss.labels(y)), focal)
    np.testing.assert_allclose(out.detach().numpy(), loss.losses(margin, y), rtol=1e-10)
    out.sum().backward()
    np.testing.assert_allclose(tensor.grad.numpy(), loss.gradient(margin, y, np.ones(12))[0], atol=1e-10)


def test_a_certain_prediction_has_a_finite_slope() -> None:
    margin = torch.full((1, 1), 800.0, requires_grad=True)
    label_losses(margin, torch.tensor([[0.0, 1.0]]), 0.5).sum().backward()
    assert torch.isfinite(margin.grad).all()


def test_class_factors_share_the_weight_out_evenly_among_the_classes_that_are_there() -> None:
    totals = torch.tensor([9.0, 0.0, 3.0])
    shared = totals * class_factors(totals)
    torch.testing.assert_close(shared, torch.tensor([6.0, 0.0, 6.0]))
    assert not class_factors(torch.zeros(3)).any()
