"""What a store holds, and how two of them differ, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path

from radboost.data.store import Comparison, EmbeddingStore, Merged, Verification
from radboost.report.tables import Table

__all__ = ["diff_tables", "listing", "merged_table", "store_table", "verification_table"]

HEAD = ("crop_id", "row", "view", "reduce", "shard")


def store_table(store: EmbeddingStore) -> Table:
    """What made a store, and how much is in it."""
    parts = store.parts
    views, header = _counted(store.column("view").tolist()), store.header
    rows = [("fingerprint", store.fingerprint_hash), *_readable(store.fingerprint)]
    rows += [("weights from", ", ".join(f"{k} {v}" for k, v in store.config.get("weights", {}).items()))]
    rows += [
        ("created", f"{header['created']} by radboost {header['radboost']}"),
        ("key", str(header.get("key_id", "not recorded"))),
        ("crops", f"{views.get('0', 0):,}"),
        ("failed", f"{sum(part.failed for part in parts):,}"),
        ("rows (crops by views)", f"{len(store):,} in {len(views)} views"),
        ("pools", ", ".join(f"{pool}: {store.width(pool)}" for pool in store.pools)),
        ("dtype", str(store.dtype)),
        ("shards", f"{len(parts)} of up to {store.rows_per_shard:,} crops, {sum(p.bytes for p in parts):,} bytes"),
        ("computed on", _shares(part.device or "-" for part in parts)),
    ]
    for library in sorted({name for part in parts for name in part.versions}):
        rows.append((f"  {library}", _shares(part.versions.get(library, "-") for part in parts)))
    return Table(f"store {store.folder}", ("", ""), tuple(rows), words=True)


def _shares(values: Iterable[str]) -> str:
    """Name what all shards share, or how many shards have what."""
    found = _counted(values)
    return ", ".join(found if len(found) == 1 else (f"{value}: {n} shards" for value, n in found.items()))


def _counted(values: Iterable[object]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[str(value)] = counts.get(str(value), 0) + 1
    return counts


def _readable(fingerprint: Mapping[str, object], prefix: str = "  ") -> Iterator[tuple[str, str]]:
    for name, value in sorted(fingerprint.items()):
        if isinstance(value, Mapping):
            yield from _readable(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def listing(store: EmbeddingStore, limit: int, *, failed: bool = False) -> Iterator[str]:
    """Lines of tab-separated text, the heading first: crop id, row, view, wavelet levels dropped, shard.

    Parameters
    ----------
    store
        What is listed, in row order.
    limit
        Most lines after the heading; 0 for all.
    failed
        List the crops that have no row instead.
    """
    yield "\t".join(HEAD)
    lines = _failures(store) if failed else _rows(store)
    yield from islice(lines, limit or None)


def _rows(store: EmbeddingStore) -> Iterator[str]:
    shards = (part.name for part in store.parts for _ in range(part.rows))
    columns = (store.column(name).tolist() for name in ("view", "reduce"))
    for row, (crop, view, reduce, shard) in enumerate(zip(store.crop_ids(), *columns, shards, strict=True)):
        yield f"{crop}\t{row}\t{view}\t{reduce}\t{shard}"


def _failures(store: EmbeddingStore) -> Iterator[str]:
    shards = (part.name for part in store.parts for _ in range(part.failed))
    for crop, shard in zip(store.failed_ids(), shards, strict=True):
        yield f"{crop}\t-\t-\t-\t{shard}"


def verification_table(found: Verification, folder: Path) -> Table:
    """How much was read, and what is wrong with which shard."""
    title = f"store {folder}: {found.shards} shards, {found.rows:,} rows, {found.bytes:,} bytes read"
    rows = tuple((finding.shard, finding.what) for finding in found.findings)
    return Table(title, ("shard", "what is wrong") if rows else ("",), rows, () if rows else ("every byte is sound",))


def diff_tables(found: Comparison) -> Iterator[Table]:
    """How two stores differ: fingerprint, crops, values."""
    rows = tuple((name, str(a), str(b)) for name, (a, b) in found.fields.items())
    yield Table(
        "fingerprint: " + (f"{len(rows)} fields differ" if rows else "the same"), ("", "A", "B"), rows, words=True
    )
    counts = (("only in A", found.only_first), ("only in B", found.only_second), ("in both", found.common))
    notes: tuple[str, ...] = ()
    if found.same_key is not True:
        known = "different keys" if found.same_key is False else "a key that is not recorded"
        notes = (f"crops are named under {known}: under two keys no crop can be recognised",)
    yield Table("rows (a crop in a view)", ("", ""), tuple((name, f"{n:,}") for name, n in counts), notes)
    if found.pools:
        columns = ("pool", "equal rows", "largest difference", "least cosine", "mean cosine")
        values = tuple(
            (pool, f"{p.equal:,}", f"{p.largest:.3g}", f"{p.cosine_least:.6f}", f"{p.cosine_mean:.6f}")
            for pool, p in found.pools.items()
        )
        yield Table("embeddings in both", columns, values)


def merged_table(found: Merged, out: Path) -> Table:
    """What came together."""
    rows = (
        ("rows", f"{len(found.store):,}"),
        ("held by several, kept once", f"{found.repeated:,}"),
        ("shards", f"{len(found.store.parts)}, {found.copied} of them copied byte for byte"),
    )
    return Table(f"store {out}", ("", ""), rows)
