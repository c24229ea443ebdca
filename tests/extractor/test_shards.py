from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radboost.errors import RadboostError
from radboost.extractor import shards
from radboost.extractor.shards import Cuts, Shard
from radboost.extractor.stream import Batch

relaxed = settings(deadline=None)


def batches(cuts):
    start = 0
    while (stop := cuts.stop_after(start)) > start:
        yield start, stop
        start = stop


@relaxed
@given(total=st.integers(1, 300), batch=st.integers(1, 40), rows=st.integers(1, 100))
def test_batches_cover_all_and_never_cross_a_shard(total, batch, rows):
    cuts = Cuts(total, batch, rows)
    spans = list(batches(cuts))
    assert [k for start, stop in spans for k in range(start, stop)] == list(range(total))
    assert all(stop - start <= batch and start // rows == (stop - 1) // rows for start, stop in spans)
    assert [stop for _, stop in spans if cuts.closes(stop)] == [*range(rows, total, rows), total]


@relaxed
@given(
    total=st.integers(1, 400),
    batch=st.integers(1, 40),
    steps=st.lists(st.floats(0.001, 8.0), min_size=1, max_size=50),
)
def test_measured_shards_fit_the_batches_already_cut(total, batch, steps):
    # The stream cuts one batch ahead of the one it hands over, and the rate is known only after that.
    cuts, clock = Cuts(total, batch, None), [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards.time, "perf_counter", lambda: clock[0])
        spans, closed = [], []
        for k, span in enumerate(batches(cuts)):
            clock[0] += steps[k % len(steps)]
            if spans:
                cuts.measure(spans[-1][1])
                closed += [spans[-1][1]] if cuts.closes(spans[-1][1]) else []
            spans.append(span)
        cuts.measure(spans[-1][1])
        closed += [spans[-1][1]] if cuts.closes(spans[-1][1]) else []
    assert cuts.rows is not None
    assert cuts.rows % batch == 0
    assert all(start // cuts.rows == (stop - 1) // cuts.rows for start, stop in spans)
    assert closed == [*range(cuts.rows, total, cuts.rows), total]


def test_a_shard_is_about_a_minute_of_work(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(shards.time, "perf_counter", lambda: clock[0])
    cuts = Cuts(100_000, 10, None)
    for _, stop in batches(cuts):
        clock[0] += 0.5
        cuts.measure(stop)
        if cuts.rows is not None:
            break
    assert cuts.rows == 1200


def test_a_short_first_run_does_not_bind_a_store_to_tiny_shards():
    cuts = Cuts(9, 16, None)
    for _, stop in batches(cuts):
        cuts.measure(stop)
    assert cuts.rows == 1024


def _batch(values):
    vectors = np.asarray(values, np.float32)[:, None]
    return Batch(0, len(values), list(range(len(values))), {"avg": vectors}, [], [0] * len(values))


@pytest.mark.parametrize("values", [[[7e4, 1.0]], [[1e-6, -2e-5]]])
def test_what_float16_cannot_hold_is_refused(values):
    with pytest.raises(RadboostError, match="float32"):
        Shard("float16").add(_batch(values))
    Shard("float32").add(_batch(values))


def test_a_blank_batch_is_no_underflow():
    shard = Shard("float16")
    shard.add(_batch([[0.0, 0.0]]))
    assert shard.close(np.array([b"a"]), {"avg": 2}).embeddings["avg"].dtype == np.float16
