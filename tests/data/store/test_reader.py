from __future__ import annotations

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest

from radboost.data.store import EmbeddingStore
from radboost.errors import FormatError, UserError

NUMBERS = [9, 2, 40, 7, 1, 30]


def names(numbers):
    return [f"{n:032x}" for n in numbers]


def test_rows_lie_in_the_order_of_the_shards(store):
    assert len(store) == 6
    assert store.crop_ids() == names(NUMBERS)
    assert store.failed_ids() == names([11, 12, 13])
    assert store.pools == ("avg", "max")
    assert [store.width(p) for p in store.pools] == [5, 3]


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_mapped_values_are_what_hdf5_reads(store, pool):
    # The reader never goes through HDF5's own reading, so the two must agree byte for byte.
    for part, block in zip(store.parts, store.blocks(pool), strict=True):
        with h5py.File(store.folder / part.name) as file:
            dataset = file[f"embeddings/{pool}"]
            assert dataset.chunks is None
            assert dataset.compression is None
            assert np.array_equal(dataset[...], block)


def test_any_rows_in_any_order(store):
    whole = store.read("avg")
    assert whole.dtype == np.float32
    rows = [5, 0, 0, 4, 2]
    assert np.array_equal(store.read("avg", rows), whole[rows])
    assert store.read("avg", [], np.float16).shape == (0, 5)
    assert store.read("avg", dtype=np.float16).dtype == np.float16


@pytest.mark.parametrize("at_a_time", [1, 2, 100])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_gathering_in_pieces_changes_nothing_and_the_result_is_the_callers(store, monkeypatch, at_a_time, dtype):
    monkeypatch.setattr("radboost.data.store.reader.GATHERED", at_a_time)
    whole, rows = np.concatenate(list(store.blocks("max"))), [5, 0, 3, 3, 2]
    found = store.read("max", rows, dtype)
    assert found.dtype == dtype
    assert np.array_equal(found, whole[rows].astype(dtype))
    found[:] = 0
    assert np.array_equal(store.read("max", rows, dtype), whole[rows].astype(dtype))


@pytest.mark.parametrize("changes", [{"dtype": "float32"}, {"pools": {"avg": 4, "max": 3}}])
def test_a_header_that_says_otherwise_than_a_shard_is_refused(store, changes):
    # Rows are cut out of the bytes by width and type, so a wrong one would give other numbers.
    path = store.folder / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(FormatError, match="part-00000.*as the header says"):
        EmbeddingStore.open(store.folder).read("avg", [0])


@pytest.mark.parametrize("rows", [[-1], [6]])
def test_an_absent_row_is_never_another_row(store, rows):
    # rows_of gives -1 for what is absent; numpy would take the last row for it.
    with pytest.raises(IndexError):
        store.read("avg", rows)


def test_crops_are_found_by_id(store):
    asked = [*names([30, 11, 9, 99]), names([9])[0] + "0", ""]
    assert store.rows_of(asked).tolist() == [5, -1, 0, -1, -1, -1]
    assert store.rows_of([]).shape == (0,)
    assert store.rows_of(store.crop_ids()).tolist() == list(range(6))


def test_an_unknown_pool_is_the_users_mistake(store):
    for ask in (store.width, store.read, lambda pool: next(store.blocks(pool))):
        with pytest.raises(UserError, match="avg, max"):
            ask("cls")


def test_threads_read_what_one_reader_reads(store):
    rng = np.random.default_rng(0)
    asked = [rng.integers(0, 6, 9) for _ in range(64)]
    fresh = EmbeddingStore.open(store.folder)
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda rows: fresh.read("avg", rows), asked))
    whole = store.read("avg")
    assert all(np.array_equal(g, whole[rows]) for g, rows in zip(got, asked, strict=True))


def test_one_flipped_byte_is_found_and_its_shard_named(store):
    assert store.verify() == []
    path = store.folder / "part-00002.h5"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert EmbeddingStore.open(store.folder).verify() == ["part-00002.h5"]


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 100)])
def test_a_lost_or_cut_shard_is_refused_by_name(store, damage):
    damage(store.folder / "part-00000.h5")
    with pytest.raises(FormatError, match=r"part-00000\.h5"):
        EmbeddingStore.open(store.folder)


def test_a_shard_that_is_no_shard_is_refused_by_name(store):
    path = store.folder / "part-00000.h5"
    path.write_bytes(b"x" * path.stat().st_size)
    with pytest.raises(FormatError, match=r"part-00000\.h5"):
        EmbeddingStore.open(store.folder).read("avg")


def test_a_changed_header_is_refused(store):
    path = store.folder / "store.json"
    header = json.loads(path.read_text())
    header["fingerprint"]["precision"] = "bf16"
    path.write_text(json.dumps(header))
    with pytest.raises(FormatError, match="fingerprint"):
        EmbeddingStore.open(store.folder)


def test_a_damaged_list_of_shards_is_refused(store):
    path = store.folder / "parts.jsonl"
    path.write_text("{}\n" + path.read_text())
    with pytest.raises(FormatError, match=r"parts\.jsonl"):
        EmbeddingStore.open(store.folder)


def test_a_shard_named_twice_is_refused(store):
    path = store.folder / "parts.jsonl"
    path.write_text(path.read_text() * 2)
    with pytest.raises(FormatError, match="twice"):
        EmbeddingStore.open(store.folder)


def test_no_store_says_what_is_there(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        EmbeddingStore.open(tmp_path / "none")


def test_the_config_carries_the_fingerprint_and_survives_json(store):
    assert json.loads(json.dumps(store.config))["fingerprint"] == store.fingerprint


def test_nothing_in_a_store_is_a_pickle(store):
    for path in store.folder.iterdir():
        with pytest.raises((pickle.UnpicklingError, ValueError, EOFError, IndexError, KeyError)):
            pickle.loads(path.read_bytes())
