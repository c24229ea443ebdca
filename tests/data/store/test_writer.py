from __future__ import annotations

import errno
import json

import numpy as np
import pytest

from radboost.data.store import EmbeddingStore, Rows, StoreWriter
from radboost.errors import FormatError, MismatchError, RadboostError, UserError


def test_equal_rows_give_equal_bytes(tmp_path, made):
    # Resume and rebuilding promise the very bytes of an uninterrupted run, so no clock may enter a shard.
    for name in "ab":
        made.new_writer(tmp_path / name).add(made.rows([3, 1], failed=[2]), "cpu")
    assert (tmp_path / "a/part-00000.h5").read_bytes() == (tmp_path / "b/part-00000.h5").read_bytes()


def test_leftovers_are_dropped_and_finished_shards_kept(store, made):
    before = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    for name in ("part-00003.h5", ".part-00003.h5.tmp", ".parts.jsonl.x1"):
        (store.folder / name).write_bytes(b"cut off")
    with (store.folder / "parts.jsonl").open("a") as file:
        file.write('{"name": "part-00003.h5", "rows": 1')
    assert len(EmbeddingStore.open(store.folder)) == 6
    writer = StoreWriter.resume(store.folder, made.FINGERPRINT)
    assert {p.name: p.read_bytes() for p in store.folder.iterdir()} == before
    # Half a line must not be glued to the next one.
    writer.add(made.rows([50]), "cpu")
    assert writer.store().crop_ids()[-1] == f"{50:032x}"


def test_a_lost_shard_gets_its_number_and_its_bytes_back(store, parts, made):
    path = store.folder / "part-00001.h5"
    before = path.read_bytes()
    path.unlink()
    writer = StoreWriter.resume(store.folder, made.FINGERPRINT)
    assert made.ids(11)[0] not in writer.tried()
    assert writer.add(parts[1], "cpu").name == "part-00001.h5"
    assert path.read_bytes() == before
    assert writer.store().crop_ids() == store.crop_ids()


def test_what_was_tried_is_not_left(store, made):
    writer = StoreWriter.resume(store.folder, made.FINGERPRINT)
    crops = [f"{n:032x}" for n in (5, 9, 11, 6, 30, 13)]
    assert StoreWriter.remaining(crops, writer.tried()).tolist() == [0, 3]


def test_another_fingerprint_is_refused_field_by_field(store, made):
    asked = {**made.FINGERPRINT, "precision": "bf16", "backbone": {"name": "other", "pools": ["avg", "max"]}}
    with pytest.raises(MismatchError) as caught:
        StoreWriter.resume(store.folder, asked)
    text = str(caught.value)
    assert "backbone.name" in text
    assert "precision: the store has fp32, asked bf16" in text
    assert "dtype" not in text
    assert "pools" not in text


def test_a_full_disk_is_one_error_and_the_store_stays_whole(store, monkeypatch, made):
    writer = StoreWriter.resume(store.folder, made.FINGERPRINT)

    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("radboost.data.store.shard.os.fsync", full)
    with pytest.raises(RadboostError, match="No space left"):
        writer.add(made.rows([50]), "cpu")
    monkeypatch.undo()
    assert not list(store.folder.glob(".part*"))
    assert EmbeddingStore.open(store.folder).crop_ids() == store.crop_ids()


def test_columns_of_unequal_length_are_refused(made):
    with pytest.raises(FormatError, match="length"):
        Rows(made.ids(1, 2), {"avg": np.zeros((3, 5), np.float16)}, made.ids())


def test_only_a_store_is_ever_cleared(store, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "part-00000.h5").write_bytes(b"precious")
    with pytest.raises(UserError, match="something else"):
        StoreWriter.clear(mine)
    (store.folder / "notes.txt").write_text("precious")
    StoreWriter.clear(store.folder)
    assert [p.name for p in store.folder.iterdir()] == ["notes.txt"]
    assert (mine / "part-00000.h5").exists()


def test_each_shard_is_recorded_with_what_it_may_depend_on(store):
    lines = [json.loads(line) for line in (store.folder / "parts.jsonl").read_text().splitlines()]
    assert [(p["rows"], p["failed"]) for p in lines] == [(4, 0), (0, 2), (2, 1)]
    assert all({"h5py", "numpy", "python"} <= p["versions"].keys() and p["device"] == "cpu" for p in lines)
