"""A task of a shape that no built-in one has, as a TOML file alone: three grades of a knee, two kinds of series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.booster import boosting
from radboost.booster.run import Run
from radboost.data.dicom import DicomImage, write_dicom
from radboost.data.submission import check_submission, read_submission
from radboost.data.tasks import get_task

TOML = """
name = "knees"
table = "knees.csv"
test_table = "new.csv"
unit = ["exam", "compartment"]
group = "person"
from_headers = ["laterality"]

[targets.wear]
classes = ["none", "mild", "severe"]
weights = [1, 2, 4]

[images]
paths = "scans/{scan}.dcm"
size = 32

[slots]
column = "kind"
values = ["pd", "t2"]
aliases = { "pd fs" = "pd" }
pool = ["mean", "max"]
blocks = [["pd"], ["t2"]]

[metadata]
categorical = ["laterality"]
counts = true
headers = ["slice_thickness", "relative_position"]
categories = ["slice_thickness"]

[submission]
id_column = "row"
sample = "sample.csv"
"""
GRADES = ("none", "mild", "severe")
WORDS = ("--workers", 1)


def make(root: Path, people: range, table: str, *, thick: float, labelled: bool) -> None:
    """Write exams of two compartments: `pd` series of three slices and `t2` of two, some of them missing.

    Wear brightens the middle of one kind and roughens the other, so that neither tells it alone.
    """
    (root / "scans").mkdir(parents=True)
    rows = []
    for person in people:
        rng = np.random.default_rng(person)
        thickness = 5.0 if rng.uniform() < thick else 3.0
        for compartment in ("medial", "lateral"):
            wear = int(rng.integers(3))
            for kind, slices in (("pd", 3), ("t2", 2)):
                if kind == "t2" and compartment == "lateral" and person % 6 == 0:
                    continue
                for place in range(slices):
                    scan = f"{person}-{compartment}-{kind}-{place}"
                    ids = {"PatientID": f"K{person}", "ImageLaterality": "LR"[person % 2], "Modality": "MR"}
                    ids |= {"SeriesInstanceUID": f"1.2.{person + 1}.{len(compartment)}.{len(rows)}"}
                    picture = rng.normal(900, 150, (32, 32))
                    picture[12:20, 12:20] += 350 * wear if kind == "pd" else 300 * wear * rng.normal(size=(8, 8))
                    where = {"SliceThickness": thickness, "ImagePositionPatient": [0, 0, thickness * place]}
                    where |= {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SOPInstanceUID": f"1.9.{len(rows) + 1}"}
                    pixels = picture.clip(0, 4095).astype(np.uint16)
                    write_dicom(root / "scans" / f"{scan}.dcm", DicomImage(pixels, 12, attributes={**ids, **where}))
                    row = {"exam": f"E{person}", "compartment": compartment, "person": f"K{person}", "scan": scan}
                    row |= {"kind": "pd fs" if kind == "pd" and person % 2 else kind}
                    rows.append(row | ({"wear": "" if person % 13 == 5 else GRADES[wear]} if labelled else {}))
    pd.DataFrame(rows).sample(frac=1, random_state=0).to_csv(root / table, index=False)
    if not labelled:
        names = sorted({f"{r['exam']}_{r['compartment']}" for r in rows}, reverse=True)
        pd.DataFrame({"row": names, **dict.fromkeys(GRADES, 1 / 3)}).to_csv(root / "sample.csv", index=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("fifth")
    make(place / "data", range(36), "knees.csv", thick=0.3, labelled=True)
    make(place / "new", range(500, 512), "new.csv", thick=0.7, labelled=False)
    (place / "knees.toml").write_text(TOML)
    return place


def test_from_the_folder_to_the_submission_with_no_line_of_python(radboost, place, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 60)
    data, toml = place / "data", place / "knees.toml"
    cohort, store, run = (place / name for name in ("cohort", "store", "run"))
    text = radboost("index", data, "--task", toml, "--out", cohort, "--folds", 3, *WORDS).output
    assert "slot pd" in text
    assert "slot t2" in text
    assert "unlabelled" in text
    backbone = ("--backbone", "test_resnet", "--random-init", 0, "--stage", 0, "--pool", "avg", "--pool", "max")
    radboost("extract", cohort, "--out", store, *backbone, *WORDS)
    radboost("index", place / "new", "--task", toml, "--out", place / "target", *WORDS)
    words = ("--target", place / "target", "--method", "strata", "--on", "slice_thickness:category")
    radboost("weights", cohort, *words, "--out", place / "weights.csv")
    words = ("--learner", "lightgbm", "--weights", place / "weights.csv")
    radboost("fit-boost", cohort, store, "--out", run, *words)
    # Two kinds of series say more than a base rate; the interval leaves out 0.
    fused = next(s for s in Run.load(run).scores if (s.member, s.kind) == ("lightgbm/fused", "regular"))
    assert fused.gain[1] > 0, fused
    task = get_task(str(toml))
    sample = read_submission(place / "new" / "sample.csv", task)
    for policy in ("safe", "risky"):
        blend, out = place / policy, place / f"{policy}.csv"
        radboost("blend", policy, run, "--out", blend, "--no-sweep")
        radboost("predict", blend, place / "new", "--out", out, "--work", place / "work", *WORDS)
        found = read_submission(out, task)
        check_submission(found, sample, task)
        assert len(found) == 24
