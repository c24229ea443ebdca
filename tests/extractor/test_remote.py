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
from radboost.extractor.embedder import Told, versions
from radboost.extractor.extract import extract
from radboost.extractor.remote import Fleet, share

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


@pytest.fixture(scope="module")
def nodes():
    found = Nodes()
    yield found
    found.cluster.shutdown()


@pytest.fixture
def many(cohort) -> Cohort:
    """240 crops, ten a frame; one box lies outside its frame."""
    times = 10
    rows = cohort.manifest.loc[cohort.manifest.index.repeat(times)].reset_index(drop=True)
    number = np.tile(np.arange(times), len(cohort.manifest))
    for name, edge in zip(BOX[:4], (number, number, number + 40, number + 48), strict=True):
        rows[name] = edge.astype(float)
    rows.loc[13, BOX[:4]] = [900.0, 900.0, 950.0, 950.0]
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
    assert len(shards(tmp_path / "ray")) == 30
    assert shards(tmp_path / "ray") == shards(tmp_path / "local")
    assert (found.new, found.quarantined) == (local.new, local.quarantined) == (239, 1)
    assert (listener.steps, listener.total) == (240, 240)
    told = [
        (row["kind"], row["reason"]) for row in pd.read_csv(many.folder / "quarantine/extract-2.csv").to_dict("records")
    ]
    assert told == [
        ("unreadable", "the box lies outside the frame of 80 rows x 64 columns (got (900.0, 900.0, 950.0, 950.0))")
    ]


def test_the_account_adds_up_over_actors(many, boxes, tmp_path, nodes):
    found = extract(many, tmp_path / "ray", boxes(engine="ray", ray_address=nodes.address))
    account = found.account
    assert account.forward_passes == 60
    assert account.device == "cpu" == found.device
    assert all(seconds > 0 for seconds in account.seconds.values())
    assert json.loads((tmp_path / "ray" / RUNS).read_text())["crops"] == 239
    parts = found.store.parts
    assert {part.device for part in parts} == {"cpu"}
    # Once more with nothing to do, and one shard to do.
    whole = shards(tmp_path / "ray")
    (tmp_path / "ray" / "part-00004.h5").unlink()
    again = extract(many, tmp_path / "ray", boxes(engine="ray", ray_address=nodes.address))
    assert (again.new, again.reused) == (8, 231)
    assert shards(tmp_path / "ray") == whole


def test_strict_ends_at_the_first_failure_and_keeps_the_shards_before(many, boxes, tmp_path, nodes):
    with pytest.raises(PixelError, match=r"\.dcm.*outside the frame.*--strict"):
        extract(many, tmp_path / "ray", boxes(engine="ray", ray_address=nodes.address, strict=True))
    # Crop 13 lies in the second shard of eight.
    assert [part.rows for part in EmbeddingStore.open(tmp_path / "ray").parts] == [8]


def test_a_full_store_needs_no_cluster(many, boxes, tmp_path):
    extract(many, tmp_path / "store", boxes())
    again = extract(many, tmp_path / "store", boxes(engine="ray", ray_address="127.0.0.1:1"))
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


def test_nodes_with_other_weights_or_libraries_are_refused(cohort, config):
    fleet = Fleet(cohort, config(engine="ray"))
    told = Told("cpu", "fp32", 4, {"weights_sha256": "a"}, versions())
    fleet._backbone = {"weights_sha256": "a"}
    fleet._check(told)
    with pytest.raises(RadboostError, match="another backbone.*weights_sha256"):
        fleet._check(replace(told, backbone={"weights_sha256": "b"}))
    with pytest.raises(RadboostError, match="torch 0.1 there"):
        fleet._check(replace(told, versions={**versions(), "torch": "0.1"}))


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
