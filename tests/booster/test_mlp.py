"""Networks trained side by side are those trained alone; objectives and seeds are honoured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from radboost.booster import mlp
from radboost.booster.batched import Adam, Lesson, Stack
from radboost.booster.learner import row_loss
from radboost.booster.objective import Objective
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner


def rows(n: int = 200, seed: int = 0, classes: int = 2, shift: float = 1.0) -> Rows:
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 9)) / 3
    y = (4 * x[:, :1] + random.normal(size=(n, 1)) > shift + np.arange(classes - 1)).sum(axis=1)
    spans = (Span("image", 0, 9, True),)
    return Rows(x.astype(np.float32), y, random.uniform(0.5, 2, n), np.arange(n) // 2, classes, spans)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("objective", [Objective(), Objective("balanced", soft=0.1), Objective((1.0, 2.0, 3.0), 2.0)])
def test_a_step_follows_the_gradient_of_the_objective(classes: int, objective: Objective) -> None:
    if not isinstance(objective.class_weight, str):
        objective = replace(objective, class_weight=objective.class_weight[:classes])
    train = rows(classes=classes)
    mask = np.arange(len(train)) % 3 > 0
    lesson = Lesson(objective.bind(train.take(mask)), train.y, mask * train.weight)
    random = torch.Generator().manual_seed(0)
    stack = Stack(train.x, [lesson] * 2, torch.randn(2, 9, 5, generator=random), torch.zeros(2, 5))
    before = stack.step(Adam(0.01, 0.0, 1e-12))
    np.testing.assert_allclose(before[:, 0], np.tile(lesson.loss.start, (len(train), 1)), err_msg="begins at the rates")
    for _ in range(20):
        stack.step(Adam(0.01, 0.0, 1e-12))
    # The derivative by hand against differences of the loss: through the gradient that the next step would take.
    gradients = [torch.zeros_like(p) for p in stack._parameters]
    stack._pass(gradients)
    for parameter, gradient in zip(stack._parameters, gradients, strict=True):
        flat, at = parameter.view(-1), int(gradient.abs().argmax())
        value, step, losses = flat[at].clone(), 1e-2, []
        for sign in (1, -1):
            flat[at] = value + sign * step
            margin = stack.margins()
            losses.append(sum(lesson.shares @ lesson.loss.losses(margin[:, i], train.y) for i in range(2)))
        flat[at] = value
        np.testing.assert_allclose(gradient.view(-1)[at], (losses[0] - losses[1]) / (2 * step), rtol=0.02)


def test_targets_side_by_side_are_those_alone() -> None:
    first = rows()
    inner, other = make_inner(first, 0), rows(seed=3)
    jobs = [(first, inner), (replace(first, y=other.y), inner), (replace(first, y=rows(classes=3).y, classes=3), inner)]
    for one, job in zip(mlp.fit_targets(jobs, Recipe()), jobs, strict=True):
        alone = mlp.fit(*job, Recipe())
        np.testing.assert_allclose(one.inner, alone.inner, atol=1e-4)
        np.testing.assert_allclose(one.predict_proba(first.x), alone.predict_proba(first.x), atol=1e-4)


def test_seeds_are_averaged() -> None:
    train = rows()
    model = mlp.fit(train, make_inner(train, 0), Recipe(seeds=5))
    assert model.arrays["hidden"].shape == (5, 9, mlp.HIDDEN)


@pytest.mark.parametrize("objective", [Objective("balanced"), Objective("batch", 2.0), Objective((1.0, 9.0))])
def test_objectives_are_corrected_back(objective: Objective) -> None:
    train, test = rows(800), rows(2000, seed=1)
    p = mlp.fit(train, make_inner(train, 0), Recipe(objective=objective)).predict_proba(test.x)
    plain = mlp.fit(train, make_inner(train, 0), Recipe()).predict_proba(test.x)
    assert abs(p[:, 1].mean() - test.y.mean()) < 0.04
    assert row_loss(test.y, p).mean() < row_loss(test.y, plain).mean() + 0.03
