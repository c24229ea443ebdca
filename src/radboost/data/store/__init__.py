"""The embedding store: vectors of crops on disk, extracted once, read many times.

A store is a folder: `store.json` (what made it, and the fingerprint that decides what belongs in it), immutable shards
`part-00000.h5`, `part-00001.h5`, ... and `parts.jsonl`, one line a finished shard. A shard that `parts.jsonl` does not
name is a leftover of a run that was cut off.
"""

from radboost.data.store.compare import Comparison, PoolDifference, compare_stores
from radboost.data.store.export import EXPORTS, export_store
from radboost.data.store.fingerprint import differing, refuse_difference
from radboost.data.store.header import store_header
from radboost.data.store.lock import store_lock
from radboost.data.store.merge import Merged, merge_stores
from radboost.data.store.parts import Part
from radboost.data.store.reader import EmbeddingStore
from radboost.data.store.shard import ID_DTYPE, Rows
from radboost.data.store.verify import Finding, Verification, set_aside, verify_store
from radboost.data.store.writer import StoreWriter

__all__ = [
    "EXPORTS",
    "ID_DTYPE",
    "Comparison",
    "EmbeddingStore",
    "Finding",
    "Merged",
    "Part",
    "PoolDifference",
    "Rows",
    "StoreWriter",
    "Verification",
    "compare_stores",
    "differing",
    "export_store",
    "merge_stores",
    "refuse_difference",
    "set_aside",
    "store_header",
    "store_lock",
    "verify_store",
]
