"""One shard: an immutable HDF5 file whose embeddings a reader maps straight from the disk.

The datasets are contiguous and uncompressed, so each is one run of bytes at a known offset: a random row costs a page
of the file, not a chunk.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from radboost.data.identity import ID_CHARACTERS
from radboost.errors import FormatError, RadboostError

__all__ = [
    "COLUMNS",
    "ID_DTYPE",
    "Rows",
    "Span",
    "copy_shard",
    "map_shard",
    "read_ids",
    "read_rows",
    "shard_fingerprint",
    "shard_spans",
    "sync_folder",
    "write_shard",
]

FORMAT = 1
ID_DTYPE = np.dtype(f"S{ID_CHARACTERS}")
"""Crop ids as fixed-width bytes, so that they too can be mapped and sorted without Python objects."""

COLUMNS = {
    "crop_id": ID_DTYPE,
    "view": np.dtype(np.uint8),
    "reduce": np.dtype(np.uint8),
    "failed": ID_DTYPE,
}
"""Columns of a shard beside its embeddings."""


@dataclass(frozen=True)
class Rows:
    """What one shard holds, aligned by row.

    Attributes
    ----------
    crop_ids
        (n,) fixed-width bytes.
    embeddings
        Pool name to (n, width), float16 or float32.
    failed
        (m,) ids of crops that were tried and could not be embedded; they have no row.
    reduce
        (n,) uint8: wavelet levels dropped while decoding; None stands for 0.
    views
        (n,) uint8: 0 for the clean view of a crop, 1, 2, ... for augmented ones; None stands for 0. Rows of one crop
        lie side by side, view 0 first.
    """

    crop_ids: npt.NDArray[np.bytes_]
    embeddings: Mapping[str, npt.NDArray[np.floating]]
    failed: npt.NDArray[np.bytes_]
    reduce: npt.NDArray[np.uint8] | None = None
    views: npt.NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(e) for name, e in self.embeddings.items()} | {"crop_ids": len(self.crop_ids)}
        lengths |= {n: len(c) for n, c in (("reduce", self.reduce), ("views", self.views)) if c is not None}
        if len(set(lengths.values())) != 1:
            raise FormatError("columns of a shard differ in length", got=lengths)

    def take(self, rows: npt.NDArray[np.bool_], failed: npt.NDArray[np.bool_]) -> Rows:
        """Cut all columns to a mask of rows, and the failed ids to a mask of theirs."""
        return Rows(
            self.crop_ids[rows],
            {pool: values[rows] for pool, values in self.embeddings.items()},
            self.failed[failed],
            None if self.reduce is None else self.reduce[rows],
            None if self.views is None else self.views[rows],
        )


@dataclass(frozen=True)
class Span:
    """Where the bytes of one array lie in a file.

    Attributes
    ----------
    offset
        First byte in the file.
    shape, dtype
        Of the array, in C order.
    """

    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]


def map_shard(path: Path, spans: Mapping[str, Span] | None = None) -> dict[str, npt.NDArray[Any]]:
    """Map the arrays of a shard read-only, by the names of `shard_spans`; nothing is read until it is touched.

    A map outlives its file descriptor, so a store may have more shards than a process may have files open.
    """
    spans = shard_spans(path) if spans is None else spans
    # Python's own mmap, and so np.memmap, keeps a descriptor as long as the map (before 3.13); Arrow's does not.
    with pa.memory_map(str(path)) as file:
        buffer = file.read_buffer()
    return {name: np.ndarray(span.shape, span.dtype, buffer, span.offset) for name, span in spans.items()}


def write_shard(path: Path, rows: Rows, fingerprint: str) -> None:
    """Write a shard whole: temporary name, closed, fsynced, then moved into place.

    Equal rows give equal bytes: default libver, no time stamps.

    Raises
    ------
    RadboostError
        The disk is full or cannot be written.
    """
    with _placed(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["kind"] = "radboost shard"
        file.attrs["format"] = FORMAT
        file.attrs["fingerprint"] = fingerprint
        group = file.create_group("embeddings")
        for name in sorted(rows.embeddings):
            _put(group, name, rows.embeddings[name])
        n = len(rows.crop_ids)
        _put(file, "crop_id", rows.crop_ids.astype(ID_DTYPE))
        _put(file, "view", np.zeros(n, np.uint8) if rows.views is None else rows.views.astype(np.uint8))
        _put(file, "reduce", np.zeros(n, np.uint8) if rows.reduce is None else rows.reduce.astype(np.uint8))
        _put(file, "failed", rows.failed.astype(ID_DTYPE))


def copy_shard(source: Path, path: Path) -> None:
    """Copy a shard whole, as `write_shard` writes one."""
    with _placed(path) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def _placed(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; once written and closed, it is fsynced and moved to `path`."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as closed:
            os.fsync(closed.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        do = "Free space or choose another --out; finished shards are kept and the next run goes on from them"
        got = error.strerror or str(error)
        raise RadboostError("a shard could not be written", where=path, got=got, do=do) from error


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(group: h5py.Group, name: str, values: npt.NDArray[np.generic]) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.CONTIGUOUS)
    # Storage exists from the start, so that get_offset() always answers.
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plist.set_obj_track_times(False)
    space = h5py.h5s.create_simple(values.shape)
    kind = h5py.h5t.py_create(values.dtype, logical=True)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, space, plist)
    if values.size:
        h5py.Dataset(dataset)[...] = values


def shard_spans(path: Path) -> dict[str, Span]:
    """Find where each array of a shard lies: ``crop_id``, ``view``, ``reduce``, ``failed``, ``embeddings/<pool>``.

    Raises
    ------
    FormatError
        The file is no shard, is damaged, or is of another format.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise FormatError("is a shard of another format", where=path, got=file.attrs.get("format"))
            found = {name: file[name] for name in COLUMNS}
            found |= {f"embeddings/{pool}": dataset for pool, dataset in file["embeddings"].items()}
            return {name: _span(dataset, path) for name, dataset in found.items()}
    except (OSError, KeyError, RuntimeError) as error:
        do = "Run `extract` again: it makes the missing shards anew"
        raise FormatError("cannot be read as a shard", where=path, got=str(error), do=do) from error


def _span(dataset: h5py.Dataset, path: Path) -> Span:
    offset = dataset.id.get_offset()
    if offset is None and dataset.size:
        raise FormatError(f"holds {dataset.name} in chunks, which cannot be mapped", where=path)
    return Span(offset or 0, tuple(dataset.shape), dataset.dtype)


def read_ids(path: Path) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.bytes_]]:
    """Read (crop ids, failed crop ids) of a shard."""
    arrays = map_shard(path)
    return np.array(arrays["crop_id"], ID_DTYPE), np.array(arrays["failed"], ID_DTYPE)


def read_rows(path: Path) -> Rows:
    """Map all of a shard."""
    arrays = map_shard(path)
    ids, view, reduce, failed = (arrays.pop(name).astype(kind, copy=False) for name, kind in COLUMNS.items())
    embeddings = {name.removeprefix("embeddings/"): values for name, values in arrays.items()}
    return Rows(ids, embeddings, failed, reduce, view)


def shard_fingerprint(path: Path) -> str:
    """Hash of the fingerprint that a shard says it was made under; raises FormatError as `shard_spans` does."""
    shard_spans(path)
    with h5py.File(path, "r") as file:
        return str(file.attrs.get("fingerprint", ""))
