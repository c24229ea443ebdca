"""What leaves a store is read back with the formats' own libraries."""

from __future__ import annotations

import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file
from safetensors.numpy import safe_open as _safe_open

from radboost.data.store import EXPORTS, export_store
from radboost.errors import ExistsError, UserError


@pytest.fixture(params=["store", "viewed"])
def source(request):
    return request.getfixturevalue(request.param)


def test_npy_files_hold_every_row(source, tmp_path):
    export_store(source, "npy", tmp_path / "x")
    for pool in source.pools:
        found = np.load(tmp_path / f"x/{pool}.npy", mmap_mode="r")
        assert found.dtype == source.dtype
        assert np.array_equal(found, source.read(pool, dtype=source.dtype))
    assert (tmp_path / "x/crop_id.txt").read_text().split() == source.crop_ids()
    assert np.load(tmp_path / "x/crop_id.npy").tolist() == source.column("crop_id").tolist()
    assert np.load(tmp_path / "x/view.npy").tolist() == source.column("view").tolist()


def test_parquet_holds_every_row(source, tmp_path):
    export_store(source, "parquet", tmp_path / "x")
    table = pq.read_table(tmp_path / "x/embeddings.parquet")
    assert table["crop_id"].to_pylist() == source.crop_ids()
    assert table["view"].to_pylist() == source.column("view").tolist()
    for pool in source.pools:
        assert np.array_equal(np.array(table[pool].to_pylist(), np.float32), source.read(pool))
    assert table.schema.metadata[b"fingerprint_hash"].decode() == source.fingerprint_hash


def test_safetensors_are_read_by_their_own_library(source, tmp_path):
    path = tmp_path / "x/embeddings.safetensors"
    assert export_store(source, "safetensors", tmp_path / "x") == [path]
    found = load_file(path)
    for pool in source.pools:
        assert found[pool].dtype == source.dtype
        assert np.array_equal(found[pool], source.read(pool, dtype=source.dtype))
    assert [bytes(row) for row in found["crop_id"]] == source.column("crop_id").tolist()
    assert found["view"].tolist() == source.column("view").tolist()
    with _safe_open(path, "np") as file:
        assert file.metadata() == {"fingerprint_hash": source.fingerprint_hash}


def test_anndata_is_read_by_its_own_library(source, tmp_path):
    anndata = pytest.importorskip("anndata")
    export_store(source, "anndata", tmp_path / "x")
    found = anndata.read_h5ad(tmp_path / "x/embeddings.h5ad")
    first, second = source.pools
    assert np.array_equal(found.X, source.read(first, dtype=source.dtype))
    assert np.array_equal(found.obsm[second], source.read(second, dtype=source.dtype))
    assert found.obs["crop_id"].tolist() == source.crop_ids()
    assert found.obs_names.is_unique


def test_without_anndata_the_error_names_it(store, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(UserError, match="pip install anndata"):
        export_store(store, "anndata", tmp_path / "x")
    assert list(tmp_path.iterdir()) == [store.folder]


@pytest.mark.parametrize("to", ["npy", "parquet", "safetensors"])
def test_a_store_without_rows_is_exported_too(tmp_path, made, to):
    export_store(made.store(tmp_path / "s"), to, tmp_path / "x")
    assert json.loads((tmp_path / "x/export.json").read_text())["rows"] == 0


def test_the_header_says_what_was_exported(store, tmp_path):
    export_store(store, "npy", tmp_path / "x")
    header = json.loads((tmp_path / "x/export.json").read_text())
    assert header["fingerprint"] == store.fingerprint
    assert (header["kind"], header["rows"], header["to"]) == ("export", 6, "npy")


def test_unknown_formats_and_taken_places_are_refused(store, tmp_path):
    with pytest.raises(UserError, match=", ".join(EXPORTS)):
        export_store(store, "csv", tmp_path / "x")
    export_store(store, "npy", tmp_path / "x")
    with pytest.raises(ExistsError):
        export_store(store, "npy", tmp_path / "x")
    export_store(store, "parquet", tmp_path / "x", overwrite=True)
    assert not (tmp_path / "x/avg.npy").exists()
    # Only an export is replaced by an export.
    with pytest.raises(UserError, match="is no export"):
        export_store(store, "npy", store.folder, overwrite=True)
