"""Index: from a folder as users have it to a cohort that is right, or one clear error."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from radboost.data.cohort import Cohort
from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.index import IndexConfig, index
from radboost.data.splits import FoldSpec
from radboost.data.tasks import get_task
from radboost.errors import FormatError, PixelError, TableError, TaskError, UserError

RSNA = get_task("rsna-breast")
COLUMNS = ["site_id", "patient_id", "image_id", "laterality", "view", "age", "cancer", "implant", "machine_id"]


def screening(patients: int = 12) -> pd.DataFrame:
    rows = [
        (1, p, 100 * p + 10 * s + v, "LR"[s], ("CC", "MLO")[v], 50 + p, int(p % 3 == 0 and s == 0), 0, 49)
        for p in range(1, patients + 1)
        for s in range(2)
        for v in range(2)
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype(str)


def write(root: Path, rows: pd.DataFrame, template: str = "train_images/{patient_id}/{image_id}.png") -> Path:
    root.mkdir(exist_ok=True)
    rows.to_csv(root / "train.csv", index=False)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    for row in rows.to_dict("records"):
        path = root / template.format(**row)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".png":
            cv2.imwrite(str(path), pixels)
        else:
            ids = {"PatientID": row["patient_id"], "SOPInstanceUID": f"1.2.{row['image_id']}"}
            write_dicom(path, DicomImage(pixels.astype(np.uint16), 12, attributes=ids))
    return root


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("rsna") / "data", screening())


@pytest.fixture(scope="module")
def cohort(kaggle) -> Cohort:
    return index(kaggle, RSNA, IndexConfig(folds=FoldSpec(3), key=bytes(32), workers=1)).cohort


def test_units_links_and_labels(cohort):
    assert len(cohort.units) == 24
    seen = cohort.links[cohort.links["unit"] == "3_L"].set_index("slot")["crop_id"]
    assert sorted(seen.index) == ["CC", "CC/opposite", "MLO", "MLO/opposite"]
    other = cohort.links[cohort.links["unit"] == "3_R"].set_index("slot")["crop_id"]
    # Each crop stands in the manifest once, however many units see it.
    assert seen["CC/opposite"] == other["CC"]
    assert len(cohort.manifest) == cohort.manifest["crop_id"].nunique() == 48
    label = cohort.targets.set_index("unit")["label"]
    assert (label["3_L"], label["3_R"], label["4_L"]) == (1, 0, 0)


def test_a_patient_lies_in_one_fold_and_positives_in_all(cohort):
    assert cohort.units.groupby("group")["fold"].nunique().max() == 1
    units = cohort.units.merge(cohort.targets, on="unit")
    assert set(units.loc[units["label"] == 1, "fold"]) == {0, 1, 2}


def test_save_and_load_agree(cohort, tmp_path):
    again = cohort.save(tmp_path / "cohort")
    assert (again.fold_hash, again.fingerprint, again.task) == (cohort.fold_hash, cohort.fingerprint, RSNA)
    pd.testing.assert_frame_equal(again.units, cohort.units, check_dtype=False)
    assert (tmp_path / "cohort" / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "cohort" / "links.parquet").unlink()
    with pytest.raises(FormatError, match="damaged"):
        Cohort.load(tmp_path / "cohort")


def test_the_same_data_and_key_give_the_same_cohort(kaggle, cohort):
    again = index(kaggle, RSNA, IndexConfig(folds=FoldSpec(3), key=bytes(32), workers=2)).cohort
    pd.testing.assert_frame_equal(again.manifest, cohort.manifest)
    assert again.fold_hash == cohort.fold_hash
    # Another key names the same units otherwise, so that two stores cannot be joined by chance.
    other = index(kaggle, RSNA, IndexConfig(folds=FoldSpec(3), workers=1)).cohort
    assert not set(other.units["unit_id"]) & set(cohort.units["unit_id"])


@pytest.mark.parametrize("template", RSNA.images.paths)
def test_every_layout_is_read(tmp_path, template):
    root = write(tmp_path / "data", screening(3), template.replace("{split}", "train"))
    # As a table for new exams, which needs no folds.
    (root / "train.csv").unlink()
    screening(3).drop(columns="cancer").to_csv(root / "test.csv", index=False)
    if "{split}" in template:
        (root / "train_images").rename(root / "test_images")
    found = index(root, RSNA, IndexConfig(workers=1))
    assert len(found.cohort.manifest) == 12
    assert not found.cohort.labelled


def test_a_missing_image_is_one_error_with_a_count(kaggle, tmp_path):
    rows = pd.concat([screening(), screening(13).tail(4)])
    root = write(tmp_path / "data", rows)
    for path in (root / "train_images" / "13").iterdir():
        path.unlink()
    with pytest.raises(TableError, match=r"rows have no image file.*13_L.*train_images/13/"):
        index(root, RSNA, IndexConfig(workers=1))


def test_an_unreadable_image_goes_to_quarantine_and_its_unit_stays(tmp_path):
    root = write(tmp_path / "data", screening(), "train_images/{patient_id}/{image_id}.dcm")
    for path in (root / "train_images" / "5").iterdir():
        path.write_bytes(b"not a DICOM file")
    found = index(root, RSNA, IndexConfig(folds=FoldSpec(3), workers=1)).cohort
    assert len(found.quarantine) == 4
    assert found.quarantine["reason"].str.len().gt(10).all()
    # The unit keeps its metadata; `extract` will find that there are no pixels.
    assert "5_L" in set(found.links["unit"])
    assert found.manifest.loc[found.manifest["group"] == "5", "metadata.age"].eq(55).all()


def test_the_same_file_name_with_other_content_is_another_crop(tmp_path):
    ids = []
    for number in range(3):
        root = tmp_path / str(number)
        root.mkdir()
        picture = np.full((64, 64), 7, np.uint8)
        picture[40, 40] += number // 2
        cv2.imwrite(str(root / "a.pgm"), picture)
        ids.append(index(root, None, IndexConfig(key=bytes(32), workers=1)).cohort.manifest["crop_id"][0])
    # A copy of the folder is the same crop, so that its store is reused; another picture is not.
    assert ids[0] == ids[1] != ids[2]


def test_three_labelled_exams_can_be_predicted_though_they_cannot_be_split(tmp_path):
    root = write(tmp_path / "data", screening(3))
    found = index(root, RSNA, IndexConfig(new_exams=True, workers=1)).cohort
    assert found.labelled
    assert (found.units["fold"] == -1).all()


def test_a_table_in_a_folder_of_its_own(tmp_path):
    root = write(tmp_path / "data", screening(), "images/{image_id}.png")
    (root / "tables").mkdir()
    (root / "train.csv").rename(root / "tables" / "train.csv")
    task = replace(RSNA, table="tables/train.csv", test_table="")
    found = index(root, task, IndexConfig(folds=FoldSpec(3), workers=1)).cohort
    assert len(found.manifest) == 48
    assert found.quarantine.empty


def test_folds_from_a_column(tmp_path):
    rows = screening()
    rows["part"] = (rows["patient_id"].astype(int) % 4).astype(str)
    root = write(tmp_path / "data", rows)
    units = index(root, RSNA, IndexConfig(folds=FoldSpec(column="part"), workers=1)).cohort.units
    assert (units["fold"] == units["group"].astype(int) % 4).all()
    rows.loc[0, "part"] = "3"
    rows.to_csv(root / "train.csv", index=False)
    with pytest.raises(TableError, match="two sides"):
        index(root, RSNA, IndexConfig(folds=FoldSpec(column="part"), workers=1))


def test_a_hold_out_is_never_cross_validated(kaggle):
    units = index(kaggle, RSNA, IndexConfig(folds=FoldSpec(2, holdout=0.3), workers=1)).cohort.units
    held = units["split"] == "holdout"
    assert 0 < held.sum() < len(units)
    assert (units.loc[held, "fold"] == -1).all()
    assert (units.loc[~held, "fold"] >= 0).all()


def test_too_many_folds_for_the_positives(kaggle):
    with pytest.raises(UserError, match="fewer groups than the 5 folds"):
        index(kaggle, RSNA, IndexConfig(workers=1))


def test_a_path_that_leaves_the_folder_is_refused(tmp_path):
    rows = screening(3).assign(image_id="../../secret")
    root = tmp_path / "data"
    root.mkdir()
    rows.to_csv(root / "train.csv", index=False)
    with pytest.raises(TaskError, match="leads out of the data folder"):
        index(root, RSNA, IndexConfig(workers=1))


@pytest.mark.parametrize("text", ["1", "0", "many", "holdout:2", "holdout:0", "column:"])
def test_folds_that_cannot_be_read(text):
    with pytest.raises(UserError, match="--folds"):
        FoldSpec.parse(text)


def test_a_folder_without_a_task(tmp_path):
    root = write(tmp_path / "data", screening(2), "{patient_id}/{image_id}.dcm")
    (root / "notes.txt").write_text("nothing to see")
    (root / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 9)
    found = index(root, None, IndexConfig(workers=1))
    units = found.cohort.units
    assert len(units) == 8
    assert sorted(units["group"].unique()) == ["1", "2"]
    assert found.skipped.total() == 2
    assert found.cohort.quarantine["path"].tolist() == ["broken.dcm"]
    assert not found.cohort.labelled


def others(root: Path) -> dict[str, str]:
    """Write what is no image, of every kind, and tell the kind of each."""
    sop = {"report": "88.67", "state": "11.1", "plan": "481.5"}
    for name, number in sop.items():
        dataset = Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = f"1.2.840.10008.5.1.4.1.1.{number}", "1.2.3"
        dataset.Modality = {"report": "SR", "state": "PR", "plan": "RTPLAN"}[name]
        _save(dataset, root / f"{name}.dcm")
    directory = Dataset()
    directory.DirectoryRecordSequence = []
    _save(directory, root / "DICOMDIR", "1.2.840.10008.1.3.10")
    (root / "notes.txt").write_text("nothing to see")
    (root / "LICENSE").write_text("free")
    kinds = {f"{name}.dcm": "the object holds no image" for name in sop}
    directory_kind = "a DICOMDIR lists images and holds none"
    return {**kinds, "DICOMDIR": directory_kind, "notes.txt": ".txt ending", "LICENSE": "no ending"}


def _save(dataset: Dataset, path: Path, sop_class: str = "") -> None:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    dataset.file_meta.MediaStorageSOPClassUID = sop_class or dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.save_as(path, enforce_file_format=True)


def test_what_is_no_image_is_passed_by_and_counted_by_kind(tmp_path):
    root = write(tmp_path / "data", screening(1), "{image_id}.dcm")
    (root / "train.csv").unlink()
    kinds = others(root)
    found = index(root, None, IndexConfig(workers=1))
    assert dict(found.skipped) == dict(Counter(kinds.values()))
    assert len(found.cohort.manifest) == 4
    assert found.cohort.quarantine.empty


def test_beside_a_table_strays_do_not_matter_but_one_that_it_names_is_a_fault(tmp_path):
    rows = screening()
    root = write(tmp_path / "data", rows, "train_images/{patient_id}/{image_id}.dcm")
    others(root)
    report, first = root / "report.dcm", root / "train_images" / "1" / f"{rows['image_id'][0]}.dcm"
    assert index(root, RSNA, IndexConfig(folds=FoldSpec(3), workers=1)).cohort.quarantine.empty
    report.replace(first)
    found = index(root, RSNA, IndexConfig(folds=FoldSpec(3), workers=1)).cohort
    assert found.quarantine[["path", "kind"]].to_numpy().tolist() == [[f"train_images/1/{first.name}", "no image"]]
    assert len(found.manifest) == len(rows)
    with pytest.raises(PixelError, match="holds no image"):
        index(root, RSNA, IndexConfig(folds=FoldSpec(3), workers=1, strict=True))


def test_header_features_of_a_labelled_table(kaggle):
    config = IndexConfig(folds=FoldSpec(3), workers=1, headers="all")
    cohort = index(kaggle, RSNA, config).cohort
    assert cohort.headers["crop_id"].tolist() == cohort.manifest["crop_id"].tolist()
    assert cohort.headers["pixel_max"].notna().all()


def test_nothing_to_read(tmp_path):
    with pytest.raises(UserError, match="no readable image"):
        index(tmp_path, None)
    with pytest.raises(UserError, match="is no folder"):
        index(tmp_path / "absent", None)
    with pytest.raises(UserError, match="Expected train.csv or test.csv"):
        index(tmp_path, RSNA)


def test_files_that_no_row_names_are_counted(tmp_path):
    root = write(tmp_path / "data", screening())
    (root / "train_images" / "1" / "stray.dcm").write_bytes(b"x")
    (root / "README").write_text("hello")
    found = index(root, RSNA, IndexConfig(folds=FoldSpec(3), workers=1))
    assert found.skipped == {"not in the table: .dcm": 1, "not in the table: no ending": 1}
    assert found.cohort.quarantine.empty
