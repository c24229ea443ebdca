"""Results are written whole or not at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from radboost.data.folder import alone_in, new_folder, read_header, write_header
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


def test_one_process_at_a_time_works_in_a_folder_and_leaves_it_free(tmp_path):
    folder = tmp_path / "work"
    held = "from radboost.data.folder import alone_in; from pathlib import Path; import sys\n"
    held += "with alone_in(Path(sys.argv[1])): print('in', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", held, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(UserError, match="another process works there"), alone_in(folder):
            pass
        other.kill()
    with alone_in(folder):
        assert folder.is_dir()
