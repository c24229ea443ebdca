"""A patient or an image on both sides is refused, by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from radboost.booster.design import build_design
from radboost.booster.leaks import check_leaks
from radboost.errors import LeakError, UserError


def test_a_clean_cohort_passes(make) -> None:
    cohort, store = make(patients=12, folds=2, rate=0.6)
    check_leaks(cohort, build_design(cohort, [store]))


def test_a_group_in_two_folds_is_refused_unless_allowed(make) -> None:
    cohort, store = make(patients=12, folds=2, rate=0.6)
    design = build_design(cohort, [store])
    torn = replace(design, fold=np.where(np.arange(len(design)) == 0, 1 - design.fold, design.fold))
    with pytest.raises(LeakError, match=r"group.*two folds.*--allow-leak group") as error:
        check_leaks(cohort, torn, ("crop",))
    assert "PAT" not in str(error.value), "names are hashed"
    check_leaks(cohort, torn, ("group", "crop"))


def test_a_crop_of_two_patients_is_refused(make) -> None:
    cohort, store = make(patients=12, folds=2, rate=0.6)
    folds = cohort.folds.set_index("group")["fold"]
    a, b = folds.index[folds == 0][0], folds.index[folds == 1][0]
    stolen = cohort.links["crop_id"][cohort.links["unit"] == f"{a}_L"].iloc[0]
    links = cohort.links.copy()
    at = links.index[(links["unit"] == f"{b}_L") & links["slot"].str.endswith("/opposite")][0]
    links.loc[at, "crop_id"] = stolen
    leaky = replace(cohort, links=links)
    with pytest.raises(LeakError, match=r"crop.*two folds"):
        check_leaks(leaky, build_design(leaky, [store]))


def test_an_unknown_leak_cannot_be_allowed(make) -> None:
    cohort, store = make(patients=6, folds=2, rate=0.6)
    with pytest.raises(UserError, match="no leak has this name"):
        check_leaks(cohort, build_design(cohort, [store]), ("all",))
