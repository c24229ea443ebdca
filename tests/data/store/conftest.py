from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from radboost.data.store import ID_DTYPE, Rows, StoreWriter

FINGERPRINT = {"backbone": {"name": "net", "pools": ["avg", "max"]}, "dtype": "float16", "precision": "fp32"}
POOLS = {"avg": 5, "max": 3}


def ids(*numbers):
    return np.array([f"{n:032x}".encode() for n in numbers], ID_DTYPE)


def rows(numbers, failed=(), seed=0):
    rng = np.random.default_rng([seed, *numbers])
    values = {name: rng.normal(size=(len(numbers), width)).astype(np.float16) for name, width in POOLS.items()}
    return Rows(ids(*numbers), values, ids(*failed))


def new_writer(folder):
    folder.mkdir(exist_ok=True)
    content = {"fingerprint": FINGERPRINT, "pools": POOLS, "dtype": "float16", "rows_per_shard": 4, "config": {}}
    return StoreWriter.create(folder, content)


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
    return SimpleNamespace(FINGERPRINT=FINGERPRINT, ids=ids, rows=rows, new_writer=new_writer)
