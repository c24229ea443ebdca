"""What is logged has a name that trackers take, and names nobody."""

from __future__ import annotations

import re
from enum import StrEnum

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from radboost.cli import UNTRACKED, app
from radboost.data.folder import FORMATS, write_header
from radboost.report.tracking import flat_numbers, gather, safe_name, settings
from radboost.report.tracking.settings import HIDDEN, SPOKEN

TAKEN = re.compile(r"[A-Za-z0-9_.\- /]{1,240}")
NUMBER = st.floats(allow_nan=True, allow_infinity=True) | st.integers() | st.none() | st.booleans() | st.text()
NESTED = st.recursive(NUMBER, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(st.text())
def test_every_name_is_one_that_trackers_take(text):
    name = safe_name(text)
    assert TAKEN.fullmatch(name)
    # MLflow keeps metrics as files by their names, and refuses those that are no plain relative path.
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    assert "//" not in name


@given(NESTED)
def test_whatever_a_result_holds_becomes_finite_numbers_under_safe_names(content):
    found = flat_numbers({"scores": content})
    assert all(TAKEN.fullmatch(name) for name in found)
    assert all(value - value == 0 for value in found.values())


def test_no_number_is_lost_where_names_become_alike():
    # Both are "a_" once they are safe.
    assert sorted(flat_numbers({"a:": 1, "a?": 2}).values()) == [1, 2]


def test_a_number_is_named_once_by_what_it_is_about():
    # As a report's page keeps them: holders say nothing, and a row repeats its target.
    content = {"targets": {"any": {"numbers": [{"target": "any", "AUC": {"value": 0.5, "low": 0.25, "high": 0.75}}]}}}
    assert flat_numbers(content) == {"any/AUC": 0.5, "any/AUC_low": 0.25, "any/AUC_high": 0.75}


def test_intervals_rows_and_curves_are_told_apart():
    rows = [
        {"target": "any", "member": "mlp/image", "kind": "weighted", "auc": {"value": 0.7, "low": 0.6, "high": 0.8}},
        {"target": "any", "member": "mlp/image", "kind": "regular", "auc": [0.6, 0.5, 0.7], "gain": [None, None, None]},
    ]
    assert flat_numbers({"scores": rows, "curve": [0.1, 0.2, 0.9, 1.0], "fitted": True}) == {
        "any/mlp/image/weighted/auc": 0.7,
        "any/mlp/image/weighted/auc_low": 0.6,
        "any/mlp/image/weighted/auc_high": 0.8,
        "any/mlp/image/auc": 0.6,
        "any/mlp/image/auc_low": 0.5,
        "any/mlp/image/auc_high": 0.7,
    }


class _Policy(StrEnum):
    safe = "safe"


def test_options_tell_methods_and_numbers_and_no_person_place_or_address(tmp_path):
    (tmp_path / "Smith_John").mkdir()
    (tmp_path / "run").mkdir()
    write_header(tmp_path / "run", "run", 1, {})
    (tmp_path / "task.toml").write_text("")
    found = settings(
        {
            "policy": _Policy.safe,
            "seed": 3,
            "refit": True,
            "learner": ["logistic", "mlp"],
            "backbone": "hf-hub:timm/resnet18.a1_in1k",
            "runs": [tmp_path / "run"],
            "data_dir": tmp_path / "Smith_John",
            "labels": tmp_path / "Smith_John.csv",
            "task": str(tmp_path / "task.toml"),
            "only": ["patient_id=4711"],
            "ray_address": "head.hospital.example:6379",
            "checkpoint": None,
            "pool": [],
            "out": tmp_path / "out",
            "debug": False,
            "track_uri": "http://me:secret@server",
            "first": f"{tmp_path / 'run'}:logistic/fused",
            "second": "nothing here",
        }
    )
    assert found.pop("runs").startswith("run ")
    assert found.pop("first").endswith(":logistic/fused")
    assert found == {
        "policy": "safe",
        "seed": "3",
        "refit": "True",
        "learner": "logistic, mlp",
        "backbone": "hf-hub:timm/resnet18.a1_in1k",
        "data_dir": "a folder",
        "labels": "a file .csv",
        "task": "a file .toml",
        "only": HIDDEN,
        "ray_address": HIDDEN,
        "second": HIDDEN,
    }


@pytest.mark.parametrize("name", sorted(SPOKEN))
@pytest.mark.parametrize(
    "text", ["/home/somebody/x.pt", "~/x", "transformers:/srv/models/x", "C:\\data\\x", "..\\x/../y"]
)
def test_a_path_is_kept_back_whatever_option_it_is_given_to(name, text):
    (told,) = settings({name: text}).values()
    assert "somebody" not in told
    assert "/" not in told
    assert "\\" not in told


def test_options_of_people_and_places_are_none_of_those_that_are_told():
    assert not SPOKEN & {
        "only",
        "unit",
        "units",
        "exam",
        "group",
        "key",
        "ray_address",
        "results",
        "data_dir",
        "labels",
    }


def test_every_command_that_makes_something_can_be_tracked():
    commands = dict(typer.main.get_command(app).commands)
    for group in ("store", "cohort"):
        commands |= {f"{group} {name}": each for name, each in commands.pop(group).commands.items()}
    tracked = {name for name, each in commands.items() if {"track", "track_uri"} <= {p.name for p in each.params}}
    assert tracked >= {"store merge", "store export", "cohort share", "compare", "extract", "predict"}
    looks_only = {"store info", "store ls", "store verify", "store diff", "cohort info"}
    assert set(commands) - tracked == {*UNTRACKED, *looks_only}


def test_of_a_private_cohort_counts_alone_are_told(tmp_path):
    folder = tmp_path / "cohort"
    folder.mkdir()
    write_header(folder, "cohort", 2, {"root": "/data/x", "units": 3, "crops": 4, "fingerprint": "f", "task": None})
    (folder / "picture.png").write_bytes(b"")
    (folder / "quarantine.html").write_text("")
    found = gather("index", folder)
    assert found.metrics == {"crops": 4, "units": 3}
    assert not found.pages
    assert "/data/x" not in str(found)


def test_a_page_is_called_after_its_command_and_brings_the_numbers_beside_it(tmp_path):
    page = tmp_path / "Smith_John.html"
    page.write_text("<p>")
    (tmp_path / "Smith_John-files").mkdir()
    (tmp_path / "Smith_John-files" / "metrics.json").write_text('{"auc": [0.7, 0.6, 0.8]}')
    found = gather("report", page)
    assert found.pages == {"report.html": page}
    assert found.metrics == {"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8}


def test_a_table_of_predictions_is_never_logged(tmp_path):
    # A submission names units as the data set does.
    table = tmp_path / "predictions.csv"
    table.write_text("prediction_id,cancer\n4711_L,0.5\n")
    found = gather("predict", table)
    assert (found.pages, found.metrics, found.tags) == ({}, {}, {})


def test_epochs_of_a_training_are_curves_by_step(tmp_path):
    folder = tmp_path / "Smith_John"
    folder.mkdir()
    write_header(folder, "training", FORMATS["training"], {"networks": [], "environment": {"torch": "2"}})
    (folder / "epochs.csv").write_text(
        "epoch,inner/auc,step,fold,stage\n0,0.5,2,0,head\n1,,5,0,head\n2,0.75,8,0,head\n"
    )
    found = gather("train", folder)
    assert found.curves == {"fold0/head/inner/auc": [(0, 0.5), (2, 0.75)]}
    assert found.tags["version.torch"] == "2"
    assert "Smith_John" not in found.tags.values()
