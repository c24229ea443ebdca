"""Columns as they are, for trees that share their bins over all folds: nothing is scaled and no component taken.

Trees do not care about scale, so nothing has to be fitted but the metadata's categories and the fill of its gaps.
These, and the bins, see the rows of all folds; labels they do not see.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from radboost.booster.design import Design
from radboost.booster.pca import chunks
from radboost.booster.prepare import METADATA_BLOCK, MISSING_BLOCK, Prepared
from radboost.booster.rows import FloatArray, Matrix, Span
from radboost.data.folder import read_json, write_json
from radboost.data.metadata import MetadataEncoder
from radboost.errors import FormatError, MismatchError, offenders

__all__ = ["RawColumns", "load_prepared"]


@dataclass(frozen=True)
class RawColumns:
    """What turns a design into one matrix: its embeddings, flags of absent slots, and encoded metadata.

    Attributes
    ----------
    blocks
        Name and slots of each block of embeddings, and its columns in all.
    encoder
        Encoder of the metadata.
    """

    blocks: tuple[tuple[str, tuple[str, ...], int], ...]
    encoder: MetadataEncoder

    @classmethod
    def fit(cls, design: Design, weight: FloatArray) -> RawColumns:
        """Take what the rows of positive `weight` (n,) have."""
        rows = np.flatnonzero(weight > 0)
        seen = design.metadata.iloc[rows]
        numeric = [name for name in seen.columns if pd.api.types.is_numeric_dtype(seen[name])]
        categorical = [name for name in seen.columns if name not in numeric]
        blocks = tuple((b.name, b.parts, b.columns) for b in design.blocks)
        return cls(blocks, MetadataEncoder.fit(seen, numeric, categorical, weight[rows]))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Blocks of the columns, in order."""
        widths = [(name, columns, True) for name, _, columns in self.blocks]
        widths.append((MISSING_BLOCK, sum(len(parts) for _, parts, _ in self.blocks), True))
        widths.append((METADATA_BLOCK, len(self.encoder.features), False))
        spans, at = [], 0
        for name, width, image in widths:
            if width:
                spans.append(Span(name, at, at + width, image))
                at += width
        return tuple(spans)

    @property
    def features(self) -> list[str]:
        """Name of each column."""
        names = [
            f"{name}/{part}/{i}"
            for name, parts, columns in self.blocks
            for part in parts
            for i in range(columns // len(parts))
        ]
        names += [f"{name}/{part}=missing" for name, parts, _ in self.blocks for part in parts]
        return names + self.encoder.features

    def transform(self, design: Design) -> Matrix:
        """Give the columns of any rows, (n, columns of `spans`); raises MismatchError where a block is missing."""
        given = {b.name: b for b in design.blocks}
        absent = [name for name, parts, n in self.blocks if name not in given or given[name].columns != n]
        if absent:
            do = "Give the stores, or stores of the same fingerprint, that the run was fitted on"
            raise MismatchError("the design lacks blocks that were fitted", got=offenders(absent), do=do)
        out = np.empty((len(design), len(self.features)), dtype=np.float32)
        at = 0
        for name, _, columns in self.blocks:
            for rows, part in chunks(given[name].x):
                out[rows, at : at + columns] = part
            at += columns
        for name, parts, _ in self.blocks:
            out[:, at : at + len(parts)] = ~given[name].present
            at += len(parts)
        out[:, at:] = self.encoder.transform(design.metadata)
        return out

    def save(self, folder: Path) -> None:
        """Write ``raw.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        blocks = [[name, list(parts), columns] for name, parts, columns in self.blocks]
        write_json(folder / "raw.json", {"blocks": blocks, "encoder": self.encoder.to_dict()})

    @classmethod
    def load(cls, folder: Path) -> RawColumns:
        """Read what `save` wrote; raises FormatError where it is damaged."""
        content: Mapping[str, Any] = read_json(folder / "raw.json")
        try:
            blocks = tuple((str(n), tuple(p), int(c)) for n, p, c in content["blocks"])
            return cls(blocks, MetadataEncoder.from_dict(content["encoder"]))
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError("is damaged", where=folder, got=str(error), do="Run fit-boost again") from error


def load_prepared(folder: Path) -> Prepared | RawColumns:
    """Read columns of either kind; raises FormatError where they are damaged."""
    return RawColumns.load(folder) if (folder / "raw.json").is_file() else Prepared.load(folder)
