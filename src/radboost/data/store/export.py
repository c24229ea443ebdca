"""Give a store away in a format that others read, shard by shard."""

from __future__ import annotations

import importlib
import json
import struct
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from radboost.data.folder import new_folder, refuse_existing, write_header
from radboost.data.store.reader import EmbeddingStore
from radboost.errors import UserError

__all__ = ["EXPORTS", "KIND", "export_store"]

KIND = "export"
FORMAT = 1
CONTENT = ("fingerprint", "fingerprint_hash", "pools", "key_id", "cohort")


def export_store(store: EmbeddingStore, to: str, out: Path, *, overwrite: bool = False) -> list[Path]:
    """Write a store's embeddings and columns as a folder of another format; memory holds one shard at most.

    Parameters
    ----------
    store
        What is exported: rows in the order of the store, failed crops not at all.
    to
        One of `EXPORTS`.
    out, overwrite
        The folder, and whether an export there is replaced. Its header, `export.json`, names the fingerprint.

    Returns
    -------
    list of Path
        The files beside the header.

    Raises
    ------
    UserError
        The format is unknown, or needs a package that is not installed; the error names it.
    ExistsError
        `out` is there and `overwrite` is off.
    """
    if to not in EXPORTS:
        raise UserError("unknown format to export to", where="--to", got=to, do=f"Known: {', '.join(EXPORTS)}")
    refuse_existing(out, KIND, overwrite)
    if to == "anndata":
        _anndata()
    with new_folder(out, KIND, overwrite=overwrite) as folder:
        EXPORTS[to](store, folder)
        content = {name: store.header[name] for name in CONTENT if name in store.header}
        write_header(folder, KIND, FORMAT, {**content, "to": to, "rows": len(store)})
        names = sorted(path.name for path in folder.iterdir() if path.name != f"{KIND}.json")
    return [out / name for name in names]


def _npy(store: EmbeddingStore, folder: Path) -> None:
    for pool in store.pools:
        _stream_npy(folder / f"{_plain(pool)}.npy", store, pool)
    np.save(folder / "crop_id.npy", store.column("crop_id"))
    np.save(folder / "view.npy", store.column("view"))
    np.save(folder / "reduce.npy", store.column("reduce"))
    with (folder / "crop_id.txt").open("w", encoding="ascii") as file:
        file.writelines(f"{name}\n" for name in store.crop_ids())


def _stream_npy(path: Path, store: EmbeddingStore, pool: str) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(store.dtype),
        "fortran_order": False,
        "shape": (len(store), store.width(pool)),
    }
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in store.blocks(pool):
            block.tofile(file)


def _parquet(store: EmbeddingStore, folder: Path) -> None:
    # float32 holds each float16 exactly, and every reader of parquet knows it.
    kinds = {pool: pa.list_(pa.float32(), store.width(pool)) for pool in store.pools}
    schema = pa.schema(
        [("crop_id", pa.string()), ("view", pa.uint8()), ("reduce", pa.uint8()), *kinds.items()],
        metadata={"fingerprint_hash": store.fingerprint_hash},
    )
    ids, views, reduced = (store.column(name) for name in ("crop_id", "view", "reduce"))
    with pq.ParquetWriter(folder / "embeddings.parquet", schema) as writer:
        for start, stop in _ranges(store):
            rows = np.arange(start, stop)
            columns: dict[str, Any] = {
                "crop_id": [i.decode() for i in ids[start:stop]],
                "view": views[start:stop],
                "reduce": reduced[start:stop],
            }
            for pool in store.pools:
                flat = pa.array(store.read(pool, rows).ravel(), pa.float32())
                columns[pool] = pa.FixedSizeListArray.from_arrays(flat, store.width(pool))
            writer.write_table(pa.table(columns, schema))


def _ranges(store: EmbeddingStore) -> Iterator[tuple[int, int]]:
    """First row and end of each shard that has rows."""
    start = 0
    for part in store.parts:
        if part.rows:
            yield start, start + part.rows
        start += part.rows


def _safetensors(store: EmbeddingStore, folder: Path) -> None:
    """Write the format by hand: its library takes whole tensors from memory only."""
    kinds = {np.dtype(np.float16): "F16", np.dtype(np.float32): "F32"}
    n = len(store)
    tensors: dict[str, tuple[str, tuple[int, ...], Callable[[], Iterator[npt.NDArray[Any]]]]] = {}
    for pool in store.pools:
        tensors[pool] = (kinds[store.dtype], (n, store.width(pool)), partial(store.blocks, pool))
    tensors["crop_id"] = ("U8", (n, 32), partial(_whole, store, "crop_id"))
    for name in ("view", "reduce"):
        tensors[name] = ("U8", (n,), partial(_whole, store, name))
    width = {"F16": 2, "F32": 4, "U8": 1}
    header: dict[str, Any] = {"__metadata__": {"fingerprint_hash": store.fingerprint_hash}}
    end = 0
    for name, (kind, shape, _) in tensors.items():
        begin, end = end, end + int(np.prod(shape)) * width[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with (folder / "embeddings.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, blocks in tensors.values():
            for block in blocks():
                file.write(np.ascontiguousarray(block).data)


def _whole(store: EmbeddingStore, column: str) -> Iterator[npt.NDArray[Any]]:
    yield store.column(column)


def _to_anndata(store: EmbeddingStore, folder: Path) -> None:
    """First pool as X, the others in obsm, each mapped from a scratch file while the library writes."""
    import pandas as pd

    ids, views = store.crop_ids(), store.column("view")
    # The index must be unique; the clean view keeps the crop's own name.
    index = [f"{name}/{view}" if view else name for name, view in zip(ids, views.tolist(), strict=True)]
    # Python's own strings: the library writes no others unless told to.
    obs = pd.DataFrame({"crop_id": ids, "view": views, "reduce": store.column("reduce")})
    obs["crop_id"], obs.index = obs["crop_id"].astype(object), pd.Index(index, dtype=object)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        mapped = {}
        for pool in store.pools:
            path = Path(scratch) / f"{_plain(pool)}.npy"
            _stream_npy(path, store, pool)
            # As a plain array over the map: the library knows no other.
            mapped[pool] = np.asarray(np.load(path, mmap_mode="r"))
        first, *others = store.pools
        uns = {"pool": first, "fingerprint_hash": store.fingerprint_hash}
        var = pd.DataFrame(index=pd.Index([str(k) for k in range(store.width(first))], dtype=object))
        whole = _anndata().AnnData(X=mapped[first], obs=obs, var=var, obsm={p: mapped[p] for p in others}, uns=uns)
        whole.write_h5ad(folder / "embeddings.h5ad")


def _anndata() -> Any:
    try:
        return importlib.import_module("anndata")
    except ImportError as error:
        raise UserError(
            "exporting to AnnData needs a package", where="--to", got="no anndata", do="pip install anndata"
        ) from error


def _plain(pool: str) -> str:
    """Name of a pool as a file may carry it: ``channelmax:240`` has a colon."""
    return pool.replace(":", "-")


EXPORTS: dict[str, Callable[[EmbeddingStore, Path], None]] = {
    "npy": _npy,
    "parquet": _parquet,
    "safetensors": _safetensors,
    "anndata": _to_anndata,
}
"""Formats by name."""
