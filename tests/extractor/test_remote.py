"""An extraction on two nodes is the extraction on one machine, whatever becomes of a node."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from radboost.data.cohort import BOX, Cohort
from radboost.data.identity import keyed_hashes
from radboost.data.store import EmbeddingStore
from radboost.engines.cluster import Needs
from radboost.engines.ray import ActorPool
from radboost.errors import PixelError, RadboostError, UserError
from radboost.extractor.accounting import RUNS, Meter
from radboost.extractor.embedder import Embedder, Told, versions
from radboost.extractor.extract import extract
from radboost.extractor.remote import LOOKED_FOR, Fleet, share

# Ray leaves processes that it ended, and their log files, to the interpreter.
pytestmark = [
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
]


class Nodes:
    """A head and one more node, both on this machine, of one core each."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 100 << 20}
        self.cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
        self.worker = self.cluster.add_node(**node)
        self.address = self.cluster.address

    def lose_worker(self, handle) -> bool:
        """Kill the node on which an actor lives, actor and all, if that has work in hand at this moment."""
        import ray
        from ray._private.state import actors

        told = actors(handle.handle._actor_id.hex())
        if told["Address"]["NodeID"] != self.worker.node_id:
            return False
        os.kill(told["Pid"], signal.SIGSTOP)
        refs = [job.ref for job in handle.jobs]
        if not refs or not ray.wait(refs, num_returns=len(refs), timeout=0.5)[1]:
            os.kill(told["Pid"], signal.SIGCONT)
            return False
        self.cluster.remove_node(self.worker, allow_graceful=False)
        os.kill(told["Pid"], signal.SIGKILL)
        return True


@pytest.fixture
def nodes():
    found = Nodes()
    yield found
    found.cluster.shutdown()


class Near:
    """A cluster of one node of one core: this process."""

    def __init__(self, address=None): ...

    def __enter__(self):
        return self

    def __exit__(self, *error): ...

    def nodes(self):
        return [Needs(1)]


class NearPool:
    """An actor pool's contract, kept by one worker in this process."""

    most = 1

    def __init__(self, cluster, make, needs, check):
        self.worker = make()
        check(self.worker.describe())

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.worker.close()

    def first(self): ...

    def map(self, tasks, stop):
        for task in tasks:
            if stop():
                return
            yield self.worker(task)


@pytest.fixture
def near(monkeypatch, inline):
    """All but Ray itself, which takes seconds to start and has tests of its own."""
    monkeypatch.setattr("radboost.extractor.remote.Cluster", Near)
    monkeypatch.setattr("radboost.extractor.remote.ActorPool", NearPool)


@pytest.fixture
def many(cohort) -> Cohort:
    """96 crops, four a frame; one box lies outside its frame."""
    times = 4
    rows = cohort.manifest.loc[cohort.manifest.index.repeat(times)].reset_index(drop=True)
    number = np.tile(np.arange(times), len(cohort.manifest))
    for name, edge in zip(BOX[:4], (number, number, number + 40, number + 48), strict=True):
        rows[name] = edge.astype(float)
    rows.loc[9, BOX[:4]] = [900.0, 900.0, 950.0, 950.0]
    rows["box_unit"] = "px"
    rows["crop_id"] = keyed_hashes(cohort.key, "crop", rows["crop_id"] + number.astype(str))
    return replace(cohort, manifest=rows)


@pytest.fixture
def boxes(config):
    def make(**changes):
        return config(pixels={"crop": "box"}, **changes)

    return make


class Listener:
    def __init__(self):
        self.steps, self.total = 0, 0

    def start(self, what, total):
        self.total = total

    def advance(self, steps=1):
        self.steps += steps

    def say(self, text): ...


def shards(folder) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.glob("part-*.h5"))}


def test_a_lost_nodes_shards_are_done_again_and_every_shard_has_the_bytes_of_the_local_one(
    many, boxes, tmp_path, nodes, monkeypatch
):
    local = extract(many, tmp_path / "local", boxes())
    gone, real = [], ActorPool._turn

    def turn(self):
        if self.up == 2 and not gone:
            gone.extend(host for host in self._hosts if nodes.lose_worker(host))
        return real(self)

    def both(self):
        while self.up < 2:
            real(self)

    monkeypatch.setattr(ActorPool, "_turn", turn)
    monkeypatch.setattr(ActorPool, "first", both)
    listener = Listener()
    found = extract(many, tmp_path / "ray", boxes(engine="ray", ray_address=nodes.address), listener)
    assert len(gone) == 1
    assert len(shards(tmp_path / "ray")) == 12
    assert shards(tmp_path / "ray") == shards(tmp_path / "local")
    assert (found.new, found.quarantined) == (local.new, local.quarantined) == (95, 1)
    assert (listener.steps, listener.total) == (96, 96)
    # What was done twice counts once.
    account = found.account
    assert account.forward_passes == 24
    assert account.device == "cpu" == found.device
    assert all(seconds > 0 for seconds in account.seconds.values())
    assert json.loads((tmp_path / "ray" / RUNS).read_text())["crops"] == 95
    assert {part.device for part in found.store.parts} == {"cpu"}
    told = [
        (row["kind"], row["reason"]) for row in pd.read_csv(many.folder / "quarantine/extract-2.csv").to_dict("records")
    ]
    assert told == [
        ("unreadable", "the box lies outside the frame of 80 rows x 64 columns (got (900.0, 900.0, 950.0, 950.0))")
    ]


def test_a_lost_shard_alone_is_made_again(cohort, config, tmp_path, near):
    extract(cohort, tmp_path / "ray", config(engine="ray"))
    whole = shards(tmp_path / "ray")
    (tmp_path / "ray" / "part-00001.h5").unlink()
    again = extract(cohort, tmp_path / "ray", config(engine="ray"))
    assert (again.new, again.reused, again.forward_passes) == (8, 16, 2)
    assert shards(tmp_path / "ray") == whole


def test_strict_ends_at_the_first_failure_and_keeps_the_shards_before(many, boxes, tmp_path, near):
    with pytest.raises(PixelError, match=r"\.dcm.*outside the frame.*--strict"):
        extract(many, tmp_path / "ray", boxes(engine="ray", strict=True))
    # Crop 9 lies in the second shard of eight.
    assert [part.rows for part in EmbeddingStore.open(tmp_path / "ray").parts] == [8]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_the_shards_in_hand_be_finished_and_the_next_run_goes_on(
    cohort, config, tmp_path, near, monkeypatch, number
):
    extract(cohort, tmp_path / "local", config())
    work = Embedder.__call__

    def interrupted(self, task):
        if task.start == 8:
            signal.raise_signal(number)
        return work(self, task)

    monkeypatch.setattr(Embedder, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(cohort, tmp_path / "ray", config(engine="ray"))
    assert len(shards(tmp_path / "ray")) == 2
    monkeypatch.setattr(Embedder, "__call__", work)
    found = extract(cohort, tmp_path / "ray", config(engine="ray"))
    assert (found.new, found.reused) == (8, 16)
    assert shards(tmp_path / "ray") == shards(tmp_path / "local")


def test_a_full_store_needs_no_cluster(cohort, config, tmp_path, inline):
    extract(cohort, tmp_path / "store", config())
    again = extract(cohort, tmp_path / "store", config(engine="ray", ray_address="127.0.0.1:1"))
    assert (again.new, again.forward_passes) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "nodes", "needs"),
    [
        # A GPU, and the share of cores of the node that has fewest.
        ({}, [Needs(16, 4), Needs(8, 1), Needs(64)], Needs(4, 1)),
        ({"workers": 2}, [Needs(16, 4)], Needs(2, 1)),
        ({"workers": 9}, [Needs(16, 4)], Needs(4, 1)),
        ({"device": "cpu", "workers": 3}, [Needs(16, 4)], Needs(3)),
        ({"workers": 64}, [Needs(2), Needs(8)], Needs(8)),
    ],
)
def test_what_an_actor_reserves(config, monkeypatch, changes, nodes, needs):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert share(config(**{"device": "auto", "workers": None, **changes}), nodes) == needs


@pytest.mark.parametrize(("device", "says"), [("cuda", "no node"), ("cuda:1", "deals out")])
def test_devices_that_cannot_be_had(config, device, says):
    with pytest.raises(UserError, match=says):
        share(config(device=device), [Needs(4)])


def test_nodes_with_other_weights_libraries_or_files_are_refused(cohort, config):
    fleet = Fleet(cohort, config(engine="ray"))
    told = Told("cpu", "fp32", 4, {"weights_sha256": "a"}, versions(), LOOKED_FOR)
    fleet._backbone = {"weights_sha256": "a"}
    fleet._check(told)
    with pytest.raises(RadboostError, match="another backbone.*weights_sha256"):
        fleet._check(replace(told, backbone={"weights_sha256": "b"}))
    with pytest.raises(RadboostError, match="torch 0.1 there"):
        fleet._check(replace(told, versions={**versions(), "torch": "0.1"}))
    # Else all its crops would be told as unreadable, and never be tried again.
    with pytest.raises(RadboostError, match="lacks files.*0 of 16 there, 16 elsewhere"):
        fleet._check(replace(told, found=0))


def test_files_that_no_node_has_are_the_quarantines(cohort, config):
    fleet = Fleet(replace(cohort, root=cohort.root / "moved"), config(engine="ray"))
    fleet._check(Told("cpu", "fp32", 4, {}, versions(), 0))
    with pytest.raises(RadboostError, match="lacks files"):
        fleet._check(Told("cpu", "fp32", 4, {}, versions(), 16))
        fleet._check(Told("cpu", "fp32", 4, {}, versions(), 15))


def test_process_ids_of_two_machines_are_kept_apart():
    whole, part = Meter(), Meter(forward=1.0, forward_passes=2, workers={7: 0.5}, device_peak=9)
    whole.merge(part, actor=1)
    whole.merge(part, actor=2)
    assert (whole.forward, whole.forward_passes, whole.device_peak) == (2.0, 4, 9)
    assert list(whole.workers.values()) == [0.5, 0.5]


def test_an_address_alone_is_refused(config):
    with pytest.raises(UserError, match="--engine ray"):
        config(ray_address="auto")
    with pytest.raises(UserError, match="unknown engine"):
        config(engine="spark")
