"""The page before any model: counts that add up, intervals over patients, copies and drift found, nobody named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from radboost.booster.apart import tell_apart
from radboost.cli import app
from radboost.data.cohort import NO_BOX, Cohort
from radboost.data.progress import Silent
from radboost.data.task import Images, Metadata, Slots, Target, Task
from radboost.errors import UserError
from radboost.metrics import Bootstrap, Scored, clopper_pearson, clustered_interval
from radboost.report.explore import ExploreConfig, explore
from radboost.report.explore.counts import sizes
from radboost.report.explore.distance import common_fields, distances
from radboost.report.explore.doubles import find_doubles
from radboost.report.explore.faults import faults_section
from radboost.report.explore.fields import look_at
from radboost.report.explore.levels import EMPTY, levels_of
from radboost.report.explore.reading import Opened, end_digest, open_files
from radboost.report.explore.shares import counted, shares_of, whole
from radboost.report.page import Section, Table, render

EVIL = "<script>alert(1)</script>"
FORMULA = "=1+1"
TURNED = "\u202esite"
TASK = Task(
    name="hostile",
    table="labels.csv",
    unit=("patient", "side"),
    group="patient",
    targets=(Target(f"finding {EVIL}", "finding"), Target("grade", "grade", ("none", "some", TURNED))),
    images=Images(paths=("{file}",), size=64),
    slots=Slots(column="view", values=("CC", "MLO"), side="side"),
    metadata=Metadata(numeric=("age",), categorical=("site",), forbidden=("density", "note")),
)
PATIENTS = 40


def cohort_of(root: Path, seed: int = 0, patients: int = PATIENTS, mix: float = 0.5) -> Cohort:
    """Two breasts of two views a patient; one site has most of the findings; names are hostile."""
    random = np.random.default_rng(seed)
    site = np.where(random.random(patients) < mix, EVIL, np.where(random.random(patients) < 0.5, FORMULA, TURNED))
    age = random.integers(35, 99, patients).astype(float)
    age[0], site[0] = np.nan, "only here"
    views = [(side, view) for side in "LR" for view in ("CC", "MLO")]
    rows = [(f"secret{seed}-{p}", *each, site[p], age[p]) for p in range(patients) for each in views]
    table = pd.DataFrame(rows, columns=["group", "laterality", "view", "metadata.site", "metadata.age"])
    ids = [f"{seed:02x}{k:030x}" for k in range(len(table))]
    paths = [f"<img src=x>{seed}-{k}.png" for k in range(len(table))]
    uids = [f"1.2.840.{seed}.{k}" for k in range(len(table))]
    manifest = table.assign(
        crop_id=ids, path=paths, frame=-1, study="", series="", instance=uids, order=0.0, rows=64, columns=48,
        syntax=".png", mirrored=False, **NO_BOX,
    )  # fmt: skip
    unit = table["group"] + "_" + table["laterality"]
    links = pd.DataFrame({"unit": unit, "crop_id": ids, "slot": table["view"], "order": 0.0})
    units = pd.DataFrame({"unit": unit, "group": table["group"], "site": table["metadata.site"]}).drop_duplicates(
        "unit"
    )
    chance = np.where(units["site"] == EVIL, 0.7, 0.05)
    labels = [(random.random(len(units)) < chance).astype(int), random.integers(-1, 3, len(units))]
    targets = pd.concat(
        units[["unit", "group"]].assign(target=t.name, label=label, task_weight=1.0)
        for t, label in zip(TASK.targets, labels, strict=True)
    )
    groups = sorted(set(table["group"]))
    folds = pd.DataFrame({"group": groups, "fold": np.arange(len(groups)) % 4, "split": "train"})
    return Cohort(root, TASK, manifest, links, targets.reset_index(drop=True), folds, bytes([seed + 1]) * 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Pictures under their hostile names, and the table with columns that are no features."""
    folder = tmp_path_factory.mktemp("hostile")
    cohort = cohort_of(folder)
    random = np.random.default_rng(0)
    for path in cohort.manifest["path"]:
        cv2.imwrite(str(folder / path), random.integers(0, 255, (64, 48), np.uint8))
    rows = cohort.manifest.drop_duplicates(["group", "laterality"])
    names = {"patient": rows["group"], "side": rows["laterality"], "site": rows["metadata.site"], "file": rows["path"]}
    table = pd.DataFrame(names).assign(view="CC", age="50", finding="0", grade="none", density="A")
    table["note"] = [f"Mrs. {group} was seen, see the letter to her doctor" for group in table["patient"]]
    table["density"] = np.where(np.arange(len(table)) % 3 == 0, "20110203", "B")
    table.to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def page(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    cohort_of(root).save(folder / "cohort")
    cohort_of(root, seed=1, mix=0.1).save(folder / "target")
    words = ["explore", folder / "cohort", "--target", folder / "target", "--out", folder / "page.html"]
    found = CliRunner().invoke(app, [*map(str, words), "--crops", "2", "--files", "200", "--workers", "1", "--debug"])
    if found.exception:
        raise found.exception
    return folder / "page.html"


def test_a_browser_finds_nothing_amiss(page, check_page):
    check_page(page)


def test_hostile_names_are_text_and_nobody_is_named(page):
    text = page.read_text("utf-8")
    beside = page.with_name("page-files")
    files = {path.name: path.read_text("utf-8") for path in beside.iterdir() if path.suffix != ".png"}
    cohort = Cohort.load(page.with_name("cohort"))
    for name, content in {"page": text, **files}.items():
        assert EVIL not in content or name == "metrics.json" or name.endswith(".csv"), name
        assert "\u202e" not in content, name
        for column in ("group", "path", "instance"):
            assert not [one for one in cohort.manifest[column] if one in content], (name, column)
        assert "doctor" not in content, "free text"
        assert "20110203" not in content, "a date"
        assert "only here" not in content, "a value that one patient alone has"
    assert "&lt;script&gt;alert(1)" in text
    assert "'=1+1" in files["counts.csv"], "a spreadsheet would run it"
    json.loads(files["metrics.json"])


def test_equal_cohorts_give_equal_pages(root):
    config = ExploreConfig(crops=0, files=0, replicates=50)
    first, second = (render(explore(cohort_of(root), None, config)) for _ in range(2))
    assert first == second


def test_shares_are_those_counted_by_hand_and_drawn_by_patient(tmp_path):
    cohort = cohort_of(tmp_path)
    look, how = look_at(cohort, None), Bootstrap(200)
    site = next(one for one in look.fields if one.name == "site")
    levels = levels_of(site, look.group)
    finding = look.findings[0]
    overall, *found = shares_of(look, finding, [whole(look), ("site", levels.names, levels.unit, levels.level)], how)
    table = cohort.targets[cohort.targets["target"] == TASK.targets[0].name].merge(
        cohort.manifest.assign(unit=cohort.manifest["group"] + "_" + cohort.manifest["laterality"])[
            ["unit", "metadata.site"]
        ].drop_duplicates(),
        on="unit",
    )
    by = table.groupby("metadata.site")["label"].agg(["size", "sum", "mean"])
    for one in found:
        if one.level in by.index:
            assert (one.units, one.hits, one.value) == tuple(by.loc[one.level])
    known = cohort.units[["unit", "group"]].merge(table[["unit", "label"]], on="unit")
    rows = Scored(known["label"], np.zeros(len(known)), np.ones(len(known)), look.group)
    drawn = clustered_interval(lambda y, p, w: float(np.average(y, weights=w)), rows, how)
    np.testing.assert_allclose((overall.low, overall.high), drawn, rtol=1e-12)


def test_a_share_of_none_has_the_exact_interval_of_its_patients(tmp_path):
    look = look_at(cohort_of(tmp_path), None)
    none = replace(look.findings[0], has=np.zeros(look.units))
    found = shares_of(look, none, [whole(look)])[0]
    assert (found.value, found.patients) == (0, PATIENTS)
    assert (found.low, found.high) == clopper_pearson(0, PATIENTS)


def test_levels_hide_what_names_somebody_and_count_a_unit_once_each(tmp_path):
    cohort = cohort_of(tmp_path)
    look = look_at(cohort, None)
    fields = {one.name: one for one in look.fields}
    site = levels_of(fields["site"], look.group)
    assert "only here" not in site.names
    assert "one other value" in site.names
    age = levels_of(fields["age"], look.group)
    assert {age.names[-1], age.names[-2]} == {EMPTY, "80 and over"}
    assert np.nanmax(fields["age"].numbers) == 90
    view = {one.level: one for one in counted(look, levels_of(fields["view"], look.group))}
    # Each breast has both views, so each view has every unit, and half of the images.
    assert view["CC"].units == view["MLO"].units == look.units == 2 * PATIENTS
    assert view["CC"].cells == len(cohort.manifest) / 2


def test_copies_are_found_behind_another_header_and_a_crossing_is_told(tmp_path):
    random = np.random.default_rng(0)
    pixels = random.bytes(60_000)
    (tmp_path / "a").write_bytes(b"header" + pixels)
    (tmp_path / "b").write_bytes(b"a longer header of another patient" + pixels)
    (tmp_path / "c").write_bytes(b"header" + random.bytes(60_000))
    (tmp_path / "blank").write_bytes(bytes(60_000))
    one, two, other, blank = (end_digest(tmp_path / name) for name in ("a", "b", "c", "blank"))
    assert one == two != other
    assert blank == end_digest(tmp_path / "not there") == ""
    cohort = cohort_of(tmp_path)
    paths = cohort.manifest["path"].tolist()
    # The first patient's first image is the second patient's too; the third patient's two of one side are alike.
    digest = {path: str(k) for k, path in enumerate(paths)} | {
        paths[0]: "x",
        paths[4]: "x",
        paths[8]: "y",
        paths[9]: "y",
    }
    found = {each.what: each for each in find_doubles(cohort, None, Opened(digest=digest, files=len(paths)))}
    stored = next(each for what, each in found.items() if what.startswith("stored"))
    assert (stored.count, stored.crossing("group")["number"].nunique()) == (2, 1)
    assert found["SOP Instance UID"].count == 0


def test_two_samples_of_one_population_are_not_told_apart_and_shifted_ones_are(tmp_path):
    mine = look_at(cohort_of(tmp_path, 0, 150), None)
    alike, apart = (look_at(cohort_of(tmp_path, seed, 150, mix), None) for seed, mix in ((1, 0.5), (2, 0.05)))
    how = Bootstrap(200)
    for theirs, differs in ((alike, False), (apart, True)):
        pairs = common_fields(mine, theirs, ("metadata", "image"))
        site = next(one for one in distances(mine, theirs, pairs, how) if one.field == "site")
        assert (site.psi > 0.25) is differs
        assert (abs(site.smd) > 0.5 and not site.low <= 0 <= site.high) is differs
        columns = {"site": [look.fields[1].codes for look in (mine, theirs)]}
        code = [np.array([names.index(n) if n in names else -1 for n in own], float) for names, own in _named(columns)]
        group = np.concatenate([mine.group, mine.groups + theirs.group])
        of = np.repeat([0.0, 1.0], [mine.units, theirs.units])
        found = tell_apart(pd.DataFrame({"site": np.concatenate(code)}), of, group, ["site"])
        assert (found.area.low > 0.5) is differs


def _named(columns):
    (codes, others) = columns["site"]
    names = sorted({*codes[1], *others[1]})
    for code, own in (codes, others):
        yield names, [own[k] for k in code[::2]]


def test_the_standardised_difference_is_austins(tmp_path):
    mine, theirs = (look_at(cohort_of(tmp_path, seed), None) for seed in (0, 1))
    pairs = common_fields(mine, theirs, ("metadata",))
    found = next(one for one in distances(mine, theirs, pairs, Bootstrap(50)) if one.field == "age")
    a, b = (look.fields[0].by_unit(look.units) for look in (mine, theirs))
    expected = (np.nanmean(b) - np.nanmean(a)) / np.sqrt((np.nanvar(a) + np.nanvar(b)) / 2)
    np.testing.assert_allclose(found.smd, expected, rtol=1e-9)
    assert found.low < found.smd < found.high


def test_a_reason_that_names_its_file_is_not_shown(tmp_path):
    rows = [("folder/smith.dcm", "decode", "cannot read smith"), ("b.dcm", "decode", "is cut short")]
    cohort = replace(cohort_of(tmp_path), quarantine=pd.DataFrame(rows, columns=["path", "kind", "reason"]))
    section, told = faults_section(cohort)
    table = section.items[0]
    assert isinstance(table, Table)
    reasons = {row[1] for row in table.rows}
    assert "is cut short" in reasons
    assert not [one for one in reasons if "smith" in one]
    assert told == ["2 files are in quarantine: see why below."]
    # What extract set aside later counts as well, wherever the page counts.
    kept = cohort.save(tmp_path / "cohort")
    (tmp_path / "cohort" / "quarantine" / "extract.csv").write_text("path,kind,reason\nc.dcm,decode,is black\n")
    assert faults_section(kept)[1] == ["3 files are in quarantine: see why below."]
    assert sizes(look_at(kept, None))["files in quarantine"] == 3


def test_a_folder_without_labels_and_a_shared_cohort_have_pages(root, tmp_path):
    from radboost.data.share import share_cohort

    config = ExploreConfig(crops=0, files=0, replicates=50)
    cohort = cohort_of(root)
    bare = replace(cohort, task=None, targets=cohort.targets.head(0))
    titles = [item.title for item in explore(bare, None, config).items if isinstance(item, Section)]
    assert "Prevalence by subgroup" not in titles
    assert "Images" in titles
    shared = share_cohort(cohort.save(tmp_path / "private"), tmp_path / "shared", ["age"])
    assert "not here" in render(explore(shared, None, replace(config, crops=2, files=10)))


def test_columns_that_name_patients_or_are_absent_are_refused(root):
    for column in ("patient", "file", "nowhere"):
        with pytest.raises(UserError):
            explore(cohort_of(root), None, ExploreConfig((column,), crops=0, files=0))


def test_a_target_may_lack_what_the_cohort_is_counted_by(root, tmp_path):
    # What comes from the finding is in no table of new exams.
    pd.read_csv(root / "labels.csv", dtype=str).drop(columns="density").to_csv(tmp_path / "labels.csv", index=False)
    config = ExploreConfig(("density",), crops=0, files=0, replicates=50)
    assert "density" in render(explore(cohort_of(root), cohort_of(tmp_path, seed=1), config))


def test_a_cohort_against_itself_is_not_told_apart_and_its_patients_are_recognised(root):
    page = explore(cohort_of(root), cohort_of(root), ExploreConfig(crops=0, files=0, replicates=50))
    drift = page.data["drift"]
    # Each patient's twin is in the fold that is predicted, never in training, so nothing is left to learn from.
    assert drift["auc"].low <= 0.5
    assert drift["both"] == PATIENTS
    assert any(f"{PATIENTS} patients stand in both cohorts" in text for text in page.data["told"])


def test_sizes_of_pictures_are_read_from_their_files_and_a_damaged_one_has_none(root, tmp_path):
    cohort = cohort_of(root)
    unknown = replace(cohort, manifest=cohort.manifest.assign(rows=-1, columns=-1))
    opened = open_files(unknown, 10, 0, 1, Silent())
    filled = opened.filled(unknown).manifest
    read = filled["path"].isin(set(opened.sizes))
    assert read.sum() == 10
    assert (filled.loc[read, ["rows", "columns"]] == [64, 48]).to_numpy().all()
    assert (filled.loc[~read, "rows"] == -1).all()
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    bad = replace(unknown, root=tmp_path, manifest=unknown.manifest.assign(path="bad.png"))
    assert open_files(bad, 10, 0, 1, Silent()).sizes == {"bad.png": (-1, -1)}
