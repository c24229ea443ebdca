"""`--track`: what was logged is read back by the trackers' own readers; a tracker never costs the result."""

from __future__ import annotations

import getpass
import importlib.util
import json
import socket
import sqlite3
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from matplotlib.figure import Figure
from typer.testing import CliRunner

from radboost.cli import app
from radboost.commands.console import reported
from radboost.commands.options import Debug, Out
from radboost.commands.tracking import noted, tracked
from radboost.data.folder import new_folder, write_header, write_json, write_text
from radboost.errors import RadboostError
from radboost.report.figures import save_figure
from radboost.report.tracking import TRACKERS, flat_numbers

METRICS = {
    "scores": [
        {"target": "cancer", "member": "prior", "kind": "regular", "loss": [0.5, 0.4, 0.6]},
        {"target": "cancer|<script>", "member": "mlp/image", "kind": "weighted", "loss": [0.3, 0.2, 0.4]},
    ]
}
FLAT = flat_numbers(METRICS)


def needs(tracker: str) -> None:
    library = {"mlflow": "mlflow", "tensorboard": "tensorboard"}[tracker]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"the extra {tracker} is not installed")


@pytest.fixture(params=list(TRACKERS))
def tracker(request):
    needs(request.param)
    return request.param


def fake(
    out: Out, ending: Annotated[str, typer.Option("--ending")] = "well", seed: int = 0, debug: Debug = False
) -> None:
    """Stand in for a command that takes hours."""
    with reported(debug):
        if ending == "failed":
            raise RadboostError("something failed")
        if ending == "interrupted":
            raise KeyboardInterrupt
        with new_folder(out, "run") as folder:
            content = {"members": [["mlp/image", "regular"]], "task": {"name": "made-up"}}
            content["environment"] = {"torch": "2"}
            content["config"] = {"objective": {"focal": 2.0}, "learners": ["mlp"], "place": "/home/somebody/x"}
            write_header(folder, "run", 1, content)
            scores = [{**row, "units": 9, "auc": row["loss"], "gain": [None] * 3} for row in METRICS["scores"]]
            write_json(folder / "metrics.json", {"scores": scores})
            write_text(folder / "page.html", "<p>what came of it")
            save_figure(Figure((2, 1)), folder / "curve.png")
        noted({"extra": {"number": 7}}, [out / "page.html"])


def call(*words: object, code: int = 0):
    small = typer.Typer()
    small.command()(tracked("fake", fake))
    result = CliRunner().invoke(small, [str(word) for word in words])
    assert result.exit_code == code, result.output + result.stderr
    return result


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    """One place, several runs: MLflow takes seconds to make a database."""
    folder = tmp_path_factory.mktemp("tracked")
    for name in TRACKERS:
        if importlib.util.find_spec(name) is not None:
            call("--out", folder / f"well-{name}", "--seed", 3, "--track", name)
            call("--out", folder / "failed", "--ending", "failed", "--track", name, code=1)
            call("--out", folder / "interrupted", "--ending", "interrupted", "--track", name, code=130)
    return folder


def test_mlflow_gives_back_settings_numbers_and_pages(logged):
    needs("mlflow")
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{logged / 'mlflow.db'}")
    (experiment,) = client.search_experiments(filter_string="name = 'radboost'")
    runs = {run.info.status: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) == {"FINISHED", "FAILED", "KILLED"}
    run = runs["FINISHED"]
    assert run.data.params["seed"] == "3"
    assert {name: run.data.metrics[name] for name in FLAT} == FLAT
    assert run.data.metrics["extra/number"] == 7
    # Defaults too: who compares runs wants what was done, not what was typed.
    assert (run.data.params["config.objective.focal"], run.data.params["config.learners"]) == ("2.0", "mlp")
    assert run.data.tags["result.kind"] == "run"
    assert run.data.tags["task"] == "made-up"
    names = {each.path for each in client.list_artifacts(run.info.run_id, "pages")}
    assert names == {"pages/page.html", "pages/curve.png", "pages/fake-1.html"}
    local = Path(client.download_artifacts(run.info.run_id, "pages/page.html"))
    assert local.read_text() == "<p>what came of it"
    # Of what failed, what was asked for is known, and no number.
    assert runs["FAILED"].data.params["seed"] == "0"
    assert not runs["FAILED"].data.metrics


def test_tensorboard_gives_back_settings_numbers_and_pictures(logged):
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import metadata

    folders = sorted((logged / "tensorboard").iterdir())
    found = [EventAccumulator(str(folder)).Reload() for folder in folders]
    whole = [each for each in found if each.Tags()["scalars"]]
    assert (len(found), len(whole)) == (3, 1)
    (run,) = whole
    values = {name: run.Scalars(name)[0].value for name in run.Tags()["scalars"]}
    assert {name: values[name] for name in FLAT} == pytest.approx(FLAT)
    assert run.Tags()["images"] == ["curve"]
    assert (run.Images("curve")[0].width, run.Images("curve")[0].height) > (100, 50)
    text = run.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| seed | 3 |" in text
    summaries = run.SummaryMetadata("_hparams_/session_end_info")
    ended = metadata.parse_session_end_info_plugin_data(summaries.plugin_data.content)
    assert ended.status == 1
    (page,) = (logged / "tensorboard").glob("*/pages/page.html")
    assert page.read_text() == "<p>what came of it"


def test_nothing_that_is_logged_names_a_user_a_machine_or_a_folder(logged):
    needs("tensorboard")
    secrets = [str(logged), socket.gethostname(), "well-mlflow", "well-tensorboard", "somebody", str(Path.cwd())]
    secrets += [getpass.getuser()] if getpass.getuser() != "root" else []
    told = ""
    if (logged / "mlflow.db").exists():
        with sqlite3.connect(logged / "mlflow.db") as database:
            for table in ("params", "tags", "latest_metrics", "experiment_tags"):
                told += str(database.execute(f"select * from {table}").fetchall())
            # MLflow itself keeps where its artifacts lie, so that it finds them: the one path there is.
            told += str(database.execute("select name, source_name, user_id, entry_point_name from runs").fetchall())
        database.close()
    for file in (logged / "tensorboard").rglob("*"):
        told += file.name + (file.read_bytes().decode("latin-1") if file.is_file() else "")
    assert "seed" in told
    # A short name may stand in any picture's bytes by chance.
    assert [secret for secret in secrets if len(secret) > 5 and secret in told] == []
    names = {file.name for file in (logged / "tensorboard").rglob("*") if file.is_file()}
    assert names == {"events.out.tfevents.0", "page.html", "curve.png", "fake-1.html"}


def test_a_tracker_that_cannot_be_had_ends_the_command_before_its_work(tmp_path, monkeypatch, tracker):
    for name in [name for name in sys.modules if name.split(".")[0] == tracker]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, TRACKERS[tracker], raising=False)
    monkeypatch.setitem(sys.modules, tracker, None)
    said = call("--out", tmp_path / "out", "--track", tracker, code=2).stderr
    assert f"radboost[{tracker}]" in said
    assert not (tmp_path / "out").exists()


class _Broken:
    place, look = "somewhere", "look"

    def __init__(self, error):
        self.error = error

    def log(self, outcome):
        raise self.error

    def close(self, status):
        raise AssertionError


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (
            ConnectionError("the server went away"),
            0,
            "not all was logged to somewhere: ConnectionError: the server went",
        ),
        (KeyboardInterrupt(), 130, "interrupted while logging"),
    ],
)
def test_a_tracker_that_fails_at_the_end_does_not_cost_the_result(tmp_path, monkeypatch, error, code, said):
    monkeypatch.setattr("radboost.report.tracking.open_tracker", lambda *given: _Broken(error))
    result = call("--out", tmp_path / "out", "--track", "mlflow", code=code)
    assert said in result.stderr
    assert "the result itself is whole" in result.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["kind"] == "run"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--track", "diary"), "tensorboard or mlflow"),
        (("--track-uri", "here"), "Give --track as well"),
        (("--track", "tensorboard", "--track-uri", "http://server:1"), "TensorBoard reads folders"),
        (("--track", "mlflow", "--track-uri", "ftp://me:secret@server"), "no address that MLflow knows"),
        (("--track", "mlflow", "--track-uri", "sqlite:///FILE/folder/x.db"), "cannot be made"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_work_or_passwords(tmp_path, words, said):
    if "--track" in words and words[1] in TRACKERS:
        needs(words[1])
    (tmp_path / "file").write_text("")
    words = [word.replace("FILE", str(tmp_path / "file")) for word in words]
    stderr = call("--out", tmp_path / "out", *words, code=2).stderr
    assert said in stderr
    assert "secret" not in stderr
    assert not (tmp_path / "out").exists()


def test_without_it_nothing_is_imported_or_written(tmp_path):
    call("--out", tmp_path / "out")
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_the_commands_themselves_take_it(tmp_path, monkeypatch):
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    names = [f"p{k}" for k in range(40)]
    for number in (1, 2):
        rows = [f"{name},{(k % 2) * 0.3 + 0.1 * number + k / 200}" for k, name in enumerate(names)]
        Path(f"model_{number}.csv").write_text("id,cancer\n" + "\n".join(rows))
    Path("labels.csv").write_text("id,cancer\n" + "\n".join(f"{name},{k % 2}" for k, name in enumerate(names)))
    words = (
        "blend safe --predictions model_1.csv --predictions model_2.csv --labels labels.csv --group p[0-9]+ --out blend"
    )
    result = CliRunner().invoke(app, [*words.split(), "--track", "tensorboard", "--track-uri", "elsewhere"])
    assert result.exit_code == 0, result.output + result.stderr
    assert "logged to elsewhere" in result.stderr
    (folder,) = Path("elsewhere").iterdir()
    run = EventAccumulator(str(folder)).Reload()
    kept = json.loads(Path("blend/metrics.json").read_text())["scores"]["cancer"][0]
    assert run.Scalars("cancer/blend/loss")[0].value == pytest.approx(kept["loss"]["value"])
    text = run.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| predictions | a file .csv, a file .csv |" in text
