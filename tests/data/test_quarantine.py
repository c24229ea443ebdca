from __future__ import annotations

import csv

from radboost.data.quarantine import Quarantine


def test_rows_of_one_run_lie_in_one_file_and_read_back(tmp_path):
    (tmp_path / "quarantine").mkdir()
    (tmp_path / "quarantine" / "extract-9.csv").write_text("old")
    rows = [('a,"b"/c\nd.dcm', "unreadable", "an odd name, a comma"), ("e.dcm", "crashed", "x")]
    quarantine = Quarantine(tmp_path)
    for row in rows:
        quarantine.add([row])
    quarantine.add([])
    with (tmp_path / "quarantine" / "extract-10.csv").open(newline="") as file:
        assert [tuple(r) for r in csv.reader(file)] == [("path", "kind", "reason"), *rows]
    assert (tmp_path / "quarantine" / "extract-9.csv").read_text() == "old"


def test_nothing_to_tell_adds_no_file(tmp_path):
    Quarantine(tmp_path).add([])
    assert list(tmp_path.iterdir()) == []


def test_a_cohort_that_was_never_saved_keeps_its_rows_in_memory():
    quarantine = Quarantine(None)
    quarantine.add([("a", "b", "c")])
    assert quarantine.rows == [("a", "b", "c")]
