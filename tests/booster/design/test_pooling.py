"""Several crops in one slot become one vector a statistic, each with columns and a name of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radboost.booster.design import Design, build_design, pooling
from radboost.booster.prepare import Prepared
from radboost.data.cohort import Cohort
from radboost.data.task import OPPOSITE

EVERY = ("mean", "max", "std", "best-2")
NAMES = {"mean": "", "max": "/crop-max", "std": "/crop-std", "best-2": "/crop-best-2"}
START = "01234567/avg"


@dataclass(frozen=True)
class TwoPools:
    """A store whose second pooling has other columns."""

    inner: Any
    factor: float = 1.0
    fingerprint_hash: str = "01234567" * 8
    pools: tuple[str, ...] = ("avg", "max")

    def rows_of(self, crop_ids: Any, view: int = 0) -> np.ndarray:
        return self.inner.rows_of(crop_ids)

    def width(self, pool: str) -> int:
        return self.inner.width(pool) - (pool == "max")

    def read(self, pool: str, rows: np.ndarray) -> np.ndarray:
        values = self.factor * self.inner.read("avg", rows)
        return values if pool == "avg" else -values[:, 1:]


def crowded(cohort: Cohort, seed: int = 0) -> Cohort:
    """Deal crops to slots anew, and show units some crops of the other side too: slots hold none, one or several."""
    random = np.random.default_rng(seed)
    crops = cohort.manifest["crop_id"]
    slot = dict(zip(crops, random.choice(["CC", "MLO"], len(crops)), strict=True))
    other = cohort.links["slot"].str.endswith(OPPOSITE)
    links = cohort.links.assign(slot=cohort.links["crop_id"].map(slot) + np.where(other, OPPOSITE, ""))
    more = links[other & (random.random(len(links)) < 0.7)]
    return replace(cohort, links=pd.concat([links, more.assign(slot=more["slot"].str.removesuffix(OPPOSITE))]))


def with_pools(cohort: Cohort, pool: tuple[str, ...]) -> Cohort:
    return replace(cohort, task=replace(cohort.task, slots=replace(cohort.task.slots, pool=pool)))


def by_name(design: Design) -> dict[str, np.ndarray]:
    return {block.name: np.asarray(block.x) for block in design.blocks}


def expected(values: np.ndarray, statistic: str) -> np.ndarray:
    falling = -np.sort(-values.astype(np.float64), axis=0)
    return {
        "mean": falling.mean(axis=0),
        "max": falling[0],
        "std": falling.std(axis=0),
        "best-2": falling[:2].mean(axis=0),
    }[statistic]


@pytest.fixture(scope="module")
def made(make) -> tuple[Cohort, Any]:
    cohort, store = make(patients=12, folds=2, rate=0.6)
    cohort = crowded(cohort)
    counts = cohort.links.groupby(["unit", "slot"]).size()
    assert {1, 2, 3} <= set(counts), "slots with one, two and three crops"
    return with_pools(cohort, EVERY), store


def test_each_statistic_has_its_own_columns(made) -> None:
    cohort, store = made
    blocks = by_name(build_design(cohort, [store]))
    assert list(blocks) == [f"{START}{NAMES[s]}/{kind}" for s in EVERY for kind in ("own", "difference")]
    vectors = dict(zip(store.ids, store.vectors, strict=True))
    sets = cohort.links.groupby(["unit", "slot"])["crop_id"].agg(list).to_dict()
    for statistic in EVERY:
        own, difference = (blocks[f"{START}{NAMES[statistic]}/{kind}"] for kind in ("own", "difference"))
        for row, unit in enumerate(cohort.units["unit"]):
            for part, slot in enumerate(("CC", "MLO")):
                columns = slice(part * 24, (part + 1) * 24)
                here, there = sets.get((unit, slot)), sets.get((unit, slot + OPPOSITE))
                zero = np.zeros(24)
                one = zero if here is None else expected(np.array([vectors[c] for c in here]), statistic)
                two = zero if there is None else expected(np.array([vectors[c] for c in there]), statistic)
                np.testing.assert_allclose(own[row, columns], one, atol=1e-5)
                wanted = zero if here is None or there is None else one - two
                np.testing.assert_allclose(difference[row, columns], wanted, atol=1e-5)


def test_the_mean_alone_keeps_the_names_and_values_it_had(made) -> None:
    cohort, store = made
    alone, beside = (by_name(build_design(with_pools(cohort, p), [store])) for p in (("mean",), EVERY))
    assert list(alone) == [f"{START}/own", f"{START}/difference"]
    for name, x in alone.items():
        np.testing.assert_array_equal(x, beside[name])


def test_slots_may_stand_in_blocks_of_their_own(made) -> None:
    cohort, store = made
    apart = replace(cohort.task, slots=replace(cohort.task.slots, pool=("mean",), blocks=(("MLO",), ("CC",))))
    whole = by_name(build_design(with_pools(cohort, ("mean",)), [store]))
    design = build_design(replace(cohort, task=apart), [store])
    parts = by_name(design)
    # The same numbers in other blocks: each is scaled, reduced and penalised by itself.
    assert list(parts) == [f"{START}/{kind}/{slot}" for kind in ("own", "difference") for slot in ("MLO", "CC")]
    for kind in ("own", "difference"):
        both = np.hstack([parts[f"{START}/{kind}/{slot}"] for slot in ("CC", "MLO")])
        np.testing.assert_array_equal(both, whole[f"{START}/{kind}"])
    assert len(Prepared.fit(design, np.ones(len(design)), 4).spans) >= 4


def test_portions_do_not_change_what_is_pooled(made, monkeypatch: pytest.MonkeyPatch) -> None:
    cohort, store = made
    whole = by_name(build_design(cohort, [store]))
    monkeypatch.setattr(pooling, "NUMBERS_AT_ONCE", 4 * 24)
    for name, x in by_name(build_design(cohort, [store])).items():
        np.testing.assert_array_equal(x, whole[name])


def test_crops_that_many_units_share_are_pooled_once(make) -> None:
    """Conditions of one study see the same slices: their vector is held once, not once a unit."""
    cohort, store = make(patients=10, folds=2, rate=0.6, sides=False)
    crops = cohort.manifest.sort_values(["group", "crop_id"])[["group", "crop_id"]]
    links = cohort.units[["unit", "group"]].merge(crops, on="group").assign(slot="CC", order=0.0)
    design = build_design(replace(cohort, links=links[cohort.links.columns]), [store])
    assert len(design) == 20
    assert len(design.blocks[0].x.vectors.several) == 10
    np.testing.assert_array_equal(design.blocks[0].x[0:1], design.blocks[0].x[1:2])


def test_two_stores_of_two_pools_stand_side_by_side(made) -> None:
    cohort, store = made
    one, two = TwoPools(store), TwoPools(store, 2.0, "fedcba98" * 8)
    blocks = by_name(build_design(with_pools(cohort, ("mean", "max")), [one, two]))
    names = [f"{s}/{p}" for s in ("01234567", "fedcba98") for p in ("avg", "max")]
    statistics = ("", "/crop-max")
    assert list(blocks) == [f"{n}{s}/{kind}" for n in names for s in statistics for kind in ("own", "difference")]
    np.testing.assert_allclose(blocks["fedcba98/avg/own"], 2 * blocks["01234567/avg/own"], atol=1e-5)
    assert blocks["01234567/max/own"].shape[1] == 2 * 23
    design = build_design(with_pools(cohort, ("mean", "max")), [one, two])
    features = Prepared.fit(design, np.ones(len(design))).features
    assert len(set(features)) == len(features)
    assert {"fedcba98/max/crop-max/own/pc0", "01234567/avg/difference/pc0"} <= set(features)


def test_a_spread_of_single_crops_is_no_feature(make) -> None:
    cohort, store = make(patients=10, folds=2, rate=0.6)
    design = build_design(with_pools(cohort, ("mean", "std")), [store])
    spread = next(block for block in design.blocks if block.name.endswith("crop-std/own"))
    assert spread.present.all()
    assert not np.asarray(spread.x).any()
    assert not any("crop-std" in name for name in Prepared.fit(design, np.ones(len(design))).features)


def test_vectors_of_single_crops_are_not_held_and_cutting_copies_none(make) -> None:
    """What is held would grow with the cohort, and once more with every cut."""
    cohort, store = make(patients=10, folds=2, rate=0.6)
    design = build_design(cohort, [store])
    cut = design.take(np.arange(5))
    for block, part in zip(design.blocks, cut.blocks, strict=True):
        assert block.x.vectors.several.size == 0
        assert part.x.vectors is block.x.vectors


def test_what_a_row_holds_does_not_depend_on_rows_beside_it(made) -> None:
    design = build_design(made[0], [made[1]])
    for block in design.blocks:
        whole = np.asarray(block.x)
        rows = np.array([5, 2, 2, 11])
        np.testing.assert_array_equal(block.x[rows], whole[rows])
        np.testing.assert_array_equal(block.take(rows).x[1:], whole[rows[1:]])
        np.testing.assert_array_equal(block.take(rows).present, block.present[rows])
