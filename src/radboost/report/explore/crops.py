"""A contact sheet: random crops, odd-looking ones, and crops of units that have a finding, with their boxes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw

from radboost.data.cohort import Cohort
from radboost.data.crop import CropInfo, CropJob, PixelPolicy
from radboost.data.jobs import crop_jobs
from radboost.data.picture import thumbnails
from radboost.data.pool import Done, Limits, Pool, available_cores
from radboost.data.progress import Progress
from radboost.data.task import OPPOSITE, Images
from radboost.report.contact_sheet import BOX_INK, odd_looking
from radboost.report.explore.fields import Look
from radboost.report.page import Gallery, Item, Note, Picture, Section, isolate

__all__ = ["SheetAsked", "crops_section"]

SIDE = 208
POOL = 5
"""Crops looked at for each odd one shown."""


@dataclass(frozen=True)
class SheetAsked:
    """How many crops of each kind are shown, which are drawn, and how many processes read them."""

    crops: int
    seed: int = 0
    workers: int | None = None


def crops_section(look: Look, asked: SheetAsked, progress: Progress) -> Section:
    """Show crops, or say why there are none."""
    cohort = look.cohort
    title = "What the images look like"
    if not asked.crops:
        return Section(title, (Note("No crops were asked for (--crops)."),))
    if cohort.shared is not None or not cohort.root.is_dir():
        return Section(title, (Note("The image files are not here, so no crops are shown."),))
    random = np.random.default_rng(asked.seed)
    n = len(cohort.manifest)
    some = random.choice(n, min(n, asked.crops * (1 + POOL)), replace=False)
    largest = _extreme_frames(cohort)
    having = [(one.name, _having(look, one.has == 1, asked.crops, random)) for one in look.findings[:1]]
    rows = list(dict.fromkeys([*some.tolist(), *largest, *(row for _, chosen in having for row in chosen)]))
    images = cohort.task.images if cohort.task else Images()
    policy = PixelPolicy.of(images.crop, SIDE, images.windows)
    found = _read(cohort, rows, policy, asked.workers, progress)
    named = _names(cohort, rows)
    drawn = some[: asked.crops].tolist()
    items: list[Item] = []
    for name, caption, chosen in (
        ("random", "Crops drawn at random.", drawn),
        ("odd", _ODD, _odd(found, [*largest, *some[asked.crops :].tolist()])[: asked.crops]),
        *((f"with {name}", f"Units that have {isolate(name)}, drawn at random.", chosen) for name, chosen in having),
    ):
        pictures = tuple(_picture(found[row], named[row]) for row in chosen if row in found)
        if pictures:
            items.append(Gallery(f"crops {name}", caption, pictures))
    lost = len(rows) - len(found)
    if lost:
        items.append(Note(f"{lost} of {len(rows)} files could not be read.", warning=True))
    items.append(
        Note("Images may have writing burnt into their pixels: look at each before this page leaves the hospital.")
    )
    lead = "Each frame with its box, as the task cuts it, and below it the crop that a network sees."
    return Section(title, tuple(items), lead)


_ODD = (
    "The oddest-looking boxes of a random sample and of the frames of extreme size: found by a fallback, or of unusual "
    "size or shape beside the others."
)


def _extreme_frames(cohort: Cohort) -> list[int]:
    """Rows of the smallest, largest, widest and tallest frame."""
    if not {"rows", "columns"} <= set(cohort.manifest.columns):
        return []
    rows, columns = (cohort.manifest[name].to_numpy(float) for name in ("rows", "columns"))
    known = np.flatnonzero((rows > 0) & (columns > 0))
    if not len(known):
        return []
    area, shape = rows[known] * columns[known], rows[known] / columns[known]
    ends = [values[order] for values in (area, shape) for order in (values.argmin(), values.argmax())]
    if ends[0] == ends[1] and ends[2] == ends[3]:
        return []
    return [int(known[k]) for k in (area.argmin(), area.argmax(), shape.argmin(), shape.argmax())]


def _having(look: Look, units: npt.NDArray[np.bool_], most: int, random: np.random.Generator) -> list[int]:
    """Rows of one crop each of some units."""
    names = look.cohort.units["unit"].to_numpy()[units]
    names = random.permutation(names)[: 2 * most]
    links = look.cohort.links
    own = links[links["unit"].isin(names) & ~links["slot"].str.endswith(OPPOSITE)].drop_duplicates("unit")
    row = pd.Series(np.arange(len(look.cohort.manifest)), index=look.cohort.manifest["crop_id"].to_numpy())
    return [int(k) for k in row.reindex(own["crop_id"]).dropna()][:most]


def _read(
    cohort: Cohort, rows: Sequence[int], policy: PixelPolicy, workers: int | None, progress: Progress
) -> dict[int, Done[CropJob, CropInfo]]:
    """Make the thumbnails; a file that cannot be read is left out."""
    if policy.crop == "box" and not (cohort.manifest["box_unit"] != "").any():
        policy = replace(policy, crop="frame")
    found: dict[int, Done[CropJob, CropInfo]] = {}
    progress.start("reading crops for the contact sheet", len(rows))
    shape = (2 * policy.channels, policy.size, policy.size)
    with Pool(min(workers or available_cores(), len(rows)), Limits(), slot_shape=shape) as pool:
        jobs = crop_jobs(cohort, policy, rows)
        for row, outcome in zip(rows, pool.map(partial(thumbnails, policy=policy), jobs), strict=True):
            if isinstance(outcome, Done) and outcome.pixels is not None:
                # The slot is used again for the next file.
                found[row] = replace(outcome, pixels=outcome.pixels.copy())
            progress.advance()
    return found


def _odd(found: dict[int, Done[CropJob, CropInfo]], rows: Sequence[int]) -> list[int]:
    """Order rows by how odd their boxes look beside those of all that were read."""
    every = list(found)
    if not every:
        return []
    listed = pd.DataFrame(
        [(*found[row].value.shape, *found[row].value.box, found[row].value.reason) for row in every],
        columns=["rows", "columns", "left", "top", "right", "bottom", "reason"],
    )
    score = dict(zip(every, odd_looking(listed).tolist(), strict=True))
    return sorted((row for row in dict.fromkeys(rows) if row in score), key=lambda row: -score[row])


def _names(cohort: Cohort, rows: Sequence[int]) -> dict[int, str]:
    """Say of each crop what may be said: view, side, labels of its first unit, its hash."""
    chosen = cohort.manifest.iloc[list(rows)]
    out = {}
    for row, (crop, view, side) in zip(
        rows, chosen[["crop_id", "view", "laterality"]].itertuples(index=False, name=None), strict=True
    ):
        words = [isolate(word) for word in (view, side) if word]
        out[row] = ", ".join([*words, f"crop {str(crop)[:8]}"])
    return out


def _picture(done: Done[CropJob, CropInfo], name: str) -> Picture:
    """Frame with its box above the crop; a crop that is the whole frame alone."""
    info, pixels = done.value, done.pixels
    channels = len(pixels) // 2 if pixels is not None else 0
    crop, frame = (
        (_image(part) for part in (pixels[:channels], pixels[channels:])) if pixels is not None else (None, None)
    )
    if crop is None or frame is None:
        raise AssertionError("only crops that were read are drawn")
    rows, columns = info.shape
    scale = SIDE / max(rows, columns)
    width, height = max(1, round(columns * scale)), max(1, round(rows * scale))
    left, top = (SIDE - width) // 2, (SIDE - height) // 2
    draw = ImageDraw.Draw(frame)
    edges = [edge * scale for edge in info.box]
    whole = info.box[0] <= 0 and info.box[1] <= 0 and info.box[2] >= columns and info.box[3] >= rows
    if not whole:
        draw.rectangle(
            (left + edges[0], top + edges[1], left + edges[2] - 1, top + edges[3] - 1), outline=BOX_INK, width=2
        )
    shown = frame.crop((left, top, left + width, top + height))
    sheet = Image.new(shown.mode, (SIDE, height if whole else height + SIDE + 4))
    sheet.paste(shown, ((SIDE - width) // 2, 0))
    if not whole:
        sheet.paste(crop, (0, height + 4))
    out = io.BytesIO()
    sheet.save(out, "png", optimize=True)
    told = "the whole frame" if whole else f"box: {info.reason}"
    return Picture(out.getvalue(), f"{name}; {rows} by {columns} pixels, {told}", f"{name}; {rows} × {columns}; {told}")


def _image(channels: npt.NDArray[np.uint16]) -> Image.Image:
    shown = np.round(channels / 257).astype(np.uint8)
    if len(shown) == 3:
        return Image.fromarray(np.moveaxis(shown, 0, -1))
    return Image.fromarray(shown[0]).convert("RGB")
