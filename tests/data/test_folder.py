"""Results are written whole or not at all."""

from __future__ import annotations

import pytest

from radboost.data.folder import new_folder, read_header, write_header
from radboost.errors import ExistsError, FormatError, UserError


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_folder(tmp_path / "run", "run") as folder:
        (folder / "half").write_text("x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_an_existing_result_survives_a_failed_overwrite(tmp_path):
    out = tmp_path / "run"
    with new_folder(out, "run") as folder:
        write_header(folder, "run", 1, {"n": 1})
    with pytest.raises(RuntimeError), new_folder(out, "run", overwrite=True):
        raise RuntimeError
    assert read_header(out, "run", 1)["n"] == 1
    with pytest.raises(ExistsError, match="--overwrite"), new_folder(out, "run"):
        pass


def test_overwrite_never_deletes_what_radboost_did_not_make(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="is no run"), new_folder(tmp_path, "run", overwrite=True):
        pass
    assert (tmp_path / "thesis.txt").is_file()


def test_overwrite_replaces_results_of_its_own_kind_only(tmp_path):
    with new_folder(tmp_path / "run", "run") as folder:
        write_header(folder, "run", 1, {})
    with pytest.raises(UserError, match="is no blend"), new_folder(tmp_path / "run", "blend", overwrite=True):
        pass
    assert (tmp_path / "run" / "run.json").is_file()


def test_headers_say_what_is_wrong(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_header(tmp_path / "absent", "run", 1)
    write_header(tmp_path, "cohort", 1, {})
    with pytest.raises(UserError, match="a cohort"):
        read_header(tmp_path, "run", 1)
    with pytest.raises(FormatError, match="another format"):
        read_header(tmp_path, "cohort", 2)
    (tmp_path / "cohort.json").write_text("{")
    with pytest.raises(FormatError, match="JSON"):
        read_header(tmp_path, "cohort", 1)
