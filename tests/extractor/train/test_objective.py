"""A training's loss: targets count as the task weighs them, whatever share of their rows is labelled."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from radboost.data.task import Target, Task
from radboost.extractor.train.config import LearnConfig
from radboost.extractor.train.objective import Goal


def _gradients(any_weights, labelled: int) -> tuple[float, float]:
    """Size of the loss's gradient at even odds, of target one and of target any, with the same labels in both."""
    task = Task("t", "t.csv", ("id",), "p", (Target("one", "one"), Target("any", "any", weights=any_weights)))
    label = np.tile([[0, 0], [1, 1]], (20, 1))
    label[labelled:, 1] = -1
    own = np.array(any_weights or (1.0, 1.0))
    weight = np.where(label >= 0, np.column_stack([np.ones(40), own[label[:, 1]]]), 0.0)
    margins = torch.zeros((40, 2), requires_grad=True)
    goal = Goal.of(task, label, weight, LearnConfig())
    goal.loss(margins, torch.from_numpy(label), torch.from_numpy(weight).float()).backward()
    one, last = margins.grad.abs().sum(0).tolist()
    return one, last


@pytest.mark.parametrize("labelled", [40, 10])
def test_a_target_that_counts_double_pulls_twice_as_hard(labelled):
    one, last = _gradients((2.0, 2.0), labelled)
    assert last == pytest.approx(2 * one)
    assert one + last == pytest.approx(sum(_gradients((), labelled)))


def _pull(label, margins, **learn):
    """Gradient by margins of the loss of one example of so many classes."""
    classes = len(margins) if len(margins) > 1 else 2
    target = Target("t", "t", classes=tuple("abcdefg"[:classes]) if classes > 2 else ("0", "1"))
    task = Task("t", "t.csv", ("id",), "p", (target,))
    goal = Goal.of(task, np.array([[label]]), np.ones((1, 1)), LearnConfig(**learn))
    margins = torch.tensor([margins], requires_grad=True)
    goal.loss(margins, torch.tensor([[label]]), torch.ones(1, 1)).backward()
    return margins.grad[0].numpy()


def test_positives_are_softened_and_negatives_are_not():
    odds = float(np.log(0.9 / 0.1))
    # The loss is least where the probability is the softened label.
    assert _pull(1, [odds], soft_positive=0.1) == pytest.approx(0, abs=1e-6)
    np.testing.assert_array_equal(_pull(0, [odds], soft_positive=0.1), _pull(0, [odds]))
    p = np.array([0.2, 1e-9, 0.8])
    assert _pull(2, np.log(p).tolist(), soft_positive=0.2) == pytest.approx(0, abs=1e-6)
    assert _pull(1, [float(np.log(0.8 * 0.95 / (1 - 0.8 * 0.95)))], soft=0.1, soft_positive=0.2) == pytest.approx(
        0, abs=1e-6
    )


def test_targets_of_one_weight_pull_alike_however_few_are_labelled():
    one, last = _gradients((), 10)
    assert one == pytest.approx(last)
