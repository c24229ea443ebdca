"""Units that are slices know their series and their place in it, whatever the cohort's key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.booster.design import build_design
from radboost.data.cohort import Cohort


def as_slices(cohort: Cohort, seed: int = 0) -> Cohort:
    """One crop a unit, a series a patient, slices of a series in an order of their own."""
    own = cohort.links[~cohort.links["slot"].str.endswith("/opposite")].reset_index(drop=True)
    own = own.assign(unit=own["unit"] + own["slot"])
    manifest = cohort.manifest.assign(series="1.2." + cohort.manifest["group"].str[3:])
    manifest["order"] = np.random.default_rng(seed).permutation(len(manifest)).astype(float)
    targets = cohort.targets.merge(
        own.assign(base=own["unit"].str.removesuffix("CC").str.removesuffix("MLO")),
        left_on="unit",
        right_on="base",
        suffixes=("_old", ""),
    )
    task = replace(cohort.task, slots=replace(cohort.task.slots, side=None))
    return replace(cohort, task=task, manifest=manifest, links=own, targets=targets[cohort.targets.columns])


def test_slices_are_ranked_within_their_own_series(make) -> None:
    cohort = as_slices(make(patients=7, folds=2, rate=0.6)[0])
    design = build_design(cohort, [])
    orders = cohort.links.merge(cohort.manifest, on="crop_id").set_index("unit")["order_y"]
    order = orders[cohort.units["unit"]].to_numpy()
    groups = cohort.units["group"].to_numpy()
    assert len(np.unique(design.sequence)) == 7
    for number in np.unique(design.sequence):
        rows = np.flatnonzero(design.sequence == number)
        assert len(set(groups[rows])) == 1
        assert sorted(design.position[rows]) == list(range(4))
        assert (np.diff(order[rows[np.argsort(design.position[rows])]]) > 0).all()


def test_slices_at_one_place_keep_the_order_of_their_units(make) -> None:
    cohort = as_slices(make(patients=5, folds=2, rate=0.6)[0])
    tied = replace(cohort, manifest=cohort.manifest.assign(order=0.0))
    design = build_design(tied, [])
    for number in np.unique(design.sequence):
        assert design.position[design.sequence == number].tolist() == [0, 1, 2, 3]


def test_a_series_never_reaches_over_two_patients(make) -> None:
    cohort = as_slices(make(patients=5, folds=2, rate=0.6)[0])
    design = build_design(replace(cohort, manifest=cohort.manifest.assign(series="1.2")), [])
    assert len(np.unique(design.sequence)) == 5


def test_units_without_a_series_have_no_place(make) -> None:
    cohort = as_slices(make(patients=5, folds=2, rate=0.6)[0])
    first = cohort.manifest["group"] == "PAT0000"
    nameless = cohort.manifest.assign(series=cohort.manifest["series"].where(~first, ""))
    design = build_design(replace(cohort, manifest=nameless), [])
    lost = (cohort.units["group"] == "PAT0000").to_numpy()
    assert (design.sequence[lost] == -1).all()
    assert (design.position[lost] == -1).all()
    assert (design.position[~lost] >= 0).all()


def test_units_of_several_crops_have_no_order(make) -> None:
    cohort, store = make(patients=5, folds=2, rate=0.6)
    design = build_design(cohort, [store])
    assert (design.sequence == -1).all()
    assert (design.position == -1).all()


@pytest.mark.parametrize("positions", [True, False])
def test_take_cuts_the_order_too(make, positions: bool) -> None:
    design = build_design(as_slices(make(patients=5, folds=2, rate=0.6)[0]), [])
    mask = np.arange(len(design)) % 3 == 0
    cut = design.take(np.flatnonzero(mask) if positions else mask)
    assert cut.sequence.tolist() == design.sequence[mask].tolist()
    assert cut.position.tolist() == design.position[mask].tolist(), "a rank stays that in the whole series"
