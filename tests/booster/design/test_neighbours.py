"""Slices see their neighbours in the series, and nothing beyond its ends."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from radboost.booster.design import build_design
from radboost.booster.design.order import neighbours
from radboost.booster.prepare import Prepared
from radboost.data.cohort import Cohort
from radboost.errors import UserError


def as_slices(cohort: Cohort, reach: int = 2) -> Cohort:
    """The first crops of each patient as slices of one series, a unit each, in the order of their names."""
    manifest = cohort.manifest.sort_values(["group", "path"], ignore_index=True)
    manifest = manifest.assign(series="1.2." + manifest["group"].str[3:])
    manifest["order"] = manifest.groupby("group").cumcount().astype(float)
    links = manifest[["crop_id", "order"]].assign(unit=manifest["path"], slot="image")
    targets = manifest[["group"]].assign(unit=manifest["path"], target="cancer", label=0, task_weight=1.0)
    slots = replace(cohort.task.slots, column=None, values=("image",), side=None, neighbours=reach)
    task = replace(cohort.task, slots=slots)
    return replace(cohort, task=task, manifest=manifest, links=links, targets=targets)


def by_kind(design: Any) -> dict[str, np.ndarray]:
    return {block.name.rpartition("/")[2]: np.asarray(block.x, dtype=np.float64) for block in design.blocks}


@pytest.mark.parametrize("reach", [1, 2, 7])
def test_neighbours_are_averaged_within_one_series(make, reach: int) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    design = build_design(as_slices(cohort, reach), [store])
    x = by_kind(design)
    assert list(x) == ["own", "neighbours", "neighbour-difference"]
    for row in range(len(design)):
        apart = np.abs(design.position - design.position[row])
        near = (design.sequence == design.sequence[row]) & (apart >= 1) & (apart <= reach)
        mean = x["own"][near].mean(axis=0)
        np.testing.assert_allclose(x["neighbours"][row], mean, atol=1e-5)
        np.testing.assert_allclose(x["neighbour-difference"][row], x["own"][row] - mean, atol=1e-5)
    assert all(block.present.all() for block in design.blocks)


def test_a_slice_that_could_not_be_embedded_is_nobodys_neighbour(make) -> None:
    cohort, store = make(patients=4, folds=2, rate=0.6)
    cohort = as_slices(cohort, 1)
    lost = cohort.manifest["crop_id"][1]
    kept = [i for i, c in enumerate(store.ids) if c != lost]
    design = build_design(cohort, [replace(store, ids=[store.ids[i] for i in kept], vectors=store.vectors[kept])])
    own, near, difference = design.blocks
    x = by_kind(design)
    # Slices 0 to 3 of the first patient; 1 is lost.
    assert own.present[:4, 0].tolist() == [True, False, True, True]
    assert near.present[:4, 0].tolist() == [False, True, True, True], "the first slice's only neighbour is lost"
    assert difference.present[:4, 0].tolist() == [False, False, True, True]
    np.testing.assert_allclose(x["neighbours"][1], (x["own"][0] + x["own"][2]) / 2, atol=1e-5)
    np.testing.assert_allclose(x["neighbours"][2], x["own"][3], atol=1e-6)
    assert not x["neighbours"][0].any()
    assert not x["neighbour-difference"][1].any()


def test_cutting_units_leaves_them_their_neighbours(make) -> None:
    """Neighbours need no label: what a slice's neighbours look like does not depend on who is learnt from."""
    cohort, store = make(patients=4, folds=2, rate=0.6)
    design = build_design(as_slices(cohort), [store])
    rows = np.array([0, 3, 5])
    for block, cut in zip(design.blocks, design.take(rows).blocks, strict=True):
        np.testing.assert_array_equal(cut.x, np.asarray(block.x)[rows])


def test_names_tell_the_columns(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    design = build_design(as_slices(cohort), [store])
    features = Prepared.fit(design, np.ones(len(design)), 2).features
    assert "01234567/avg/neighbours/pc0" in features
    assert "01234567/avg/neighbour-difference/pc1" in features


def test_units_without_an_order_are_refused(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    slots = replace(cohort.task.slots, neighbours=1)
    with pytest.raises(UserError, match="units of one crop each, in a series"):
        build_design(replace(cohort, task=replace(cohort.task, slots=slots)), [store])
    slices = as_slices(cohort)
    with pytest.raises(UserError, match="units of one crop each, in a series"):
        build_design(replace(slices, manifest=slices.manifest.assign(series="")), [store])
    build_design(slices, [])


def test_ends_and_strangers_have_no_neighbours() -> None:
    sequence, position = np.array([1, 0, 1, -1, 0, 1, 2]), np.array([2, 0, 0, -1, 1, 1, 0])
    near = neighbours(sequence, position, 2)
    sets = [sorted(row[row >= 0].tolist()) for row in near]
    assert sets == [[2, 5], [4], [0, 5], [], [1], [0, 2], []]
    assert neighbours(sequence, position, 0).shape == (7, 0)


@dataclass(frozen=True)
class Viewed:
    """A store of which some crops have augmented views, each farther off."""

    inner: Any
    views: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def rows_of(self, crop_ids: Any, view: int = 0) -> np.ndarray:
        rows = self.inner.rows_of(crop_ids)
        # Every other crop has further views.
        there = (rows >= 0) & ((view == 0) | ((rows % 2 == 0) & (view <= self.views)))
        return np.where(there, rows + 1000 * view, -1)

    def read(self, pool: str, rows: np.ndarray) -> np.ndarray:
        return self.inner.read(pool, rows % 1000).astype(np.float32) + (rows // 1000)[:, None]


def test_an_augmented_view_stands_where_the_store_has_it(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    cohort, viewed = as_slices(cohort), Viewed(store, 2)
    crops = cohort.links.set_index("unit")["crop_id"][cohort.units["unit"]]
    has = store.rows_of(crops) % 2 == 0
    assert 0 < has.sum() < len(has)
    clean = build_design(cohort, [viewed])
    for view in (1, 2, 3):
        design = build_design(cohort, [viewed], view=view)
        moved = np.asarray(design.blocks[0].x) - np.asarray(clean.blocks[0].x)
        expected = np.where(has, view if view <= 2 else 0, 0).astype(float)
        np.testing.assert_allclose(moved, np.repeat(expected[:, None], 24, axis=1), atol=1e-5)
        assert design.unit.tolist() == clean.unit.tolist()
        np.testing.assert_array_equal(design.blocks[0].present, clean.blocks[0].present)
