"""Rows by view, by unit, at random, in threads and after a fork."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.store import Rows, compare_stores, merge_stores, verify_store
from radboost.errors import FormatError, UserError


def names(*numbers):
    return [f"{n:032x}" for n in numbers]


def test_who_names_no_view_gets_the_clean_one(viewed):
    # Training of trees reads one row a crop: an augmented view that slipped in would be another image.
    assert viewed.rows_of(names(3, 5, 8, 1)).tolist() == [2, 5, 0, -1]
    assert (viewed.column("view")[viewed.rows_of(names(3, 5, 8))] == 0).all()


def test_each_view_has_its_row_and_an_absent_view_is_absent(viewed):
    assert viewed.rows_of(names(8, 3, 5), view=1).tolist() == [1, 3, 6]
    assert viewed.rows_of(names(8, 3, 5), view=2).tolist() == [-1, 4, 7]
    assert viewed.rows_of(names(8, 3, 5), view=3).tolist() == [-1, -1, -1]


def test_whole_columns_lie_in_row_order(viewed):
    assert viewed.column("crop_id").tolist() == [n.encode() for n in names(8, 8, 3, 3, 3, 5, 5, 5)]
    assert viewed.column("view").tolist() == [0, 1, 0, 1, 2, 0, 1, 2]
    assert viewed.column("reduce").tolist() == [0] * 8
    assert viewed.column("failed").tolist() == [n.encode() for n in names(1)]
    with pytest.raises(UserError, match="crop_id"):
        viewed.column("path")


def test_columns_of_an_empty_store_are_empty(tmp_path, made):
    store = made.store(tmp_path / "s")
    assert [len(store.column(c)) for c in ("crop_id", "view", "reduce", "failed")] == [0, 0, 0, 0]
    assert store.rows_of(names(1)).tolist() == [-1]
    assert store.read("avg").shape == (0, 5)
    assert list(store.batches("avg", 4, seed=0)) == []


def test_a_units_rows_come_by_slot_and_order(viewed):
    links = pd.DataFrame(
        [("b", 5, "MLO", 0.0), ("a", 3, "CC", 2.0), ("a", 8, "CC", 1.0), ("b", 3, "CC", 5.0), ("c", 1, "CC", 0.0)],
        columns=["unit", "crop_id", "slot", "order"],
    )
    links["crop_id"] = names(*links["crop_id"])
    found = viewed.unit_rows(links)
    # Unit c sees a failed crop only.
    assert {unit: rows.tolist() for unit, rows in found.items()} == {"a": [0, 2], "b": [2, 5]}
    assert {unit: rows.tolist() for unit, rows in viewed.unit_rows(links, view=2).items()} == {"a": [4], "b": [4, 7]}
    assert viewed.unit_rows(links[links["unit"] == "c"]) == {}
    assert viewed.unit_rows(links.iloc[:0]) == {}


def test_random_batches_give_every_row_once(viewed):
    whole = viewed.read("max")
    batches = list(viewed.batches("max", 3, seed=1))
    assert [len(rows) for rows, _ in batches] == [3, 3, 2]
    assert sorted(np.concatenate([rows for rows, _ in batches])) == list(range(8))
    assert all(np.array_equal(values, whole[rows]) for rows, values in batches)
    again, other = (np.concatenate([r for r, _ in viewed.batches("max", 3, seed=s)]) for s in (1, 2))
    assert again.tolist() == np.concatenate([rows for rows, _ in batches]).tolist()
    assert again.tolist() != other.tolist()
    clean = np.flatnonzero(viewed.column("view") == 0)
    assert sorted(np.concatenate([r for r, _ in viewed.batches("avg", 2, 0, clean)])) == clean.tolist()


def test_crops_that_left_the_cohort_are_named(viewed):
    # A failed crop is known too; a new one that the store lacks is not "removed".
    assert viewed.removed(names(3, 77)) == names(1, 5, 8)
    assert viewed.removed(names(1, 3, 5, 8)) == []


def test_a_column_of_another_length_is_refused(made):
    zeros = np.zeros((2, 5), np.float16)
    with pytest.raises(FormatError, match="views"):
        Rows(made.ids(1, 2), {"avg": zeros}, made.ids(), views=np.zeros(3, np.uint8))


@pytest.mark.parametrize("touched", [False, True])
def test_a_forked_child_reads_what_its_parent_reads(viewed, touched):
    # torch's DataLoader forks readers that may or may not have mapped a shard already.
    code = f"""
import os, sys
import numpy as np
from radboost.data.store import EmbeddingStore
store = EmbeddingStore.open(sys.argv[1])
if {touched}:
    store.read("avg")
    store.rows_of(store.crop_ids())
sums = []
for child in range(3):
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        values = store.read("avg", [7, 0, 3]).astype(np.float64)
        os.write(write, repr((float(values.sum()), store.rows_of(store.crop_ids()).tolist())).encode())
        os._exit(0)
    os.close(write)
    sums.append(os.read(read, 4096))
    os.waitpid(pid, 0)
here = repr((float(store.read("avg", [7, 0, 3]).astype(np.float64).sum()), store.rows_of(store.crop_ids()).tolist()))
sys.exit(sums != [here.encode()] * 3)
"""
    assert subprocess.run([sys.executable, "-c", code, str(viewed.folder)], check=False, timeout=120).returncode == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc on this system")
def test_few_files_are_open_however_many_shards_there_are(tmp_path, made):
    # 3.4 million images may lie in thousands of shards; a process commonly has 1,024 descriptors.
    store = made.store(tmp_path / "s", *(made.rows([2 * k, 2 * k + 1]) for k in range(20)))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(p.name) for p in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 9, limit[1]))
    try:
        values = store.read("avg")
        for rows, batch in store.batches("avg", 7, seed=0):
            assert np.array_equal(batch, values[rows])
        assert store.rows_of(store.crop_ids()).tolist() == list(range(40))
        assert verify_store(store.folder).findings == ()
        assert compare_stores(store, store).common == 40
        assert len(merge_stores([store, store], tmp_path / "m").store) == 40
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("count", [1, 7, 200])
def test_rows_are_the_same_however_few_of_a_shard_are_read(tmp_path, made, count, dtype):
    # Few rows a shard and many are read in two ways.
    store = made.store(tmp_path / "s", *(made.rows([3 * k, 3 * k + 1, 3 * k + 2]) for k in range(10)), made.rows([]))
    rows = np.random.default_rng(count).integers(0, 30, count)
    found = store.read("avg", rows, dtype)
    assert found.dtype == dtype
    assert np.array_equal(found, np.concatenate(list(store.blocks("avg")))[rows])
