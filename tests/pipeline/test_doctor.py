"""`radboost doctor`: one broken part is one line, and the report gives away nobody."""

from __future__ import annotations

import getpass
import json
import signal
import socket
import sys
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from radboost.cli import app
from radboost.data.probe import Probe, State
from radboost.engines.machine import probe_disk, probe_machine
from radboost.engines.probe import probe_ray
from radboost.extractor.backbone import probe as hub
from radboost.nets.probe import probe_gpu
from radboost.pipeline.doctor import libraries
from radboost.pipeline.doctor.examine import DoctorConfig, Report, examine
from radboost.pipeline.doctor.libraries import ADDS, Wanted, declared, probe_import, probe_version
from radboost.pipeline.doctor.steps import Step, run_apart, run_here

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8"))["project"]


def step(function: str, *arguments: object) -> Step:
    return Step("here", function, function, arguments, needed=True)


def test_what_each_extra_adds_is_told_for_all_of_them():
    assert set(ADDS) == set(PROJECT["optional-dependencies"]) - {"dev"}


def test_declarations_are_read_with_their_extras_and_markers():
    lines = [*PROJECT["dependencies"], 'ray>=2.40; extra == "ray"', 'ruff; extra == "dev"']
    found = declared([*lines, 'pywin32>=1; sys_platform == "win32" and extra == "ray"'])
    assert Wanted("ray", ">=2.40", "ray") in found
    assert {each.extra for each in found} == {"", "ray"}
    assert len(found) == len(PROJECT["dependencies"]) + 1


@pytest.mark.parametrize("line", PROJECT["dependencies"])
def test_every_needed_library_is_found_by_its_module_and_works(line):
    (wanted,) = declared([line])
    (found,) = probe_import(wanted)
    assert (found.state, found.needed) == (State.works, True)


def test_versions_outside_the_declared_range_are_noted():
    assert probe_version(Wanted("numpy", ">=99")).state is State.note
    assert probe_version(Wanted("numpy", ">=1")).state is State.works


def test_an_absent_extra_says_what_it_would_add_and_an_absent_need_is_broken():
    extra = probe_version(Wanted("no-such-library", ">=1", "ray"))
    assert (extra.state, extra.needed) == (State.absent, False)
    assert "radboost[ray]" in extra.do
    assert ADDS["ray"] in extra.do
    need = probe_version(Wanted("no-such-library", ">=1"))
    assert (need.state, need.needed) == (State.broken, True)


@pytest.mark.parametrize(
    "body",
    [
        "raise ImportError('/home/somebody/env/lib/libtorch.so: undefined symbol: x')",
        "raise OSError('libcudart.so.13: cannot open shared object file')",
        "raise RuntimeError('operator torchvision::nms does not exist')",
    ],
)
def test_a_library_that_cannot_be_imported_is_a_line_with_its_reason(tmp_path, monkeypatch, body):
    (tmp_path / "broken_here.py").write_text(body)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(libraries.MODULES, "numpy", "broken_here")
    (found,) = run_here(step("radboost.pipeline.doctor.libraries:probe_import", Wanted("numpy", ">=1")))
    assert (found.state, found.needed) == (State.broken, True)
    assert body.split("(")[0].removeprefix("raise ") in found.detail
    assert "somebody" not in found.detail


def test_a_folder_of_a_librarys_name_is_not_the_library(tmp_path, monkeypatch):
    (tmp_path / "hides_it").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(libraries.MODULES, "numpy", "hides_it")
    (found,) = probe_import(Wanted("numpy", ""))
    assert found.state is State.broken
    assert "hides it" in found.detail


def test_a_step_that_kills_its_process_costs_its_own_line_alone(tmp_path):
    # What a library built for another processor does: SIGILL or SIGSEGV, no Python exception.
    disk = step("radboost.engines.machine:probe_disk", tmp_path, "here")
    found = [probes[0] for probes in run_apart([step("os:no_such_thing"), step("os:abort"), disk])]
    assert found[0].detail.startswith("AttributeError")
    assert found[1].detail == f"ended the process that tried it (signal {signal.SIGABRT:d})"
    assert [each.state for each in found[:2]] == [State.broken] * 2
    assert found[2].state is not State.broken


def test_a_step_that_hangs_is_ended():
    (found,) = run_apart([step("time:sleep", 600)], patience_s=0.5)
    assert (found[0].state, found[0].detail) == (State.broken, "gave no answer in 0.5 s")


def test_the_exit_code_speaks_of_what_is_needed_alone():
    def report(state: State, needed: bool) -> bool:
        return Report((Probe("a", "b", state, needed=needed),)).works

    assert [report(State.broken, needed) for needed in (True, False)] == [False, True]
    assert all(report(state, True) for state in State if state is not State.broken)


def test_the_command_looks_at_all_and_names_neither_user_nor_machine_nor_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["doctor", "--quick", "--json", "-"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["works"]
    areas = {probe["area"] for probe in found["probes"]}
    assert {"libraries", "codecs", "machine"} <= areas
    # A hub or a cluster is asked when the user asks, and never else.
    assert not areas & {"Ray"}
    assert "hub" not in {probe["name"] for probe in found["probes"]}
    for secret in (str(Path.home()), str(tmp_path), socket.gethostname(), sys.prefix):
        assert secret not in result.stdout
    assert getpass.getuser() == "root" or getpass.getuser() not in result.stdout


def test_something_needed_that_is_broken_ends_with_exit_code_1(monkeypatch, tmp_path):
    broken = Report((Probe("libraries", "torch", State.broken, "no [/such] symbol", "Install it anew", needed=True),))
    monkeypatch.setattr("radboost.pipeline.doctor.examine.examine", lambda config, progress: broken)
    result = CliRunner().invoke(app, ["doctor", "--json", str(tmp_path / "report.json")])
    assert result.exit_code == 1
    assert "broken, and needed: torch" in result.output
    assert "no [/such] symbol" in result.output
    assert json.loads((tmp_path / "report.json").read_text())["works"] is False


def test_a_wrong_path_is_the_users_mistake():
    assert CliRunner().invoke(app, ["doctor", "--path", "/no/such/folder"]).exit_code == 2


def test_a_radboost_that_was_not_installed_is_told(monkeypatch):
    def nowhere(name):
        raise libraries.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(libraries.metadata, "requires", nowhere)
    monkeypatch.setattr("radboost.pipeline.doctor.examine.run_apart", lambda steps: iter(()))
    report = examine(DoctorConfig(quick=True))
    assert not report.works


def test_this_machine_is_seen(tmp_path):
    found = {probe.name: probe for probe in probe_machine()}
    assert int(found["cores"].detail.split(" ")[0].rstrip(",")) >= 1
    assert "GB" in found["memory"].detail
    assert "GB free" in probe_disk(tmp_path, "here")[0].detail


def test_no_gpu_is_nothing_broken(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (found,) = probe_gpu()
    assert (found.state, found.needed) == (State.absent, False)


def test_cached_weights_are_told_from_a_repository_of_settings_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "none"))
    assert [probe.state for probe in hub.probe_cache("resnet18")][1:] == [State.absent]
    for name, file in (("resnet18.x", "model.safetensors"), ("resnet50.y", "config.json")):
        folder = tmp_path / "hub" / f"models--timm--{name}" / "snapshots" / "abc"
        folder.mkdir(parents=True)
        (folder / file).write_bytes(b"0" * 8)
        (folder.parents[1] / "refs").mkdir()
        (folder.parents[1] / "refs" / "main").write_text("abc")
        (folder.parents[1] / "blobs").mkdir()
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    found = hub.probe_cache("resnet18.x")
    assert [probe.name for probe in found] == ["hub cache", "timm"]
    assert found[1].detail.endswith(": resnet18.x")
    assert [probe.state for probe in hub.probe_cache("resnet50.y")][2:] == [State.absent]


@pytest.mark.parametrize(("status", "state"), [(200, State.works), (401, State.works), (503, State.broken)])
def test_a_hub_that_answers_is_there_whatever_it_thinks_of_the_question(monkeypatch, status, state):
    asked = []

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *words):
            pass

    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = Thread(target=server.handle_request)
        thread.start()
        monkeypatch.setattr(hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        (found,) = hub.probe_hub(30.0)
        thread.join()
    # One question, and nothing fetched.
    assert (found.state, len(asked)) == (state, 1)


def test_a_hub_and_a_cluster_that_do_not_answer_are_broken_for_those_who_asked(monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub.constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    (asked,) = hub.probe_hub(1.0)
    assert (asked.state, asked.needed) == (State.broken, True)
    pytest.importorskip("ray", reason="the extra ray is not installed")
    (cluster,) = probe_ray(f"127.0.0.1:{port}")
    assert (cluster.state, cluster.needed) == (State.broken, True)
    assert "ray start" in cluster.do
