"""From rows of a manifest to crops to be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from radboost.data.cohort import BOX, Cohort
from radboost.data.crop import CropJob, PixelPolicy
from radboost.errors import UserError

__all__ = ["crop_groups", "crop_jobs", "grouped", "most_in_a_frame", "refuse_unboxed"]


def refuse_unboxed(cohort: Cohort, policy: PixelPolicy) -> None:
    """Raise UserError where boxes are asked for and the cohort's table gave none, before any work is done.

    A shared cohort, which names no files at all, is refused as well.
    """
    cohort.need_files()
    if policy.crop == "box" and not (cohort.manifest["box_unit"] != "").any():
        do = "Name the four columns under [images] box in the task file and index again, or choose another --crop"
        raise UserError("the cohort has no boxes", where=cohort.folder, do=do)
    if policy.stack > 1 and not (cohort.manifest["series"] != "").any():
        do = "Index files that say which series they belong to, or leave the stack out"
        raise UserError("the cohort has no series whose slices could be stacked", where=cohort.folder, do=do)


def crop_jobs(cohort: Cohort, policy: PixelPolicy, rows: Iterable[int]) -> Iterator[CropJob]:
    """Give the jobs of some rows of a cohort's manifest, in their order, one at a time.

    Parameters
    ----------
    cohort
        Where the files are.
    policy
        A row's box matters to ``box`` only.
    rows
        Row numbers.
    """
    cohort.need_files()
    paths, frames = (cohort.manifest[name].to_numpy() for name in ("path", "frame"))
    mirrored = cohort.manifest["mirrored"].to_numpy(bool) if "mirrored" in cohort.manifest.columns else None
    edges, units = cohort.manifest[BOX[:4]].to_numpy(float), cohort.manifest["box_unit"].to_numpy()
    beside = _beside(cohort) if policy.stack > 1 else None
    for row in rows:
        path, frame = str(cohort.root / paths[row]), int(frames[row])
        flip = mirrored is not None and bool(mirrored[row])
        near = () if beside is None else tuple((str(cohort.root / paths[k]), int(frames[k])) for k in beside[row])
        if policy.crop != "box" or not units[row]:
            yield CropJob(path, frame, mirrored=flip, stack=near)
            continue
        left, top, right, bottom = (float(edge) for edge in edges[row])
        yield CropJob(path, frame, (left, top, right, bottom), units[row], flip, near)


def _beside(cohort: Cohort) -> npt.NDArray[np.int64]:
    """Rows of the manifest that show the slice before, the own, and the one after, (rows, 3); the own at an end."""
    where = ["group", "study", "series"]
    slices = cohort.manifest[[*where, "order", "path", "frame"]].assign(row=np.arange(len(cohort.manifest)))
    slices = slices.sort_values([*where, "order", "path", "frame"], kind="stable")
    # Several crops may show one slice: any of them stands for it.
    first = slices.drop_duplicates([*where, "path", "frame"])
    series = first.groupby(where, sort=False)["row"]
    shifts = [series.shift(step).fillna(first["row"]).astype(np.int64) for step in (1, 0, -1)]
    found = first.assign(**{str(k): shift for k, shift in enumerate(shifts)})
    merged = slices.merge(found[[*where, "path", "frame", "0", "1", "2"]], on=[*where, "path", "frame"], how="left")
    out = np.empty((len(slices), 3), dtype=np.int64)
    out[merged["row"].to_numpy()] = merged[["0", "1", "2"]].to_numpy()
    alone = (cohort.manifest["series"] == "").to_numpy()
    out[alone] = np.flatnonzero(alone)[:, None]
    return out


def most_in_a_frame(cohort: Cohort) -> int:
    """Count the crops of the frame that has most of them."""
    return int(cohort.manifest.groupby(["path", "frame"], sort=False).size().max())


def crop_groups(cohort: Cohort, policy: PixelPolicy, rows: Iterable[int], most: int) -> Iterator[tuple[CropJob, ...]]:
    """Give the jobs of some rows as `crop_jobs` does, neighbours of one frame together, so that it is decoded once.

    Parameters
    ----------
    cohort, policy, rows
        As for `crop_jobs`.
    most
        Crops a group; a frame that has more is decoded again.
    """
    return grouped(crop_jobs(cohort, policy, rows), most)


def grouped(jobs: Iterable[CropJob], most: int) -> Iterator[tuple[CropJob, ...]]:
    """Put neighbours of one frame together, at most so many."""
    group: list[CropJob] = []
    for job in jobs:
        if group and (len(group) == most or (job.path, job.frame) != (group[0].path, group[0].frame)):
            yield tuple(group)
            group = []
        group.append(job)
    if group:
        yield tuple(group)
