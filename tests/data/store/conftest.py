from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from radboost.data.store import ID_DTYPE, Rows, StoreWriter

FINGERPRINT = {"backbone": {"name": "net", "pools": ["avg", "max"]}, "dtype": "float16", "precision": "fp32"}
POOLS = {"avg": 5, "max": 3}


def ids(*numbers):
    return np.array([f"{n:032x}".encode() for n in numbers], ID_DTYPE)


def rows(numbers, failed=(), seed=0, views=None):
    rng = np.random.default_rng([seed, *numbers])
    values = {name: rng.normal(size=(len(numbers), width)).astype(np.float16) for name, width in POOLS.items()}
    return Rows(ids(*numbers), values, ids(*failed), views=None if views is None else np.array(views, np.uint8))


def new_writer(folder, **changes):
    folder.mkdir(exist_ok=True)
    content = {"fingerprint": FINGERPRINT, "pools": POOLS, "dtype": "float16", "rows_per_shard": 4, "config": {}}
    return StoreWriter.create(folder, content | {"key_id": "k", "cohort": "c"} | changes)


def write_store(folder, *shards, **changes):
    """Write a store of these shards."""
    writer = new_writer(folder, **changes)
    for shard in shards:
        writer.add(shard, "cpu")
    return writer.store()


@pytest.fixture
def parts():
    # Ids out of order and one shard without a row, as failures make them.
    return [rows([9, 2, 40, 7]), rows([], failed=[11, 12]), rows([1, 30], failed=[13])]


@pytest.fixture
def store(tmp_path, parts):
    writer = new_writer(tmp_path / "store")
    for part in parts:
        writer.add(part, "cpu")
    return writer.store()


@pytest.fixture
def made():
    """What the store above was made with."""
    return SimpleNamespace(FINGERPRINT=FINGERPRINT, ids=ids, rows=rows, new_writer=new_writer, store=write_store)


@pytest.fixture
def viewed(tmp_path):
    """Three crops of three views each over two shards, crop 8 without its last view."""
    first = rows([8, 8, 3, 3, 3], views=[0, 1, 0, 1, 2])
    return write_store(tmp_path / "viewed", first, rows([5, 5, 5], views=[0, 1, 2], failed=[1]))
