"""Prepared columns of one fold: scaling, imputation and principal components, fitted on its training rows alone.

Every block leaves with a total variance of 1, whatever its width, so that a wide and weak block does not drown a narrow
and strong one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from radboost.booster.design import Design, ImageBlock
from radboost.booster.pca import chunks, weighted_pca
from radboost.booster.rows import FloatArray, Matrix, Span
from radboost.data.folder import read_json, write_json
from radboost.data.metadata import MetadataEncoder
from radboost.errors import FormatError, MismatchError, offenders

__all__ = ["COMPONENTS", "METADATA_BLOCK", "MISSING_BLOCK", "Prepared", "PreparedBlock"]

COMPONENTS = 128
METADATA_BLOCK = "metadata"
MISSING_BLOCK = "missing"
"""Flags of slots that a unit lacks; it goes with the embeddings."""

SCALE_FLOOR = 0.02
"""No column is blown up beyond 1/this of what the block's typical column is: its deviation would be rounding noise."""


@dataclass(frozen=True)
class PreparedBlock:
    """One block of embeddings as principal components.

    Attributes
    ----------
    name
        The design block it belongs to.
    parts
        Slots of that block.
    mean, scale
        Shape (d,): weighted, over the training rows that have the column's slot. An absent slot takes the mean.
    directions
        Shape (d, c): components divided by the square root of the block's total variance.
    flags
        Slots, as numbers, that some training rows have and others lack.
    """

    name: str
    parts: tuple[str, ...]
    mean: Matrix
    scale: Matrix
    directions: Matrix
    flags: tuple[int, ...]

    @classmethod
    def fit(cls, block: ImageBlock, weight: FloatArray, components: int) -> PreparedBlock:
        """Fit on training rows; `weight` is positive, one a row."""
        mean, scale = _moments(block, weight)
        directions, variances = weighted_pca(_Standard(block, mean, scale), weight, components)
        if variances.size:
            directions = directions / np.float32(math.sqrt(float(variances.sum())))
        share = block.present.mean(axis=0)
        flags = tuple(int(i) for i in np.flatnonzero((share > 0) & (share < 1)))
        return cls(block.name, block.parts, mean, scale, directions, flags)

    def transform(self, block: ImageBlock) -> Matrix:
        """Components of any rows, (n, c)."""
        if block.columns != len(self.mean) or block.parts != self.parts:
            raise MismatchError("a block has other columns than it was fitted on", where=block.name, got=block.parts)
        out = np.empty((len(block.present), self.directions.shape[1]), dtype=np.float32)
        for rows, part in chunks(_Standard(block, self.mean, self.scale)):
            out[rows] = part @ self.directions
        return out


@dataclass(frozen=True)
class Prepared:
    """All that turns a design into a learner's columns, frozen after fitting.

    Attributes
    ----------
    blocks
        Embedding blocks that vary in training.
    encoder
        Encoder of the metadata.
    metadata_scale
        What the encoded metadata is divided by.
    flag_mean, flag_scale
        Shape (flags,): mean and scale of the missing flags.
    """

    blocks: tuple[PreparedBlock, ...]
    encoder: MetadataEncoder
    metadata_scale: float
    flag_mean: FloatArray
    flag_scale: FloatArray

    @classmethod
    def fit(cls, design: Design, weight: FloatArray, components: int = COMPONENTS) -> Prepared:
        """Fit on the rows of positive weight.

        Parameters
        ----------
        design
            Any units.
        weight
            Shape (n,), not negative. Rows of weight 0 have no say: they are dropped before anything is fitted.
        components
            Most components a block.
        """
        rows = np.flatnonzero(weight > 0)
        weight = weight[rows]
        blocks = [
            PreparedBlock.fit(b if len(rows) == len(design) else b.take(rows), weight, components)
            for b in design.blocks
        ]
        kept = tuple(b for b in blocks if b.directions.shape[1])
        seen = design.metadata.iloc[rows]
        numeric = [name for name in seen.columns if pd.api.types.is_numeric_dtype(seen[name])]
        categorical = [name for name in seen.columns if name not in numeric]
        encoder = MetadataEncoder.fit(seen, numeric, categorical, weight)
        encoded = encoder.transform(seen).astype(np.float64)
        flags = _flags(kept, design)[rows]
        mean, scale = _average(flags, weight), np.sqrt(_variance(flags, weight))
        # Divided by the root of their number, so that the flags too have a total variance of 1.
        scale = np.where(scale > 0, scale, 1.0) * math.sqrt(max(1, flags.shape[1]))
        return cls(kept, encoder, math.sqrt(float(_variance(encoded, weight).sum())) or 1.0, mean, scale)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Blocks of the prepared columns, in order."""
        widths = [(b.name, b.directions.shape[1], True) for b in self.blocks]
        widths.append((MISSING_BLOCK, len(self.flag_mean), True))
        widths.append((METADATA_BLOCK, len(self.encoder.features), False))
        spans, at = [], 0
        for name, width, image in widths:
            if width:
                spans.append(Span(name, at, at + width, image))
                at += width
        return tuple(spans)

    @property
    def features(self) -> list[str]:
        """Name of each prepared column."""
        names = [f"{b.name}/pc{i}" for b in self.blocks for i in range(b.directions.shape[1])]
        names += [f"{b.name}/{b.parts[i]}=missing" for b in self.blocks for i in b.flags]
        return names + self.encoder.features

    def transform(self, design: Design) -> Matrix:
        """Prepare any rows.

        Returns
        -------
        ndarray
            Shape (n, columns of `spans`), finite.

        Raises
        ------
        MismatchError
            The design lacks a block that was fitted: it comes from other stores.
        """
        given = {b.name: b for b in design.blocks}
        missing = [b.name for b in self.blocks if b.name not in given]
        if missing:
            do = "Give the stores, or stores of the same fingerprint, that the run was fitted on"
            raise MismatchError("the design lacks blocks that were fitted", got=offenders(missing), do=do)
        parts = [b.transform(given[b.name]) for b in self.blocks]
        parts.append(((_flags(self.blocks, design) - self.flag_mean) / self.flag_scale).astype(np.float32))
        parts.append(self.encoder.transform(design.metadata) / np.float32(self.metadata_scale))
        return np.hstack(parts)

    def save(self, folder: Path) -> None:
        """Write ``prepared.json`` and ``prepared.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, npt.NDArray[Any]] = {"flag_mean": self.flag_mean, "flag_scale": self.flag_scale}
        for i, block in enumerate(self.blocks):
            arrays |= {f"{i}.mean": block.mean, f"{i}.scale": block.scale, f"{i}.directions": block.directions}
        save_file({n: np.ascontiguousarray(a) for n, a in arrays.items()}, folder / "prepared.safetensors")
        content = {
            "blocks": [{"name": b.name, "parts": list(b.parts), "flags": list(b.flags)} for b in self.blocks],
            "encoder": self.encoder.to_dict(),
            "metadata_scale": self.metadata_scale,
        }
        write_json(folder / "prepared.json", content)

    @classmethod
    def load(cls, folder: Path) -> Prepared:
        """Read what `save` wrote; raises FormatError where it is damaged."""
        content: Mapping[str, Any] = read_json(folder / "prepared.json")
        try:
            arrays = load_file(folder / "prepared.safetensors")
            blocks = tuple(_block(b, i, arrays) for i, b in enumerate(content["blocks"]))
            encoder = MetadataEncoder.from_dict(content["encoder"])
            return cls(blocks, encoder, content["metadata_scale"], arrays["flag_mean"], arrays["flag_scale"])
        except (OSError, KeyError, TypeError, SafetensorError) as error:
            raise FormatError("is damaged", where=folder, got=str(error), do="Run fit-boost again") from error


def _block(content: Mapping[str, Any], i: int, arrays: Mapping[str, npt.NDArray[Any]]) -> PreparedBlock:
    mean, scale, directions = (arrays[f"{i}.{n}"] for n in ("mean", "scale", "directions"))
    return PreparedBlock(content["name"], tuple(content["parts"]), mean, scale, directions, tuple(content["flags"]))


class _Standard:
    """Rows of a block with mean 0 and deviation 1 in training, made when they are asked for."""

    def __init__(self, block: ImageBlock, mean: Matrix, scale: Matrix) -> None:
        self.block, self.mean, self.scale = block, mean, scale

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.block.present), self.block.columns

    def __getitem__(self, rows: slice) -> Matrix:
        z = np.subtract(self.block.x[rows], self.mean)
        z /= self.scale
        # An absent slot takes the training mean, which is 0 here.
        z.reshape(len(z), len(self.block.parts), -1)[~self.block.present[rows]] = 0.0
        return z


def _moments(block: ImageBlock, weight: FloatArray) -> tuple[Matrix, Matrix]:
    """Weighted mean and deviation of each column over the rows that have its slot; 0 and 1 where none has."""
    shape = (len(block.parts), block.width)
    centre, sums, squares = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    totals, seen = np.zeros(shape[0]), np.zeros(shape[0], dtype=bool)
    for rows, part in chunks(_Raw(block)):
        x = part.reshape(len(part), *shape)
        for number, present in enumerate(block.present[rows].T):
            if not present.any():
                continue
            w, values = weight[rows][present], x[present, number].astype(np.float64)
            if not seen[number]:
                # Sums of what lies around 0 lose no digits: the first rows' mean is near enough to all rows'.
                centre[number], seen[number] = _average(values, w), True
            values -= centre[number]
            totals[number] += w.sum()
            sums[number] += w @ values
            squares[number] += w @ np.square(values, out=values)
    total = np.where(totals > 0, totals, 1.0)[:, None]
    shift = sums / total
    deviation = np.sqrt(np.maximum(squares / total - shift**2, 0.0))
    floor = SCALE_FLOOR * np.sqrt(np.mean(deviation**2, axis=1, keepdims=True))
    scale = np.where(floor > 0, np.maximum(deviation, floor), 1.0)
    return (centre + shift).ravel().astype(np.float32), scale.ravel().astype(np.float32)


class _Raw:
    """Rows of a block as they are."""

    def __init__(self, block: ImageBlock) -> None:
        self.block = block

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.block.present), self.block.columns

    def __getitem__(self, rows: slice) -> Matrix:
        return self.block.x[rows]


def _flags(blocks: tuple[PreparedBlock, ...], design: Design) -> FloatArray:
    given = {b.name: b for b in design.blocks}
    columns = [~given[b.name].present[:, i] for b in blocks for i in b.flags]
    return np.stack(columns, axis=1).astype(np.float64) if columns else np.zeros((len(design), 0))


def _average(x: FloatArray, weight: FloatArray) -> FloatArray:
    return np.asarray(weight @ x / weight.sum(), dtype=np.float64)


def _variance(x: FloatArray, weight: FloatArray) -> FloatArray:
    return _average((x - _average(x, weight)) ** 2, weight)
