"""The design holds, for each unit, what its own crops say and nothing of another's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.booster.design import build_design
from radboost.data.task import OPPOSITE, Metadata
from radboost.errors import FormatError, MismatchError, UserError


def own_mean(cohort, store, unit: str, slot: str) -> np.ndarray:
    crops = cohort.links[(cohort.links["unit"] == unit) & (cohort.links["slot"] == slot)]["crop_id"]
    return store.read("avg", store.rows_of(crops)).astype(np.float32).mean(axis=0)


def test_slots_stand_side_by_side_and_differences_beside_them(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    design = build_design(cohort, [store])
    own, difference = (np.asarray(b.x) for b in design.blocks)
    for row, unit in enumerate(cohort.units["unit"]):
        for part, slot in enumerate(("CC", "MLO")):
            columns = slice(part * 24, (part + 1) * 24)
            here = own_mean(cohort, store, unit, slot)
            np.testing.assert_allclose(own[row, columns], here, atol=1e-6)
            other = own_mean(cohort, store, unit, slot + OPPOSITE)
            np.testing.assert_allclose(difference[row, columns], here - other, atol=1e-5)
    assert design.blocks[0].present.all()
    assert design.unit.tolist() == cohort.units["unit_id"].tolist()


def test_several_crops_in_one_slot_are_averaged(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    merged = replace(cohort, links=cohort.links.assign(slot=cohort.links["slot"].str.replace("MLO", "CC")))
    design = build_design(merged, [store])
    unit = cohort.units["unit"][0]
    both = (own_mean(cohort, store, unit, "CC") + own_mean(cohort, store, unit, "MLO")) / 2
    np.testing.assert_allclose(np.asarray(design.blocks[0].x)[0, :24], both, atol=1e-5)
    assert not design.blocks[0].present[:, 1].any()


def test_a_unit_does_not_depend_on_the_others(make) -> None:
    cohort, store = make(patients=40)
    units = cohort.units["unit"][10:21]
    alone = replace(
        cohort,
        links=cohort.links[cohort.links["unit"].isin(units)],
        targets=cohort.targets[cohort.targets["unit"].isin(units)],
    )
    few, all_of_them = build_design(alone, [store]), build_design(cohort, [store])
    rows = np.flatnonzero(np.isin(all_of_them.unit, few.unit))
    for a, b in zip(few.blocks, all_of_them.take(rows).blocks, strict=True):
        np.testing.assert_array_equal(a.x, b.x)


def test_crops_that_could_not_be_embedded_leave_their_slot_absent(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    lost = cohort.links[(cohort.links["unit"] == "PAT0000_L") & (cohort.links["slot"] == "CC")]["crop_id"].iloc[0]
    kept = [i for i, c in enumerate(store.ids) if c != lost]
    design = build_design(cohort, [replace(store, ids=[store.ids[i] for i in kept], vectors=store.vectors[kept])])
    own, difference = design.blocks
    left, right = (int(np.flatnonzero(cohort.units["unit"] == u)[0]) for u in ("PAT0000_L", "PAT0000_R"))
    assert own.present[[left, right]].tolist() == [[False, True], [True, True]]
    assert difference.present[[left, right]].tolist() == [[False, True], [False, True]]
    assert not np.asarray(own.x)[left, :24].any()
    assert not np.asarray(difference.x)[right, :24].any()


def test_a_unit_without_any_crop_is_still_there(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    gone = cohort.links["unit"] == "PAT0001_L"
    design = build_design(replace(cohort, links=cohort.links[~gone]), [store])
    row = int(np.flatnonzero(cohort.units["unit"] == "PAT0001_L")[0])
    assert len(design) == len(cohort.units)
    assert not design.blocks[0].present[row].any()
    assert np.isnan(design.metadata["age"][row])


def test_labels_and_weights_stand_beside_their_units(make) -> None:
    cohort, store = make(unlabelled=0.3)
    design = build_design(cohort, [store])
    table = cohort.targets.set_index("unit").loc[cohort.units["unit"]]
    assert design.label[:, 0].tolist() == table["label"].tolist()
    assert (design.label < 0).any()


def test_metadata_comes_from_own_crops(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    design = build_design(cohort, [store])
    ages = cohort.manifest["metadata.age"].astype(float).groupby(cohort.manifest["group"]).first()
    np.testing.assert_allclose(design.metadata["age"], ages[cohort.units["group"]])


def test_take_cuts_every_field(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    design = build_design(cohort, [store])
    mask = np.arange(len(design)) % 3 == 0
    for cut in (design.take(mask), design.take(np.flatnonzero(mask))):
        assert len(cut) == len(cut.metadata) == len(cut.label) == len(cut.blocks[1].x) == mask.sum()
        assert cut.unit.tolist() == design.unit[mask].tolist()


def test_what_does_not_belong_together_is_refused(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    with pytest.raises(MismatchError, match="none of the cohort's crops"):
        build_design(cohort, [replace(store, ids=["x" * 32] * len(store.ids))])
    with pytest.raises(MismatchError, match="given twice"):
        build_design(cohort, [store, store])
    with pytest.raises(MismatchError, match="without a task"):
        build_design(replace(cohort, task=None), [store])
    with pytest.raises(UserError, match="nothing to learn from"):
        build_design(replace(cohort, task=replace(cohort.task, metadata=Metadata())), [])
    broken = store.vectors.copy()
    broken[3, 3] = np.nan
    with pytest.raises(FormatError, match="not finite"):
        build_design(cohort, [replace(store, vectors=broken)])
