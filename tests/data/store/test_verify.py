"""What verify finds, and what happens to a shard that is set aside."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radboost.data.store import EmbeddingStore, StoreWriter, set_aside, store_lock, verify_store
from radboost.errors import FormatError, UserError


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def rename_in_list(folder, change):
    path = folder / "parts.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(change(line)) + "\n" for line in lines))


def test_a_sound_store_has_no_findings_and_stays_as_it_is(store):
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in store.folder.iterdir()}
    seen = []
    found = verify_store(store.folder, seen.append)
    assert (found.shards, found.rows, found.findings) == (3, 6, ())
    assert found.bytes == sum(part.bytes for part in store.parts)
    assert seen == [1, 1, 1]
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in store.folder.iterdir()} == before


@pytest.mark.parametrize("seed", range(5))
def test_one_flipped_byte_anywhere_is_found(store, seed):
    rng = np.random.default_rng(seed)
    part = store.parts[rng.integers(3)]
    flip(store.folder / part.name, int(rng.integers(part.bytes)))
    found = verify_store(store.folder)
    assert found.damaged == (part.name,)
    assert "sha256" in found.findings[0].what


def test_missing_and_cut_shards_are_all_named(store):
    (store.folder / "part-00000.h5").unlink()
    with (store.folder / "part-00002.h5").open("r+b") as file:
        file.truncate(100)
    found = verify_store(store.folder)
    assert [(f.shard, f.what.split()[0]) for f in found.findings] == [("part-00000.h5", "is"), ("part-00002.h5", "has")]


def test_a_shard_of_another_fingerprint_is_found(store, tmp_path, made, parts):
    # A file copied in by hand is whole and has the sha256 that its line says: only its own mark tells.
    other = made.store(tmp_path / "other", parts[0], fingerprint={**made.FINGERPRINT, "precision": "bf16"})
    content = (other.folder / "part-00000.h5").read_bytes()
    (store.folder / "part-00000.h5").write_bytes(content)
    part = other.parts[0]
    rename_in_list(
        store.folder, lambda p: p | {"sha256": part.sha256, "bytes": part.bytes} if p["name"] == part.name else p
    )
    found = verify_store(store.folder)
    assert [(f.shard, f.what) for f in found.findings] == [("part-00000.h5", "was made under another fingerprint")]


def test_a_row_that_stands_twice_is_told_of_the_later_shard(tmp_path, made):
    shards = made.rows([1, 1, 2], views=[0, 1, 0]), made.rows([3]), made.rows([1, 4], views=[1, 0])
    found = verify_store(made.store(tmp_path / "s", *shards).folder)
    assert [(f.shard, f.what) for f in found.findings] == [
        ("part-00002.h5", "1 rows stand twice, here or in an earlier shard")
    ]


def test_views_of_one_crop_are_no_repetition(viewed):
    assert verify_store(viewed.folder).findings == ()


def test_the_next_run_makes_just_the_damaged_shard_anew(store, parts, made):
    before = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    flip(store.folder / "part-00001.h5", -1)
    assert set_aside(store.folder, verify_store(store.folder).damaged) == ["part-00001.h5"]
    # A store that is only shorter would be read as if nothing were missing.
    with pytest.raises(FormatError, match=r"part-00001\.h5: was set aside"):
        EmbeddingStore.open(store.folder)
    assert [f.what for f in verify_store(store.folder).findings] == ["was set aside as damaged"]
    writer = StoreWriter.resume(store.folder, made.FINGERPRINT)
    crops = [i.decode() for part in parts for i in (*part.crop_ids, *part.failed)]
    left = [crops[k] for k in StoreWriter.remaining(crops, writer.tried())]
    assert left == [i.decode() for i in parts[1].failed]
    writer.add(parts[1], "cpu")
    (store.folder / ".lock").unlink()
    after = {p.name: p.read_bytes() for p in store.folder.iterdir()}
    # Its line moves to the end; all else, the shard's bytes included, is as it was.
    assert sorted(after.pop("parts.jsonl").splitlines()) == sorted(before.pop("parts.jsonl").splitlines())
    assert after == before
    assert verify_store(store.folder).findings == ()


def test_nothing_is_set_aside_under_a_running_writer(store):
    with store_lock(store.folder), pytest.raises(UserError, match="writing"):
        set_aside(store.folder, ["part-00000.h5"])
    assert EmbeddingStore.open(store.folder).verify() == []


def test_clearing_a_store_takes_what_was_set_aside_with_it(store):
    set_aside(store.folder, ["part-00000.h5"])
    StoreWriter.clear(store.folder)
    assert [p.name for p in store.folder.iterdir()] == [".lock"]
