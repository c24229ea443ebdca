"""`radboost index` as a user types it: strict, cut off, taken up again."""

from __future__ import annotations

import numpy as np
import pytest

from radboost.commands.console import INTERRUPTED
from radboost.data.cohort import Cohort
from radboost.data.dicom import DicomImage, write_dicom


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    for k in range(5):
        place = {"ImagePositionPatient": [0, 0, 5 * k + 20 * (k > 3)], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        ids = {"PatientID": "P1", "SeriesInstanceUID": "1.2", "SOPInstanceUID": f"1.2.{k + 1}"}
        write_dicom(root / f"{k}.dcm", DicomImage(np.full((4, 4), k, np.uint16), 12, attributes={**ids, **place}))
    return root


def test_strict_names_the_file_and_the_reason(radboost, folder, tmp_path):
    (folder / "bad.dcm").write_bytes(b"nothing")
    result = radboost("index", folder, "--out", tmp_path / "c", "--strict", "--workers", 1, code=1)
    assert "bad.dcm: the file ends before any data set begins" in result.stderr
    assert "--strict" in result.stderr
    assert not (tmp_path / "c").exists()
    # Without it, the run ends well, with what was read before.
    assert "4 headers" not in radboost("index", folder, "--out", tmp_path / "c", "--workers", 1).output


def test_cut_off_and_taken_up_again(radboost, folder, tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    journal = tmp_path / ".c.scan.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr("radboost.data.index.build_manifest", interrupted)
        result = radboost("index", folder, "--out", tmp_path / "c", "--workers", 1, code=INTERRUPTED)
    assert "run it again to go on" in result.stderr
    assert journal.stat().st_mode & 0o777 == 0o600
    result = radboost("index", folder, "--out", tmp_path / "c", "--workers", 1)
    assert "5 headers read before" in result.stderr
    assert not journal.exists()


def test_the_table_tells_gaps_and_headers_are_kept_when_asked_for(radboost, folder, tmp_path):
    result = radboost("index", folder, "--out", tmp_path / "c", "--headers", "all", "--workers", 1)
    assert "1 (1 with gaps)" in result.output
    table = Cohort.load(tmp_path / "c").header_features()
    assert table["gap_after"].max() == 25
    assert "--headers" in radboost("index", folder, "--out", tmp_path / "d", "--headers", "few", code=2).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--patches", "s10"), "--patches needs a task"),
        (("--neighbours", 1), "--neighbours needs a task"),
        (("--sees", "split"), "need a task with volumes"),
        (("--task", "rsna-ich", "--size", 64), "--size is the side of patches"),
        (("--task", "cbis-ddsm", "--patches", "grid", "--neighbours", 1), "neighbours and pool exclude each other"),
    ],
)
def test_choices_that_do_not_go_with_the_task_are_refused(radboost, folder, tmp_path, words, says):
    assert says in radboost("index", folder, "--out", tmp_path / "c", *words, code=2).stderr.replace("\n", " ")
