from __future__ import annotations

import numpy as np
import pytest

from radboost.extractor.train.batches import Order, deal

LABELS = np.repeat([0, 1, -1], [40, 4, 6])
NUMBERS = np.arange(100, 150)


def test_each_example_comes_once_in_an_order_of_its_epoch():
    one, again, other = (deal(LABELS, NUMBERS, "shuffle", 8, seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
    assert sorted(one) == NUMBERS.tolist()


def test_every_batch_has_a_positive_where_that_is_asked():
    order = deal(LABELS, NUMBERS, "one-positive", 8, 0)
    batches = [np.array(batch) for batch in Order(lambda _: order, lambda: 0, 8)]
    assert all((LABELS[batch - 100] == 1).any() for batch in batches)
    assert sum(len(batch) for batch in batches) == 50


def test_a_weighted_sampler_draws_classes_alike_and_no_unlabelled_one():
    drawn = np.concatenate([LABELS[deal(LABELS, NUMBERS, "weighted", 8, seed) - 100] for seed in range(40)])
    assert drawn.min() == 0
    assert drawn.mean() == pytest.approx(0.5, abs=0.05)


def test_no_batch_is_left_with_a_single_example():
    assert [len(batch) for batch in Order(lambda _: np.arange(33), lambda: 0, 32)] == [17, 16]


@pytest.mark.parametrize("count", [31, 32, 33])
def test_processes_share_a_batch_that_one_alone_would_see(count):
    order = np.arange(count)

    def batches(size, part):
        return list(Order(lambda _: order, lambda: 0, size, part))

    alone = batches(8, (0, 1))
    together = [batches(4, (rank, 2)) for rank in range(2)]
    assert len(together[0]) == len(together[1]) == len(alone)
    for number, whole in enumerate(alone):
        shared = together[0][number] + together[1][number]
        assert set(shared) >= set(whole)
        assert len(together[0][number]) == len(together[1][number])
