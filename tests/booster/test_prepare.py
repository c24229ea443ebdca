"""Prepared columns are fitted on training rows alone, weigh them, and keep blocks of equal size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from radboost.booster.design import Design, build_design
from radboost.booster.prepare import Prepared
from radboost.errors import FormatError, MismatchError


def with_holes(design: Design, seed: int = 0) -> Design:
    own = design.blocks[0]
    present = np.random.default_rng(seed).random(own.present.shape) > 0.2
    x = own.x * np.repeat(present, own.width, axis=1)
    return replace(design, blocks=(replace(own, x=x, present=present), *design.blocks[1:]))


@pytest.fixture
def design(make) -> Design:
    cohort, store = make(patients=30, age=1.0)
    return with_holes(build_design(cohort, [store]))


def test_every_block_has_a_total_variance_of_one(design: Design) -> None:
    weight = np.random.default_rng(1).random(len(design)) + 0.1
    prepared = Prepared.fit(design, weight)
    x = prepared.transform(design).astype(float)
    assert x.shape[1] == len(prepared.features) == prepared.spans[-1].stop
    for span in prepared.spans:
        part = x[:, span.start : span.stop]
        mean = weight @ part / weight.sum()
        variance = weight @ (part - mean) ** 2 / weight.sum()
        assert variance.sum() == pytest.approx(1.0, abs=1e-4), span.name


def test_weight_two_is_the_row_twice_and_weight_zero_no_row(design: Design) -> None:
    weight = np.random.default_rng(2).integers(0, 3, len(design))
    one = Prepared.fit(design, weight.astype(float), 8)
    two = Prepared.fit(design.take(np.repeat(np.arange(len(design)), weight)), np.ones(weight.sum()), 8)
    assert one.features == two.features
    np.testing.assert_allclose(one.transform(design), two.transform(design), atol=1e-4)


def test_an_absent_slot_takes_the_training_mean(design: Design) -> None:
    prepared = Prepared.fit(design, np.ones(len(design)))
    own = design.blocks[0]
    hidden = replace(own, x=np.where(np.repeat(own.present, own.width, axis=1), own.x, 1e6).astype(np.float32))
    seen = prepared.transform(replace(design, blocks=(hidden, *design.blocks[1:])))
    np.testing.assert_array_equal(seen, prepared.transform(design))


def test_components_are_limited(design: Design) -> None:
    prepared = Prepared.fit(design, np.ones(len(design)), 3)
    assert [s.stop - s.start for s in prepared.spans if s.name.endswith(("own", "difference"))] == [3, 3]


def test_saved_and_loaded_it_gives_the_same_columns(design: Design, tmp_path: Path) -> None:
    prepared = Prepared.fit(design, np.ones(len(design)), 5)
    prepared.save(tmp_path)
    loaded = Prepared.load(tmp_path)
    np.testing.assert_array_equal(loaded.transform(design), prepared.transform(design))
    assert loaded.spans == prepared.spans
    assert {p.suffix for p in tmp_path.iterdir()} == {".json", ".safetensors"}
    (tmp_path / "prepared.safetensors").write_bytes(b"no")
    with pytest.raises(FormatError, match="damaged"):
        Prepared.load(tmp_path)


def test_another_store_is_refused(design: Design) -> None:
    prepared = Prepared.fit(design, np.ones(len(design)), 5)
    with pytest.raises(MismatchError, match="lacks blocks"):
        prepared.transform(replace(design, blocks=design.blocks[1:]))
