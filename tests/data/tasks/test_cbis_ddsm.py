"""CBIS-DDSM from its folder to cohorts of abnormalities, patches and pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import BOX, METADATA, Cohort
from radboost.data.dicom import read_frame
from radboost.data.index import IndexConfig, index
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.regions import Patches
from radboost.data.roi.rows import FINDING, patch_task
from radboost.data.roi.sampler import covered
from radboost.data.splits import FoldSpec
from radboost.data.task import Task
from radboost.data.tasks import get_task
from radboost.errors import UserError

TASK = get_task("cbis-ddsm")
PHANTOM = CbisPhantom(patients=24, seed=5, pixels=256, resized=0.3, swapped=0.5)
SIZE = 40


def made(root: Path, patches: str | None = None, **how: object) -> Cohort:
    """A cohort; the files of a folder are read for the first one and noted for the others."""
    task = TASK if patches is None else patch_task(TASK, Patches.parse(patches, SIZE))
    notes = root.with_name(f"{root.name}.notes")
    config = IndexConfig(**{"folds": FoldSpec(2), "key": bytes(32), "workers": 1, "journal": notes, **how})
    return index(root, task, config).cohort


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("cbis") / "data"
    write_cbis_ddsm(out, PHANTOM)
    return out


@pytest.fixture(scope="module")
def truth(data) -> pd.DataFrame:
    return pd.read_csv(data / "truth" / "regions.csv").set_index("unit")


@pytest.fixture(scope="module")
def cohort(data) -> Cohort:
    return made(data)


@pytest.fixture(scope="module")
def patches(data) -> Cohort:
    return made(data, "s10")


def boxes_of(cohort: Cohort) -> pd.DataFrame:
    """Path and box of each unit of one crop."""
    crops = cohort.links.merge(cohort.manifest, on="crop_id").set_index("unit")
    return crops[["path", *BOX[:4]]]


def test_every_abnormality_is_a_unit_cut_around_its_region(cohort, truth):
    found = boxes_of(cohort).loc[truth.index]
    # To a pixel of the smallest mask, which has four fifths of the film's side.
    assert (found["box_left"] <= truth["x0"] + 1.5).all()
    assert (found["box_top"] <= truth["y0"] + 1.5).all()
    assert (found["box_right"] >= truth["x1"] - 1.5).all()
    assert (found["box_bottom"] >= truth["y1"] - 1.5).all()
    sides = found["box_right"] - found["box_left"]
    np.testing.assert_array_equal(sides, found["box_bottom"] - found["box_top"])
    longer = np.maximum(truth["x1"] - truth["x0"], truth["y1"] - truth["y0"])
    np.testing.assert_allclose(sides, np.maximum(1.5 * longer, 64), atol=6)
    labels = cohort.targets.set_index("unit")["label"]
    assert labels.loc[truth.index].tolist() == truth["malignant"].tolist()
    assert len(cohort.quarantine) == 0


def test_masks_and_crops_are_never_images(data, cohort, patches):
    for each in (cohort, patches):
        folders = each.manifest["path"].str.split("/").str[1]
        assert folders.str.fullmatch(r"(Mass|Calc)-(Training|Test)_P_\d+_(LEFT|RIGHT)_(CC|MLO)").all()
    swapped = [p for p in data.rglob("1-1.dcm") if "ROI mask" in p.parent.name and read_frame(p).pixels.itemsize == 1]
    assert swapped, "the case would prove nothing"


def test_patches_show_what_their_class_says(patches, cohort, truth):
    crops = patches.links.merge(patches.manifest, on="crop_id").merge(patches.targets, on=["unit", "group"])
    names = np.array(patches.task.target(FINDING).classes)[crops["label"]]
    assert set(names) == set(TASK.regions.names)
    boxes = crops[BOX[:4]].to_numpy(np.int64)
    assert (boxes[:, 2:] - boxes[:, :2] == SIZE).all()
    kinds = cohort.manifest.merge(cohort.links, on="crop_id").set_index("unit")[METADATA + "type"]
    regions = truth[["x0", "y0", "x1", "y1"]]
    # Films with findings of both kinds are there twice: a film is a patient's breast in a view.
    pictures = pd.Series(truth.index, index=truth.index).str.extract(r"(P_\d+_\w+_(?:CC|MLO))")[0]
    for unit, name, box in zip(crops["unit"], names, boxes, strict=True):
        if "_background_" in unit:
            assert name == "background"
            all_of_it = regions[pictures == unit.partition("_background_")[0]].to_numpy()
            # The masks of four fifths of the size are a pixel off.
            assert (covered(box[None], all_of_it) <= 0.35 + 0.06).all()
        else:
            of = unit.rpartition("_")[0]
            assert name == f"{('benign', 'malignant')[truth.loc[of, 'malignant']]} {kinds[of]}"
            middle = (box[:2] + box[2:]) / 2
            x0, y0, x1, y1 = regions.loc[of]
            near = (x0 - 2 <= middle[0] <= x1 + 2, y0 - 2 <= middle[1] <= y1 + 2)
            assert near[1] or box[1] == 0 or box[3] == 256, "moved into the frame only"
            assert near[0] or box[0] == 0 or box[2] == 205
    counts = crops.groupby(crops["unit"].str.replace(r"_\d+$", "", regex=True)).size()
    assert (counts[~counts.index.str.endswith("_background")] == 10).all()


def test_what_was_found_is_no_feature_of_a_patch(patches):
    # The table that a film is in says mass or calcification of every patch cut from it.
    assert set(patches.task.feature_columns) == {"density", "side", "view"}
    assert METADATA + "type" not in patches.manifest.columns


def test_patches_depend_on_the_seed_and_not_on_workers(data, patches):
    again = made(data, "s10", workers=2, journal=None)
    pd.testing.assert_frame_equal(boxes_of(again), boxes_of(patches))
    other = made(data, "s10", seed=1)
    assert not boxes_of(other)[BOX[:4]].equals(boxes_of(patches)[BOX[:4]])


def test_pictures_are_units_of_a_grid_under_the_worst_of_their_findings(data, truth):
    pictures = made(data, "grid")
    names = pd.Series(truth.index, index=truth.index).str.extract(r"(P_\d+_\w+_(?:CC|MLO))")[0]
    worst = truth["malignant"].groupby(names).max()
    assert pictures.targets.set_index("unit")["label"].to_dict() == worst.to_dict()
    assert pictures.task.slots.pool == ("max", "mean", "best-4")
    crops = pictures.links.merge(pictures.manifest, on="crop_id")
    # A grid of one copy of a film, and every finding lies in one of its patches at least in part.
    assert (crops.groupby("unit")["path"].nunique() == 1).all()
    for unit, boxes in crops.groupby("unit")[BOX[:4]]:
        found = covered(boxes.to_numpy(np.int64), truth[names == unit][["x0", "y0", "x1", "y1"]].to_numpy())
        assert (found.max(axis=0) > 0.5).all()


def test_all_cohorts_of_a_folder_have_the_same_folds(cohort, patches, data):
    pd.testing.assert_frame_equal(cohort.folds, patches.folds)
    split = made(data, "s1", folds=FoldSpec.parse("holdout:0.15:2"))
    held = split.folds["split"] == "holdout"
    assert 0.08 <= held.mean() <= 0.25
    units = split.units.merge(split.targets, on=["unit", "group"])
    # Cancer on both sides of the split.
    sides = units.assign(cancer=units["label"].isin([2, 4])).groupby("split")["cancer"].sum()
    assert (sides > 0).all()


def test_the_official_split_keeps_a_patient_whole(data):
    cohort = made(data, folds=FoldSpec(2, "official"))
    splits = cohort.units.groupby("group")["split"].agg(set)
    assert {len(split) for split in splits} == {1}
    tested = cohort.units["unit"].str.contains("-Test_")
    assert (cohort.units.loc[tested, "split"] == "test").all()
    assert (cohort.units["split"] == "train").any()


@pytest.fixture(scope="module")
def flat(data, tmp_path_factory) -> Path:
    """Three patients of the folder, flattened: of some one folder a name, of the others one file a name."""
    root = tmp_path_factory.mktemp("flat") / "data"
    root.mkdir()
    for table in data.glob("*.csv"):
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
        kept = rows[rows["patient_id"].isin(["P_00001", "P_00002", "P_00003"])]
        if len(kept):
            kept.to_csv(root / table.name, index=False)
    for file in sorted(data.glob("CBIS-DDSM/*_P_0000[123]_*/*/*/*.dcm")):
        name = file.parts[-4]
        if "_P_00002_" not in name:
            (root / name).mkdir(exist_ok=True)
            shutil.copy(file, root / name / f"{len([*(root / name).iterdir()])}.dcm")
        else:
            number = len([*root.glob(f"{name}_p*.png"), *root.glob(f"{name}.png")])
            picture = root / (f"{name}_p{number}.png" if number else f"{name}.png")
            cv2.imwrite(str(picture), read_frame(file).pixels)
    return root


def test_flattened_layouts_give_the_same_boxes(flat, cohort):
    found = boxes_of(made(flat, new_exams=True))
    assert {Path(path).suffix for path in found["path"]} == {".dcm", ".png"}
    pd.testing.assert_frame_equal(found[BOX[:4]], boxes_of(cohort).loc[found.index, BOX[:4]])


def test_an_abnormality_without_a_mask_stays_and_its_picture_gives_no_background(flat, truth):
    unit = next(u for u in truth.index if "_P_00001_" in u)
    masks = [file for file in (flat / unit).iterdir() if len(np.unique(read_frame(file).pixels)) == 2]
    kept = masks[0].read_bytes()
    masks[0].unlink()
    try:
        cohort = made(flat, new_exams=True)
        patches = made(flat, "s10", new_exams=True)
    finally:
        masks[0].write_bytes(kept)
    assert cohort.quarantine[["path", "kind"]].to_numpy().tolist() == [[unit, "no region"]]
    assert unit in set(cohort.units["unit"])
    assert np.isnan(boxes_of(cohort).loc[unit, "box_left"])
    # What is free of findings cannot be told there.
    picture = unit.partition("_")[2].rpartition("_")[0]
    assert not any(u.startswith((unit, f"{picture}_background")) for u in patches.units["unit"])
    assert any("_background" in u for u in patches.units["unit"])


def test_patch_tasks_survive_json_and_need_regions():
    for name in ("s10", "grid"):
        task = patch_task(TASK, Patches.parse(name))
        assert Task.from_dict(task.as_dict()) == task
        assert task.origin == TASK
    with pytest.raises(UserError, match="declares no regions"):
        patch_task(get_task("rsna-breast"), Patches())
