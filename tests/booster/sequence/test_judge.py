"""Inner folds choose epochs and how far margins are trusted; a head that claims too much is turned down, not off."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.booster.learner import row_loss, to_classes
from radboost.booster.objective import Objective
from radboost.booster.rows import Rows
from radboost.booster.sequence.judge import Judge


def judged(n: int = 2000, splits: int = 4, seed: int = 0) -> tuple[Judge, list[np.ndarray], Rows]:
    """Rows whose log odds are known, and those log odds for each split's held rows."""
    random = np.random.default_rng(seed)
    truth = random.normal(-1.5, 1.0, n)
    y = (random.random(n) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    rows = Rows(np.zeros((n, 1), np.float32), y, random.uniform(0.5, 2, n), np.arange(n), 2, ())
    fold = np.arange(n) % splits
    held = [fold == k for k in range(splits)]
    losses = [(Objective().bind(rows.take(~mask)),) for mask in held]
    return Judge([rows], losses, held), [truth[mask][:, None] for mask in held], rows


def starts(judge: Judge) -> list[np.ndarray]:
    return [np.tile(own[0].start, (int(mask.sum()), 1)) for own, mask in zip(judge.losses, judge.held, strict=True)]


@pytest.mark.parametrize(("claims", "share"), [(1.0, 1.0), (2.0, 0.5), (1 / 0.3, 0.3), (7.0, 0.15)])
def test_margins_that_claim_too_much_are_shrunk_to_what_is_true(claims: float, share: float) -> None:
    judge, truth, _ = judged()
    margins = [start + claims * (own - start) for own, start in zip(truth, starts(judge), strict=True)]
    assert judge.share(0, margins) == share


def test_an_epoch_that_ranks_well_is_kept_though_it_claims_too_much() -> None:
    judge, truth, rows = judged()
    begin = starts(judge)
    random = np.random.default_rng(1)
    loud = [start + 6 * (own - start) for own, start in zip(truth, begin, strict=True)]
    noise = [start + random.normal(0, 0.3, start.shape) for start in begin]
    prior = np.tile(rows.rates, (len(rows), 1))
    p = np.empty_like(prior)
    for mask, margin in zip(judge.held, loud, strict=True):
        p[mask] = to_classes(margin)
    as_it_stands, base = (np.average(row_loss(rows.y, q), weights=rows.weight) for q in (p, prior))
    assert as_it_stands > base, "taken at its word this epoch is worse than the base rate"
    history = [[begin[k], noise[k], loud[k]] for k in range(len(begin))]
    assert judge.epochs(history, 1) == [2]
    inside = [own[2] for own in history]
    found, better = judge.verdict(0, inside, judge.share(0, inside))
    assert better
    assert np.average(row_loss(rows.y, found), weights=rows.weight) < base - 0.02


def test_noise_keeps_the_base_rate() -> None:
    kept = 0
    for seed in range(10):
        judge, _, _ = judged(seed=seed)
        begin, random = starts(judge), np.random.default_rng(seed)
        inside = [start + random.normal(0, 1.0, start.shape) for start in begin]
        found, better = judge.verdict(0, inside, judge.share(0, inside))
        kept += better
        if not better:
            for own, mask, start in zip(judge.losses, judge.held, begin, strict=True):
                np.testing.assert_allclose(found[mask], own[0].corrected(to_classes(start)))
    assert kept <= 4, "a gain of less than its standard error is luck"


def test_epoch_zero_stays_where_nothing_is_better() -> None:
    judge, truth, _ = judged()
    begin = starts(judge)
    against = [start - 2 * (own - start) for own, start in zip(truth, begin, strict=True)]
    assert judge.epochs([[b, a] for b, a in zip(begin, against, strict=True)], 3) == [0]


def test_rows_count_by_their_weight() -> None:
    # Half of the rows are told truly and half loudly: the weights say whose share is right.
    judge, truth, rows = judged(4000)
    loud = np.arange(len(rows)) % 8 < 4
    begin = starts(judge)
    margins = [
        start + np.where(loud[mask], 6.0, 1.0)[:, None] * (own - start)
        for own, mask, start in zip(truth, judge.held, begin, strict=True)
    ]
    for side, share in ((loud, 0.15), (~loud, 1.0)):
        own = Rows(rows.x, rows.y, np.where(side, 1.0, 1e-6), rows.group, 2, ())
        assert Judge([own], judge.losses, judge.held).share(0, margins) == share
