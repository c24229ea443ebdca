"""`radboost runs`: every result below a folder, by its header alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from radboost.booster.run import Run
from radboost.data.cohort import Cohort
from radboost.data.folder import FORMATS, write_header
from radboost.data.store import EmbeddingStore
from radboost.report.results import SORTS, find_results, sort_results


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, cohort, store, run, blend):
    # Headers and metrics only: what a list needs, so that a test would fail if anything else were opened.
    folder = tmp_path_factory.mktemp("shelf")
    for source, name in ((cohort, "a/cohort"), (store, "a/store"), (run, "b/run"), (blend, "b/blend")):
        (folder / name).mkdir(parents=True)
        for file in (*source.glob("*.json"), *source.glob("parts.jsonl")):
            shutil.copy(file, folder / name)
    # A blend keeps runs of its own, which are parts of it and no results.
    shutil.copytree(run, folder / "b" / "blend" / "run-1", ignore=shutil.ignore_patterns("*.parquet", "models"))
    return folder


def listed(folder: Path) -> dict[str, object]:
    return {str(each.folder): each for each in find_results(folder)}


def test_each_result_is_found_once_and_its_own_parts_are_not(shelf):
    found = listed(shelf)
    assert {name: each.kind for name, each in found.items()} == {
        "a/cohort": "cohort",
        "a/store": "store",
        "b/blend": "blend",
        "b/run": "run",
    }
    assert not any(each.broken for each in found.values())


def test_key_numbers_are_those_of_the_results_themselves(shelf, cohort, store, run, blend):
    found = listed(shelf)
    opened = Run.load(run)
    scores = [s for s in opened.scores if s.member != "prior" and s.target == opened.task.targets[0].name]
    best = min(scores, key=lambda s: s.loss[0])
    numbers = found["b/run"].numbers
    assert (numbers.loss, numbers.auc, numbers.gain) == (best.loss, best.auc, best.gain)
    assert (numbers.members, numbers.rows) == (len(opened.members), best.units)
    assert found["a/cohort"].numbers.rows == len(Cohort.load(cohort).units)
    assert found["a/store"].numbers.rows == len(EmbeddingStore.open(store))
    content = json.loads((blend / "blend.json").read_text())
    own = {row["name"]: row for row in content["targets"][0]["scores"]}
    # Better than the prior by: the blend's loss leads by a negative difference.
    assert found["b/blend"].numbers.gain[0] == pytest.approx(
        own["prior"]["loss"]["value"] - own["blend"]["loss"]["value"]
    )
    assert found["b/blend"].numbers.members == sum(w > 0 for w in content["targets"][0]["weights"].values())


def test_what_was_made_of_what_can_be_told_by_the_fingerprints(shelf):
    found = listed(shelf)
    assert found["b/run"].inputs == (found["a/cohort"].fingerprint, found["a/store"].fingerprint)
    assert found["a/store"].inputs == (found["a/cohort"].fingerprint,)


@pytest.mark.parametrize("key", SORTS)
@pytest.mark.parametrize("reverse", [False, True])
def test_sorting_loses_nothing_and_puts_what_lacks_the_number_last(shelf, key, reverse):
    results = list(find_results(shelf))
    found = sort_results(results, key, reverse=reverse)
    assert sorted(str(each.folder) for each in found) == sorted(str(each.folder) for each in results)
    if key in ("loss", "auc", "gain"):
        values = [getattr(each.numbers, key) for each in found]
        there = [v[0] for v in values if v is not None]
        assert len(there) == 2
        assert there == sorted(there, reverse=reverse)
        assert values[2:] == [None, None]


def test_a_broken_result_is_a_line_with_its_reason_and_hides_no_other(tmp_path, shelf, radboost):
    shutil.copytree(shelf, tmp_path / "all")
    folder = tmp_path / "all"
    for name in ("torn", "other", "lacking", "new", "metrics"):
        (folder / name).mkdir()
    (folder / "torn" / "run.json").write_text('{"kind": "run", "for')
    (folder / "other" / "run.json").write_text('{"kind": "blend", "format": 3}')
    write_header(folder / "lacking", "blend", FORMATS["blend"], {"policy": "safe"})
    write_header(folder / "new", "run", 99, {})
    shutil.copy(shelf / "b" / "run" / "run.json", folder / "metrics" / "run.json")
    (folder / "metrics" / "metrics.json").write_text("[")
    found = listed(folder)
    reasons = {name: each.broken for name, each in found.items() if each.broken}
    assert {name: reason.split(":")[0] for name, reason in reasons.items()} == {
        "torn": "run.json cannot be read as JSON",
        "other": "run.json does not describe a run",
        "lacking": "has a damaged header",
        "new": f"of format 99; this radboost reads {FORMATS['run']}",
        "metrics": "metrics.json cannot be read as JSON",
    }
    assert not any(str(tmp_path) in reason for reason in reasons.values())
    shown = radboost("runs", folder).output
    assert all(f"broken: {name}: " in shown for name in reasons)
    assert "b/blend" in shown


def test_hidden_folders_and_links_are_left_alone(tmp_path, shelf):
    shutil.copytree(shelf / "b" / "run", tmp_path / "results" / ".run.unfinished")
    (tmp_path / "results" / "loop").symlink_to(tmp_path / "results")
    assert listed(tmp_path / "results") == {}


def test_json_holds_all_and_names_no_folder_of_this_machine(tmp_path, shelf, radboost):
    rows = json.loads(radboost("runs", shelf, "--json", "-", "--kind", "run", "--kind", "blend").output)
    assert [row["kind"] for row in rows] == ["blend", "run"]
    assert str(shelf) not in json.dumps(rows)
    radboost("runs", shelf, "--json", tmp_path / "runs.json", "--sort", "loss")
    assert {row["folder"] for row in json.loads((tmp_path / "runs.json").read_text())} == set(listed(shelf))
    assert "already exists" in radboost("runs", shelf, "--json", tmp_path / "runs.json", code=2).stderr


def test_what_cannot_be_asked_is_refused(tmp_path, radboost):
    assert "is no folder" in radboost("runs", tmp_path / "none", code=2).stderr
    assert "nothing to sort by" in radboost("runs", tmp_path, "--sort", "beauty", code=2).stderr
    assert "no cohort, store" in radboost("runs", tmp_path).output


def test_a_folders_name_cannot_move_the_cursor(tmp_path, shelf, radboost):
    shutil.copytree(shelf / "b" / "run", tmp_path / "r\x1b[2J[bold]\u202eun")
    shown = radboost("runs", tmp_path).output
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "[bold]" in shown


def test_listing_imports_nothing_heavy():
    # Thousands of folders are listed in the time that pandas takes to be imported.
    heavy = {"pandas", "numpy", "torch", "h5py"}
    code = f"import sys, radboost.report.results; sys.exit(bool({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
