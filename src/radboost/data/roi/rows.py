"""Rows of a table whose findings are outlined, cut as findings, or turned into rows of patches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from radboost.data.regions import Patches, Regions
from radboost.data.roi.find import Located
from radboost.data.roi.sampler import Boxes, Ground, draw_around, draw_background, grid, square
from radboost.data.task import Submission, Target, Task
from radboost.errors import TaskError, UserError

__all__ = ["FINDING", "PATCH", "Drawn", "boxed", "classes", "draw", "patch_task"]

PATCH, FINDING = "patch", "finding"
"""Columns of a patch's name and class."""


def patch_task(task: Task, patches: Patches) -> Task:
    """Make the task whose rows are patches of another one's images.

    Units are patches, whose class is what they show; or, of a grid, pictures with all their patches, under the
    task's own targets.

    Raises
    ------
    UserError
        The task declares no regions.
    """
    regions = task.regions
    if regions is None or task.long is not None or task.wide is not None:
        do = "Leave --patches out, or declare [regions] in the task file"
        raise UserError(f"task {task.name} declares no regions to draw patches from", where="--patches", do=do)
    told = {*regions.columns, *(t.column for t in task.targets)}
    # What was found is what patches are to be told apart by.
    metadata = replace(
        task.metadata,
        numeric=tuple(c for c in task.metadata.numeric if c not in told),
        categorical=tuple(c for c in task.metadata.categorical if c not in told),
        relative=tuple(c for c in task.metadata.relative if c not in told),
    )
    images = replace(task.images, crop="box", size=min(max(patches.size, 32), 16384))
    plain = replace(task, images=images, metadata=metadata, stacked=None, regions=None)
    plain = replace(plain, from_headers=(), lookup=None)
    common = replace(plain, patches=patches, origin=task)
    if patches.place == "grid":
        name = Submission(id_column="picture")
        # A finding fills few patches of a film: the highest, the four highest and all of them tell different things.
        slots = replace(task.slots, pool=("max", "mean", "best-4"))
        return replace(common, unit=regions.picture, slots=slots, submission=name)
    finding = Target(FINDING, FINDING, classes=regions.names)
    return replace(
        common,
        unit=(PATCH,),
        targets=(finding,),
        metric="log_loss",
        constraints=(),
        submission=Submission(id_column=PATCH),
    )


def boxed(rows: pd.DataFrame, task: Task, paths: pd.Series, located: Located) -> pd.DataFrame:
    """Add the four columns of `task.images.box`: a square around each region with its margin, within the frame."""
    regions = task.regions
    if regions is None:
        msg = "the task has no regions"
        raise ValueError(msg)
    cells = []
    for path, region in zip(paths, located.regions.to_numpy(), strict=True):
        if np.isnan(region).any():
            cells.append([""] * 4)
            continue
        left, top, right, bottom = region[:4]
        side = max(right - left, bottom - top) * (1 + 2 * regions.margin)
        middle = ((left + right) / 2, (top + bottom) / 2)
        box = square([middle], max(int(np.ceil(side)), regions.least), located.shapes[path])[0]
        cells.append([str(edge) for edge in box])
    return rows.assign(**dict(zip(task.images.box, np.array(cells, dtype=object).reshape(-1, 4).T, strict=True)))


def classes(rows: pd.DataFrame, regions: Regions) -> pd.Series:
    """Class of each row's finding; empty where the table does not say.

    Raises
    ------
    TaskError
        A value has no class.
    """
    if not set(regions.columns) <= set(rows.columns):
        return pd.Series("", index=rows.index, dtype=object)
    cells = rows[list(regions.columns)]
    values = cells.agg("_".join, axis=1) if len(rows) else pd.Series("", index=rows.index, dtype=object)
    known = values.map(dict(regions.classes))
    empty = (cells == "").any(axis=1)
    bad = values[known.isna() & ~empty].unique().tolist()
    if bad:
        do = f"Known: {', '.join(value for value, _ in regions.classes)}"
        raise TaskError("[regions] classes do not hold what the table does", got=bad[:5], do=do)
    return known.where(~empty, "").astype(object)


@dataclass(frozen=True)
class Drawn:
    """Patches of a table.

    Attributes
    ----------
    rows
        One row a patch: all columns of the row that it was drawn from, and its own.
    paths
        Image of each.
    short
        Patches of background that were asked for and did not fit.
    """

    rows: pd.DataFrame
    paths: pd.Series
    short: int = 0


def draw(
    rows: pd.DataFrame, paths: pd.Series, task: Task, where: tuple[Located, dict[str, Ground]], seed: int
) -> Drawn:
    """Draw the patches of every picture.

    Parameters
    ----------
    rows, paths
        One row a finding, and the image of each. Rows of one picture may have images of their own: copies of it.
    task
        As `patch_task` makes it.
    where
        The regions, and the breast in each image that can be read; a picture without is left out.
    seed
        A picture's patches depend on it, on the picture's name and its regions, and on nothing else.
    """
    origin, spec = task.origin, task.patches
    if origin is None or origin.regions is None or spec is None:
        msg = "the task draws no patches"
        raise ValueError(msg)
    regions, (located, grounds) = origin.regions, where
    finding = classes(rows, regions)
    picture = rows[list(regions.picture)].agg("_".join, axis=1)
    parts: list[pd.DataFrame] = []
    short = 0
    for name, number in picture.groupby(picture, sort=False).indices.items():
        group = _Picture(str(name), rows.iloc[number], paths.iloc[number], located.regions.iloc[number], grounds)
        if group.first is None:
            continue
        if spec.place == "grid":
            parts.append(_grid(group, origin, spec))
            continue
        drawn = list(_patches(group, spec, origin, finding.iloc[number], seed))
        short += spec.background - len(drawn[-1])
        parts += drawn
    if not parts or not sum(map(len, parts)):
        raise UserError("no patch could be drawn", do="See the cohort's quarantine for images and masks at fault")
    whole = pd.concat(parts, ignore_index=True)
    return Drawn(whole.drop(columns="path"), whole["path"], short)


class _Picture:
    """One picture: its rows, and the regions of all of them as they lie in any of its copies."""

    def __init__(
        self, name: str, rows: pd.DataFrame, paths: pd.Series, regions: pd.DataFrame, grounds: dict[str, Ground]
    ) -> None:
        self.name, self.rows, self.paths, self.grounds = name, rows, paths, grounds
        self.regions = regions.to_numpy(float)
        self.readable = [path in grounds for path in paths]
        self.first = next((n for n, fine in enumerate(self.readable) if fine), None)

    def own(self, number: int) -> np.ndarray:
        """Box and centre of a row's region in its own image, (6,); NaN where unknown."""
        return np.asarray(self.regions[number])

    def all(self, number: int) -> Boxes:
        """Boxes of all known regions, as they lie in the image of one row."""
        rows, columns = self.grounds[self.paths.iloc[number]].shape
        boxes = []
        for path, region, fine in zip(self.paths, self.regions, self.readable, strict=True):
            if fine and not np.isnan(region).any():
                shape = self.grounds[path].shape
                scale = [columns / shape[1], rows / shape[0]] * 2
                low, high = np.floor(region[:2] * scale[:2]), np.ceil(region[2:4] * scale[2:])
                boxes.append([*low, *high])
        return np.array(boxes, dtype=np.int64).reshape(-1, 4)

    def cut(self, number: int, boxes: Boxes, task: Task, columns: Mapping[str, str | list[str]]) -> pd.DataFrame:
        """Rows of patches: those of a finding, again and again, with the patches' own boxes."""
        rows = self.rows.iloc[[number] * len(boxes)].reset_index(drop=True)
        edges = {name: [str(edge) for edge in boxes[:, k]] for k, name in enumerate(task.images.box)}
        return rows.assign(path=self.paths.iloc[number], **edges, **columns)


def _patches(picture: _Picture, spec: Patches, task: Task, finding: pd.Series, seed: int) -> Iterator[pd.DataFrame]:
    """Patches of each region, then those of background."""
    rng = _random(seed, picture.name)
    units = picture.rows[list(task.unit)].agg("_".join, axis=1)
    for number, fine in enumerate(picture.readable):
        region = picture.own(number)
        if not fine or np.isnan(region).any():
            continue
        ground = picture.grounds[picture.paths.iloc[number]]
        if spec.place == "centre":
            boxes = square([region[4:6]], spec.size, ground.shape)
        else:
            box = np.concatenate([np.floor(region[:2]), np.ceil(region[2:4])]).astype(np.int64)
            boxes = draw_around(box[None], ground, spec, rng)
        names = [f"{units.iloc[number]}_{k}" for k in range(len(boxes))]
        yield picture.cut(number, boxes, task, {PATCH: names, FINDING: str(finding.iloc[number])})
    first = picture.first or 0
    boxes = np.empty((0, 4), np.int64)
    # Where a region is not known, nothing can be said to be free of it.
    if not np.isnan(picture.regions).any():
        boxes = draw_background(picture.all(first), picture.grounds[picture.paths.iloc[first]], spec, rng)
    names = [f"{picture.name}_background_{k}" for k in range(len(boxes))]
    background = task.regions.background if task.regions else ""
    yield picture.cut(first, boxes, task, {PATCH: names, FINDING: background})


def _grid(picture: _Picture, task: Task, spec: Patches) -> pd.DataFrame:
    """All patches of a picture, each under the picture's own labels: the last class that any of its findings has."""
    first = picture.first or 0
    boxes = grid(picture.grounds[picture.paths.iloc[first]], spec)
    columns: dict[str, str | list[str]] = {}
    for target in (t for t in task.targets if t.column in picture.rows.columns):
        order = {name: k for k, name in enumerate(target.classes)}
        order |= {value: order[name] for value, name in target.aliases}
        known = [order[cell] for cell in picture.rows[target.column] if cell in order]
        columns[target.column] = target.classes[max(known)] if known else ""
    return picture.cut(first, boxes, task, columns)


def _random(seed: int, name: str) -> np.random.Generator:
    """A source of its own for each picture, so that neither the others nor their order matter."""
    own = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big")
    return np.random.default_rng([seed, own])
