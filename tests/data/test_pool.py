from __future__ import annotations

import ctypes
import gc
import itertools
import operator
import os
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import active_children, shared_memory
from pathlib import Path

import numpy as np
import pytest
from pebble import ProcessFuture

from radboost.data import pool as pool_module
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom import DicomImage, read_header, write_dicom
from radboost.data.pool import Done, Failed, Limits, Pool
from radboost.data.render import render
from radboost.errors import RadboostError, TableError

# Workers import functions by name and cannot see this file, hence functions of the standard library and of numpy.
FILL = partial(np.multiply, np.ones((3, 4), np.uint16), dtype=np.uint16)  # FILL(job, out=slot) fills it with job


@pytest.fixture(scope="module")
def pool():
    with Pool(1, Limits(seconds=1.5, memory_bytes=512 << 20)) as shared:
        yield shared


def test_results_come_in_the_order_of_the_jobs():
    # The first job is the slowest: order is kept by waiting, not by luck.
    with Pool(2) as two:
        results = list(two.map(time.sleep, [0.4, 0.0, 0.1, 0.0]))
    assert [r.job for r in results] == [0.4, 0.0, 0.1, 0.0]
    assert all(isinstance(r, Done) and r.seconds >= r.job for r in results)


@pytest.mark.parametrize(
    ("function", "bad", "good", "kind"),
    [
        (time.sleep, 60, 0, "time limit"),
        (ctypes.string_at, 0, b"abc", "crashed"),
        (bytes, 4 << 30, 3, "memory"),
        (operator.neg, "x", 3, "unexpected"),
    ],
)
def test_one_bad_job_costs_one_item_and_the_worker_is_replaced(pool, function, bad, good, kind):
    first, second, third = pool.map(function, [good, bad, good])
    assert isinstance(first, Done)
    assert isinstance(second, Failed)
    assert (second.job, second.kind) == (bad, kind)
    assert isinstance(third, Done)


def test_a_crash_says_what_killed_the_worker(pool):
    (failed,) = pool.map(ctypes.string_at, [0])
    assert "segmentation fault" in failed.reason


def test_what_is_wrong_with_a_file_comes_back_as_reason_and_kind(pool, tmp_path):
    (tmp_path / "a.dcm").write_bytes(b"hello")
    write_dicom(tmp_path / "b.dcm", DicomImage(np.zeros((2, 2), np.uint8), 8))
    bad, good = pool.map(read_header, [tmp_path / "a.dcm", tmp_path / "b.dcm"])
    assert bad.kind == "unreadable"
    assert str(tmp_path) not in bad.reason  # reasons may be printed, paths may hold names
    assert good.value.rows == 2


def test_the_users_mistake_ends_the_run(pool):
    # A wrong request is the same for all files: 50,000 quarantined files would hide it.
    with pytest.raises(TableError, match="no such column"):
        list(pool.map(exec, ["from radboost.errors import TableError; raise TableError('no such column')"]))
    assert isinstance(next(iter(pool.map(operator.neg, [1]))), Done)


def test_jobs_without_end_are_taken_as_they_are_needed(pool):
    taken = []

    def endless():
        for k in itertools.count():
            taken.append(k)
            yield k

    first = list(itertools.islice(pool.map(operator.neg, endless()), 5))
    assert [r.value for r in first] == [0, -1, -2, -3, -4]
    assert len(taken) <= 5 + 2


def test_pixels_come_back_through_slots_that_are_not_mixed_up():
    with Pool(2, slot_shape=(3, 4), ahead=3) as slots:
        for result in slots.map(FILL, range(40)):
            assert isinstance(result, Done)
            assert result.pixels.shape == (3, 4)
            assert (result.pixels == result.job).all()


def test_a_result_in_hand_is_not_overwritten_by_the_jobs_behind_it():
    with Pool(1, slot_shape=(3, 4), ahead=2) as slots:
        results = slots.map(FILL, itertools.count(1))
        held = next(results)
        time.sleep(0.5)  # workers go on meanwhile
        assert (held.pixels == 1).all()
        results.close()


def test_nothing_is_left_behind_when_the_caller_stops_early():
    # What an interrupt does to the with statement, at a moment when workers are busy.
    slots = Pool(2, slot_shape=(3, 4)).__enter__()
    name = slots._memory.name
    held = next(slots.map(FILL, itertools.count()))
    slots.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name)
    assert [p for p in active_children() if "pebble" in p.name] == []
    assert held.pixels.shape == (3, 4)  # a view in the caller's hand stays readable
    del held
    gc.collect()


def test_ctrl_c_in_the_terminal_ends_parent_and_workers(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import itertools, signal, sys, time\n"
        "from radboost.data.pool import Pool\n"
        "if __name__ == '__main__':\n"
        # Shells start what runs in the background with Ctrl-C ignored.
        "    signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "    with Pool(2, slot_shape=(3, 4)) as pool:\n"
        "        print(pool._memory.name, flush=True)\n"
        "        with Pool(2) as sleepers:\n"
        "            for r in sleepers.map(time.sleep, itertools.repeat(0.05)):\n"
        "                print('working', flush=True)\n"
    )
    child = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    name = child.stdout.readline().strip()
    assert child.stdout.readline() == "working\n"
    os.killpg(child.pid, signal.SIGINT)  # a terminal sends it to the whole group
    _, errors = child.communicate(timeout=30)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert "resource_tracker" not in errors
    assert not Path("/dev/shm", name).exists()
    assert _all_gone(child.pid)


def _all_gone(group):
    """Wait for the last process of a group to end; False when one stays."""
    for _ in range(100):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_crops_of_good_files_come_through_bad_neighbours(tmp_path):
    policy = PixelPolicy(32)
    jobs = []
    for k in range(6):
        path = tmp_path / f"{k}.dcm"
        pixels = np.random.default_rng(k).integers(0, 4096, (40, 40)).astype(np.uint16)
        write_dicom(path, DicomImage(pixels, 12, transfer_syntax="JPEG2000Lossless"))
        if k % 2:
            path.write_bytes(path.read_bytes()[:-900])
        jobs.append(CropJob(str(path)))
    with Pool(2, slot_shape=policy.shape) as slots:
        for k, result in enumerate(slots.map(partial(render, policy=policy), jobs)):
            if k % 2:
                assert isinstance(result, Failed)
                assert result.kind == "unreadable"
            else:
                alone = np.empty(policy.shape, np.uint16)
                render(jobs[k], policy, alone)
                np.testing.assert_array_equal(result.pixels, alone)


def test_workers_import_no_torch(pool):
    # torch maps more address space than the memory limit allows, and takes seconds to import.
    (result,) = pool.map(eval, ["sorted({'torch', 'numpy'} & set(__import__('sys').modules))"])
    assert result.value == ["numpy"]


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"workers": 1, "ahead": 0}])
def test_a_pool_without_workers_or_room_is_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        Pool(**wrong)


def test_a_pool_with_slots_needs_its_with_statement():
    with pytest.raises(RuntimeError, match="with statement"):
        next(Pool(1, slot_shape=(2, 2)).map(FILL, [1]))


@pytest.mark.parametrize(("active", "patience"), [(False, 60.0), (True, -1.0)])
def test_a_job_that_is_lost_ends_the_run_instead_of_hanging_it(monkeypatch, active, patience):
    # A job handed over at the moment when the pool breaks is never told of: its future stays open for ever.
    class Deaf:
        def __init__(self, **_: object) -> None:
            self.active = active

        def schedule(self, *_: object, **__: object) -> ProcessFuture:
            return ProcessFuture()

        def stop(self) -> None: ...

        def join(self) -> None: ...

    monkeypatch.setattr(pool_module, "ProcessPool", Deaf)
    monkeypatch.setattr(pool_module, "_WATCH_S", 0.01)
    monkeypatch.setattr(pool_module, "_PATIENCE_S", patience)
    with Pool(1, Limits(seconds=0.5)) as one, pytest.raises(RadboostError, match="give no results"):
        list(one.map(abs, [1]))
