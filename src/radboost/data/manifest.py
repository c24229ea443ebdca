"""One row a crop, and which unit sees which crop in which slot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from radboost.data.cohort import BOX, LINKS, METADATA, NO_BOX
from radboost.data.dicom import MIDDLE, Header
from radboost.data.identity import keyed_hash
from radboost.data.scan import Scan
from radboost.data.series import Arranged
from radboost.data.task import OPPOSITE, Task
from radboost.errors import TableError, UserError, offenders

__all__ = ["FRAMES", "build_links", "build_manifest", "chosen_frames"]

FRAMES = ("middle", "first", "all")
"""Which frames of a multi-frame file become crops."""


def chosen_frames(crops: pd.DataFrame, found: Scan, policy: str) -> pd.DataFrame:
    """Give each row of a table its frames, as a column `frame`: one row more for each frame beyond the first.

    Parameters
    ----------
    crops
        `path` and whatever else a row carries along.
    found
        Headers, which tell how many frames a file has; a file without one has a single frame.
    policy
        ``middle`` is written as `radboost.data.dicom.MIDDLE`, which stands for one frame of each file.

    Raises
    ------
    UserError
        The policy is unknown.
    """
    if policy not in FRAMES:
        raise UserError("unknown choice of frames", where="--frames", got=policy, do=f"Known: {', '.join(FRAMES)}")
    if policy != "all":
        return crops.assign(frame=MIDDLE if policy == "middle" else 0)
    headers = [found.headers.get(p) for p in crops["path"]]
    counts = np.array([1 if h is None else h.frames for h in headers])
    repeated = crops.loc[crops.index.repeat(counts)].reset_index(drop=True)
    return repeated.assign(frame=np.concatenate([np.arange(n) for n in counts]) if len(counts) else [])


def build_manifest(
    crops: pd.DataFrame, found: Scan, arranged: Arranged, key: bytes, where: Path | None = None
) -> tuple[pd.DataFrame, pd.Series]:
    """Make the manifest, one row a crop in the order of the table, and tell the crop of each row.

    An image that a table names stays in even if it is in quarantine: its unit keeps its metadata, and `extract` finds
    no crop for it.

    Parameters
    ----------
    crops
        `path`, `frame`, the columns of `radboost.data.cohort.BOX` where rows have boxes, `mirrored` where some are
        shown left to right reversed, and what belongs to the image: `group`, `laterality`, `view`, metadata. Rows of
        the same file, frame, box and direction are one crop.
    found
        Headers and content marks.
    arranged
        Where slices lie along the normal of their series, which is then their order.
    key
        Of the cohort.
    where
        The table, for the message.

    Returns
    -------
    tuple
        The manifest, and the crop id of each row of `crops`.

    Raises
    ------
    TableError
        Rows of one crop disagree about metadata, which are kept with the crop.
    """
    crops = crops.assign(**{name: value for name, value in NO_BOX.items() if name not in crops.columns})
    if "mirrored" not in crops.columns:
        crops = crops.assign(mirrored=False)
    ids = pd.Series(
        [
            keyed_hash(key, "crop", path, found.marks.get(path, ""), int(frame), *_box(box), *["mirrored"] * flip)
            for path, frame, flip, *box in crops[["path", "frame", "mirrored", *BOX]].itertuples(index=False, name=None)
        ],
        index=crops.index,
        dtype=object,
    )
    features = crops[[c for c in crops.columns if c.startswith(METADATA)]]
    counts = features.groupby(ids.to_numpy()).nunique(dropna=False).gt(1)
    for name in counts.columns[counts.any()]:
        paths = crops["path"][ids.isin(counts.index[counts[name]])].unique().tolist()
        what = f"rows of one image disagree about {name.removeprefix(METADATA)}"
        raise TableError(what, where=where, got=offenders(paths))
    first = ~ids.duplicated()
    rows = crops[first].drop(columns=[c for c in ("unit", "slot") if c in crops.columns])
    headers = [found.headers.get(p) for p in rows["path"]]
    along = arranged.slices["along"].reindex(rows["path"]).to_numpy(float)
    counted = [_counted(h, int(f)) for h, f in zip(headers, rows["frame"], strict=True)]
    manifest = rows.assign(
        crop_id=ids[first],
        study=[h.study_uid if h else "" for h in headers],
        series=[h.series_uid if h else "" for h in headers],
        instance=[h.instance_uid if h else "" for h in headers],
        order=np.where(np.isnan(along), counted, along),
        rows=[h.rows if h else -1 for h in headers],
        columns=[h.columns if h else -1 for h in headers],
        # Pictures have an ending where DICOM has a transfer syntax.
        syntax=[h.transfer_syntax if h else Path(p).suffix for p, h in zip(rows["path"], headers, strict=True)],
    )
    return manifest.reset_index(drop=True), ids


def _box(values: list[object]) -> list[object]:
    """What a box adds to the name of a crop: nothing where there is none."""
    *edges, unit = values
    return [*edges, unit] if unit else []


def _counted(header: Header | None, frame: int) -> float:
    """Order within the series as the scanner counted, frames of one file between it and the next."""
    if header is None:
        return float(max(frame, 0))
    return float(header.instance_number or 0) + max(frame, 0) / header.frames


def build_links(crops: pd.DataFrame, manifest: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Link units to crops.

    Parameters
    ----------
    crops
        One row a crop and unit: `unit`, `group`, `crop_id`, `slot`, `laterality`.
    manifest
        For the order of the crops.
    task
        Says whether a unit sees the other side too.

    Returns
    -------
    DataFrame
        `unit`, `crop_id`, `slot`, `order`.
    """
    own = crops[["unit", "group", "crop_id", "slot", "laterality"]].merge(manifest[["crop_id", "order"]], on="crop_id")
    links = [own[LINKS]]
    if task.slots.side is not None:
        pairs = pd.DataFrame(_opposites(crops), columns=["unit", "opposite"])
        other = pairs.merge(own, left_on="opposite", right_on="unit", suffixes=("", "_other"))
        links.append(other.assign(slot=other["slot"] + OPPOSITE)[LINKS])
    both = pd.concat(links, ignore_index=True).drop_duplicates(["unit", "crop_id", "slot"])
    return both.sort_values(["unit", "slot", "order", "crop_id"], ignore_index=True)


def _opposites(crops: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Pairs of units of one group that see opposite sides."""
    sides = crops.drop_duplicates("unit")[["unit", "group", "laterality"]]
    for _, members in sides.groupby("group", sort=False):
        left = members["unit"][members["laterality"] == "L"]
        right = members["unit"][members["laterality"] == "R"]
        for a in left:
            for b in right:
                yield a, b
                yield b, a
