"""Metadata of a unit: what the task declares, from its own crops, under names that tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from radboost.booster.design import build_design
from radboost.booster.leaks import check_leaks
from radboost.booster.prepare import METADATA_BLOCK, Prepared
from radboost.data.cohort import Cohort
from radboost.data.metadata import MISSING
from radboost.data.task import Metadata
from radboost.errors import LeakError, UserError


def declared(cohort: Cohort, headers: dict[str, Any] | None = None, **fields: Any) -> Cohort:
    """Let the task declare metadata, and give the cohort header features, one value a crop."""
    names = () if headers is None else tuple(headers)
    task = replace(cohort.task, metadata=Metadata(**{"headers": names, **fields}))
    table = None if headers is None else pd.DataFrame({"crop_id": cohort.manifest["crop_id"], **headers})
    return replace(cohort, task=task, headers=table)


@pytest.fixture
def cohort(make) -> Cohort:
    return make(patients=8, folds=2, rate=0.6)[0]


def own_crops(cohort: Cohort, unit: str) -> pd.DataFrame:
    own = cohort.links[(cohort.links["unit"] == unit) & cohort.links["slot"].isin(["CC", "MLO"])]
    return own.sort_values(["slot", "order"])


def test_counts_are_of_own_crops_by_slot(cohort: Cohort) -> None:
    links = cohort.links
    gone = (links["unit"] == "PAT0002_L") & (links["slot"] == "MLO")
    twice = cohort.links["slot"].where(links["unit"] != "PAT0003_R", "CC")
    cohort = declared(replace(cohort, links=links.assign(slot=twice)[~gone]), counts=True)
    metadata = build_design(cohort, []).metadata
    assert list(metadata.columns) == ["count.CC", "count.MLO"]
    found = dict(zip(cohort.units["unit"], metadata.to_numpy().tolist(), strict=True))
    assert found.pop("PAT0002_L") == [1, 0]
    assert found.pop("PAT0003_R") == [4, 0], "its links to the other side were made its own"
    assert set(map(tuple, found.values())) == {(1, 1)}


def test_header_features_are_averaged_and_the_first_word_taken(cohort: Cohort) -> None:
    n = len(cohort.manifest)
    thickness, words = np.arange(n, dtype=float), np.array(["", "GE", "Siemens"], dtype=object)[np.arange(n) % 3]
    thickness[:2] = np.nan
    cohort = declared(cohort, {"slice_thickness": thickness, "manufacturer": words})
    metadata = build_design(cohort, []).metadata
    assert list(metadata.columns) == ["header.slice_thickness", "header.manufacturer"]
    place = {c: i for i, c in enumerate(cohort.manifest["crop_id"])}
    for row, unit in enumerate(cohort.units["unit"]):
        at = [place[c] for c in own_crops(cohort, unit)["crop_id"]]
        known = thickness[at][~np.isnan(thickness[at])]
        mean = known.mean() if len(known) else np.nan
        np.testing.assert_allclose(metadata["header.slice_thickness"][row], mean)
        named = [words[i] for i in at if words[i]]
        assert metadata["header.manufacturer"][row] == (named[0] if named else MISSING)


def test_header_features_survive_saving(cohort: Cohort, tmp_path: Any) -> None:
    cohort = declared(cohort, {"rows": np.arange(len(cohort.manifest), dtype=float)})
    saved = cohort.save(tmp_path / "cohort")
    pd.testing.assert_frame_equal(build_design(saved, []).metadata, build_design(cohort, []).metadata)


def test_a_number_also_stands_as_a_category_where_the_task_says_so(cohort: Cohort) -> None:
    n = len(cohort.manifest)
    # Two machines' settings, one of them written with the noise of a table position; and a hole.
    gaps = np.where(np.arange(n) % 2, 4.99998, 5.00001)
    gaps[np.arange(n) % 4 > 1] = 0.488281
    of = {"gap_before": np.where(cohort.manifest["group"] == "PAT0001", np.nan, gaps[0])}
    metadata = build_design(declared(cohort, of, categories=("gap_before",)), []).metadata
    assert list(metadata.columns) == ["header.gap_before", "category.header.gap_before"]
    assert set(metadata["category.header.gap_before"]) == {"5", MISSING}
    own = {"gap_before": gaps[pd.factorize(cohort.manifest["group"])[0]]}
    metadata = build_design(declared(cohort, own, categories=("gap_before",)), []).metadata
    assert set(metadata["category.header.gap_before"]) == {"5", "0.488"}
    design = build_design(declared(cohort, own, categories=("gap_before",)), [])
    features = Prepared.fit(design, np.ones(len(design))).features
    assert {f"category.header.gap_before={v}" for v in ("5", "0.488")} <= set(features)


def test_relative_is_to_the_patients_other_units(cohort: Cohort) -> None:
    random = np.random.default_rng(0)
    depth = random.normal(size=len(cohort.manifest)) + 1e3
    age = cohort.manifest["metadata.age"].where(cohort.manifest["group"] != "PAT0001", "")
    cohort = replace(cohort, manifest=cohort.manifest.assign(**{"metadata.age": age}))
    lone = ~cohort.targets["unit"].eq("PAT0004_R")
    links = cohort.links[~cohort.links["unit"].eq("PAT0004_R")]
    cohort = replace(cohort, links=links, targets=cohort.targets[lone])
    cohort = declared(cohort, {"slice_thickness": depth}, numeric=("age",), relative=("age", "slice_thickness"))
    metadata = build_design(cohort, []).metadata
    assert list(metadata.columns) == [
        "age",
        "header.slice_thickness",
        "relative.age",
        "relative.header.slice_thickness",
    ]
    groups = cohort.units["group"].to_numpy()
    for name in ("age", "header.slice_thickness"):
        values = metadata[name].to_numpy()
        for row in range(len(values)):
            others = values[(groups == groups[row]) & (np.arange(len(values)) != row)]
            expected = values[row] - np.mean(others) if len(others) else np.nan
            np.testing.assert_allclose(metadata[f"relative.{name}"][row], expected, atol=1e-8)
    alone = (cohort.units["unit"] == "PAT0004_L").to_numpy()
    assert metadata["relative.age"][alone].isna().all()
    assert metadata["relative.age"][(groups == "PAT0001")].isna().all()


def test_new_columns_are_encoded_under_their_names(make) -> None:
    cohort, store = make(patients=30, folds=2)
    n = len(cohort.manifest)
    headers = {"slice_thickness": np.where(np.arange(n) % 8 < 2, np.nan, np.arange(n) % 5.0), "plane": ["axial"] * n}
    fields = {"numeric": ("age",), "categorical": ("site",), "counts": True, "relative": ("slice_thickness",)}
    design = build_design(declared(cohort, headers, **fields), [store])
    prepared = Prepared.fit(design, np.ones(len(design)))
    names = prepared.features[-prepared.spans[-1].stop + prepared.spans[-1].start :]
    assert prepared.spans[-1].name == METADATA_BLOCK
    assert names == [
        "age",
        "count.CC",
        "count.MLO",
        "header.slice_thickness",
        f"header.slice_thickness={MISSING}",
        "relative.header.slice_thickness",
        f"relative.header.slice_thickness={MISSING}",
        *("site=A", "site=B", "site=C", "header.plane=axial"),
    ]
    assert np.isfinite(prepared.transform(design)).all()


@pytest.mark.parametrize("kind", ["header", "count"])
def test_a_derived_column_that_tells_the_label_is_a_leak(make, kind: str) -> None:
    cohort, store = make(patients=60, signal=1.0)
    label = cohort.targets.set_index("unit")["label"]
    if kind == "header":
        owner = cohort.manifest["path"].str.removesuffix(".dcm").str.replace(r"(CC|MLO)$", "", regex=True)
        cohort = declared(cohort, {"window_width": label[owner].to_numpy(float)})
        named = "header.window_width"
    else:
        dropped = cohort.links["unit"].map(label).eq(1) & cohort.links["slot"].eq("MLO")
        cohort = declared(replace(cohort, links=cohort.links[~dropped]), counts=True)
        named = "count.MLO"
    with pytest.raises(LeakError, match=named):
        check_leaks(cohort, build_design(cohort, [store]), [store])


def test_what_is_not_there_is_refused_with_what_is(cohort: Cohort) -> None:
    absent = declared(cohort, headers=None)
    absent = replace(absent, task=replace(absent.task, metadata=Metadata(headers=("rows",))))
    with pytest.raises(UserError, match=r"holds no header features \(got rows\)"):
        build_design(absent, [])
    n = len(cohort.manifest)
    some = declared(cohort, {"rows": np.ones(n), "plane": ["axial"] * n})
    lacking = replace(some, task=replace(some.task, metadata=Metadata(headers=("columns",))))
    with pytest.raises(UserError, match=r"no such header features \(got columns\). Known: rows, plane"):
        build_design(lacking, [])
    words = replace(some, task=replace(some.task, metadata=Metadata(headers=("plane",), relative=("plane",))))
    with pytest.raises(UserError, match="words where only numbers can stand"):
        build_design(words, [])
