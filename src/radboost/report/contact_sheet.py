"""A grid of crops beside the frames they were cut from: a hundred boxes checked at a glance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from radboost.data.cohort import Cohort
from radboost.data.crop import CropInfo, CropJob, PixelPolicy
from radboost.data.export import LIST, Exported
from radboost.data.jobs import crop_jobs
from radboost.data.picture import thumbnails
from radboost.data.pool import Done, Limits, Pool, available_cores
from radboost.errors import RadboostError, UserError

__all__ = ["SheetConfig", "contact_sheet", "odd_looking", "refuse_other"]

FALLBACKS = {"whole frame": 3.0, "otsu on log": 2.0, "otsu": 1.5, "triangle within the film": 1.0}
"""How doubtful a box is by the way it was found; a box that the table gave, or the first threshold, is not."""
BACK, INK, BOX_INK, GAP, CAPTION = 16, (214, 214, 214), (255, 176, 0), 6, 26


@dataclass(frozen=True)
class SheetConfig:
    """What a contact sheet looks like.

    Attributes
    ----------
    cells
        Most crops on it.
    side
        Of a thumbnail, pixels; a cell is two wide.
    show_ids
        Name the files as the data folder does, for the owner's eyes.
    workers, limits
        Processes, and what one file may cost.
    """

    cells: int = 100
    side: int = 144
    show_ids: bool = False
    workers: int | None = None
    limits: Limits = field(default_factory=Limits)


def refuse_other(out: Path) -> None:
    """Raise UserError for a file that is no PNG, before any work is done."""
    if out.suffix.lower() != ".png":
        raise UserError("a contact sheet is a PNG", where=out, got=out.suffix or "no ending")


def odd_looking(listed: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Score how odd each box looks beside the others, the higher the odder.

    The way it was found, and how far the logarithms of its share of the frame and of its width over height lie from
    the middle of all boxes, in robust standard deviations.

    Parameters
    ----------
    listed
        Rows of a list of crops: `reason`, `rows`, `columns`, `left`, `top`, `right`, `bottom`.

    Returns
    -------
    ndarray
        (n,) of 0 or more.
    """
    width, height = listed["right"] - listed["left"], listed["bottom"] - listed["top"]
    share = np.log((width * height / (listed["rows"] * listed["columns"])).to_numpy(float))
    score = listed["reason"].map(FALLBACKS).fillna(0.0).to_numpy(float)
    for values in (share, np.log((width / height).to_numpy(float))):
        distance = np.abs(values - np.median(values))
        # 1.4826 makes the median distance of normal values their standard deviation; a floor of a hundredth keeps
        # differences of a pixel from looking odd where all boxes are alike.
        score = score + distance / max(1.4826 * float(np.median(distance)), 0.01)
    return np.asarray(score, np.float64)


def contact_sheet(
    cohort: Cohort, exported: Exported, pixels: PixelPolicy, out: Path, config: SheetConfig | None = None
) -> int:
    """Draw the oddest-looking crops first, each beside its frame with the box on it.

    Parameters
    ----------
    cohort
        Whose crops.
    exported
        What `export_crops` wrote; its list says where the boxes are.
    pixels
        How they were cut.
    out
        The PNG.
    config
        How it looks.

    Returns
    -------
    int
        Crops on the sheet.

    Raises
    ------
    UserError
        `out` is no PNG or cannot be written.
    RadboostError
        No crop was written, so there is nothing to show.
    """
    config = config or SheetConfig()
    refuse_other(out)
    listed = pd.read_csv(exported.folder / LIST).drop_duplicates("crop_id", keep="last")
    row_of = pd.Series(np.arange(len(cohort.manifest)), cohort.manifest["crop_id"].to_numpy())
    listed = listed[listed["crop_id"].isin(row_of.index)].reset_index(drop=True)
    if listed.empty:
        raise RadboostError("no crop was written, so there is nothing to show", where=exported.folder)
    # Stable, so that the same crops give the same sheet.
    order = np.argsort(-odd_looking(listed), kind="stable")[: config.cells]
    chosen = listed.iloc[order]
    rows = row_of[chosen["crop_id"]].tolist()
    cells = _cells(cohort, rows, pixels, config)
    per_row = max(1, round(np.sqrt(len(chosen) / 2 * (config.side + CAPTION) / config.side)))
    width, height = 2 * config.side + GAP, config.side + CAPTION + GAP
    sheet = Image.new("RGB", (per_row * width + GAP, -(-len(chosen) // per_row) * height + GAP), (BACK,) * 3)
    names = cohort.manifest["path"].iloc[rows] if config.show_ids else chosen["crop_id"].str[:12]
    for number, (cell, *words) in enumerate(zip(cells, names, chosen["reason"], strict=True)):
        x, y = GAP + number % per_row * width, GAP + number // per_row * height
        _paste(sheet, (x, y), cell, words, config.side)
    try:
        sheet.save(out)
    except OSError as error:
        raise UserError("cannot be written", where=out, got=error.strerror or str(error)) from error
    return len(chosen)


def _cells(
    cohort: Cohort, rows: Sequence[int], pixels: PixelPolicy, config: SheetConfig
) -> Iterator[Done[CropJob, CropInfo] | None]:
    """Give the thumbnails of each row; None where the file can no longer be read."""
    small = replace(pixels, size=config.side)
    shape = (2 * pixels.channels, config.side, config.side)
    with Pool(config.workers or available_cores(), config.limits, slot_shape=shape) as pool:
        for outcome in pool.map(partial(thumbnails, policy=small), crop_jobs(cohort, small, rows)):
            yield outcome if isinstance(outcome, Done) else None


def _paste(
    sheet: Image.Image, at: tuple[int, int], cell: Done[CropJob, CropInfo] | None, words: Sequence[str], side: int
) -> None:
    x, y = at
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=10)
    if cell is not None and cell.pixels is not None:
        channels = len(cell.pixels) // 2
        for number, part in enumerate((cell.pixels[:channels], cell.pixels[channels:])):
            sheet.paste(_picture(part), (x + number * side, y))
        rows, columns = cell.value.shape
        # The frame lies in the middle of its square, its long side as long as the square's.
        scale = side / max(rows, columns)
        dx, dy = x + side + (side - columns * scale) / 2, y + (side - rows * scale) / 2
        left, top, right, bottom = (edge * scale for edge in cell.value.box)
        draw.rectangle((dx + left, dy + top, dx + right - 1, dy + bottom - 1), outline=BOX_INK)
    else:
        draw.text((x, y), "cannot be read any more", INK, font=font)
    for line, text in enumerate(words):
        draw.text((x, y + side + 11 * line), _cut(text, font, 2 * side), INK, font=font)


def _picture(channels: npt.NDArray[np.uint16]) -> Image.Image:
    """Grey for one channel, colours for three; of two or more than three, the first."""
    shown = np.round(channels / 257).astype(np.uint8)
    return Image.fromarray(np.moveaxis(shown, 0, -1) if len(shown) == 3 else shown[0])


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """Keep the end of a name that is too long: there files differ."""
    while font.getlength(text) > width and len(text) > 1:
        text = "…" + text.lstrip("…")[1:]
    return text
