"""The fused member: strong metadata beside noise embeddings, or the reverse, costs little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from radboost.booster.learner import DEFAULT_LEARNERS
from radboost.booster.member import MemberModel, fit_members
from radboost.booster.recipe import Recipe
from radboost.booster.rows import Rows, Span, make_inner
from radboost.metrics import auc


def rows(n: int, seed: int, strong: str) -> Rows:
    random = np.random.default_rng(seed)
    x = (random.normal(size=(n, 64)) / 8).astype(np.float32)
    x[:, 60:] *= 4
    # The wide block's signal lies in its first columns, as principal components would have it.
    column = 60 if strong == "metadata" else 0
    y = (random.random(n) < 1 / (1 + np.exp(-1.5 * x[:, column] / x[:, column].std()))).astype(np.int64)
    spans = (Span("store/own", 0, 60, True), Span("metadata", 60, 64, False))
    return Rows(x, y, np.ones(n), np.arange(n).astype(str), 2, spans)


@pytest.mark.parametrize("strong", ["metadata", "image"])
@pytest.mark.parametrize("learner", DEFAULT_LEARNERS)
def test_the_fused_member_loses_little_to_the_block_that_knows(learner: str, strong: str) -> None:
    train, test = rows(400, 0, strong), rows(3000, 1, strong)
    models = fit_members(learner, [(train, make_inner(train, 0))], Recipe())[0]
    score = {b: auc(test.y, m.predict_proba(test.x)[:, 1]) for b, m in models.items()}
    assert score[strong] > 0.65
    assert score["fused"] > score[strong] - 0.02


def test_members_come_back_from_disk(tmp_path: Path) -> None:
    train = rows(200, 0, "metadata")
    inner = make_inner(train, 0)
    fitted = fit_members("logistic", [(train, inner)], Recipe())[0]
    both = MemberModel((*fitted["image"].parts, *fitted["metadata"].parts), train.rates)
    for number, model in enumerate([*fitted.values(), both]):
        model.save(tmp_path / str(number))
        p = MemberModel.load(tmp_path / str(number)).predict_proba(train.x)
        np.testing.assert_array_equal(p, model.predict_proba(train.x))
        np.testing.assert_allclose(p.sum(axis=1), 1)


def test_added_evidence_follows_the_stronger_part() -> None:
    """Of two parts that agree, the sum is surer than each; a part that says the base rate adds nothing."""

    class Says:
        inner = np.empty((0, 0))

        def __init__(self, p: float) -> None:
            self.p = p

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return np.tile([1 - self.p, self.p], (len(x), 1))

        def save(self, folder: Path) -> None: ...

    def combined(*ps: float) -> float:
        model = MemberModel(tuple((Says(p), np.array([0])) for p in ps), np.array([0.8, 0.2]))
        return float(model.predict_proba(np.zeros((1, 1), np.float32))[0, 1])

    assert combined(0.5, 0.2) == pytest.approx(0.5)
    assert combined(0.5, 0.5) == pytest.approx(0.8)


def test_only_the_asked_for_blocks_come_back() -> None:
    train = rows(100, 0, "metadata")
    assert list(fit_members("logistic", [(train, make_inner(train, 0))], Recipe(), ("image",))[0]) == ["image"]
