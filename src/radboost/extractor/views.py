"""Augmented views of crops, made on the device, the same wherever and in whatever company a crop is seen.

A view's numbers are drawn by hashing (seed, crop id, view): they depend neither on the batch, nor on the order, nor on
the worker, nor on the device. View 0 is the crop as it is.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import torch
from torch.nn import functional

from radboost.errors import UserError

__all__ = ["Draw", "ViewConfig", "augment", "draw", "hu_shift"]

MOST_VIEWS = 255
"""A store counts views in a byte."""
_NUMBERS = 7


@dataclass(frozen=True)
class ViewConfig:
    """Which views are made; the ranges are those of the haemorrhage networks' training.

    Attributes
    ----------
    count
        Augmented views of each crop, beside the clean one.
    seed
        Another seed gives other views.
    flip_horizontal, flip_vertical
        Whether half of the views are mirrored.
    rotate
        Most degrees to either side.
    shift
        Most of a side to either side, along each axis.
    zoom
        A view is scaled by 1 - zoom to 1 + zoom.
    intensity
        Most that is added to or taken from what is not black, as a part of the displayed range; one number for all
        channels, or one for each, which then move together (see `hu_shift`). The default is 15 HU in a window of 200.
    shear
        Most slant to either side, as a part of the height.
    """

    count: int = 0
    seed: int = 0
    flip_horizontal: bool = True
    flip_vertical: bool = True
    rotate: float = 30.0
    shift: float = 0.1
    zoom: float = 0.2
    intensity: tuple[float, ...] = (0.075,)
    shear: float = 0.0

    def __post_init__(self) -> None:
        for option, value, most in (
            ("--views", self.count, MOST_VIEWS),
            ("--views-seed", self.seed, (1 << 63) - 1),
            ("rotate", self.rotate, 180),
            ("shift", self.shift, 1),
            ("zoom", self.zoom, 0.9),
            ("shear", self.shear, 1),
            *(("intensity", value, 1) for value in self.intensity),
        ):
            if not 0 <= value <= most:
                raise UserError("lies outside its range", where=option, got=value, do=f"Give 0 to {most}")
        if not self.intensity:
            raise UserError("is empty", where="intensity", do="Give one number, or one for each channel")

    def fingerprint(self) -> dict[str, object] | int:
        """Give what decides the views, JSON-able; 0 without any, whatever the ranges."""
        if not self.count:
            return 0
        given = {**asdict(self), "intensity": list(self.intensity)}
        # Views without shear are those of stores from before there was any.
        return given if self.shear else {name: value for name, value in given.items() if name != "shear"}

    def epoch(self, number: int) -> tuple[ViewConfig, int]:
        """Give what makes the views of one epoch of a training, counted from 0: config and number of the view."""
        return replace(self, count=MOST_VIEWS, seed=self.seed + number // MOST_VIEWS), 1 + number % MOST_VIEWS


@dataclass(frozen=True)
class Draw:
    """The numbers of one view of one crop.

    Attributes
    ----------
    flip_horizontal, flip_vertical
        Whether it is mirrored.
    angle
        Degrees.
    right, down
        Shift, as a part of the side.
    zoom
        Factor; above 1 the view shows less, larger.
    intensity
        -1 to 1, of the range of each channel.
    shear
        Slant, as a part of the height.
    """

    flip_horizontal: bool
    flip_vertical: bool
    angle: float
    right: float
    down: float
    zoom: float
    intensity: float
    shear: float = 0.0


def hu_shift(windows: Sequence[tuple[float, float]], hounsfield: float = 15.0) -> tuple[float, ...]:
    """Give `ViewConfig.intensity` for a shift in Hounsfield units seen through windows of (centre, width).

    >>> hu_shift([(40, 80), (80, 200), (40, 400)])
    (0.1875, 0.075, 0.0375)
    """
    return tuple(min(1.0, hounsfield / width) for _, width in windows)


def draw(crop_id: str, view: int, config: ViewConfig) -> Draw:
    """Draw the numbers of a view by hashing, each uniform in its range.

    Parameters
    ----------
    crop_id
        Of the crop; the key that a store keeps it under.
    view
        From 1; view 0 has no numbers.
    config
        Seed and ranges.
    """
    text = f"radboost view|{config.seed}|{view}|{crop_id}".encode()
    digest = hashlib.blake2b(text, digest_size=8 * _NUMBERS).digest()
    # 53 bits fill a float's mantissa: each number is exact and below 1.
    unit = [(int.from_bytes(digest[8 * k : 8 * k + 8], "little") >> 11) / (1 << 53) for k in range(_NUMBERS)]
    if config.shear:
        # Of a hash of its own, so that views without it stay what they were.
        more = int.from_bytes(hashlib.blake2b(text + b"|shear", digest_size=8).digest(), "little") >> 11
        unit.append(more / (1 << 53))
    around = [2 * u - 1 for u in unit]
    return Draw(
        flip_horizontal=config.flip_horizontal and unit[0] < 0.5,
        flip_vertical=config.flip_vertical and unit[1] < 0.5,
        angle=config.rotate * around[2],
        right=config.shift * around[3],
        down=config.shift * around[4],
        zoom=1 + config.zoom * around[5],
        intensity=around[6],
        shear=config.shear * around[7] if config.shear else 0.0,
    )


def augment(images: torch.Tensor, crop_ids: Sequence[str], view: int, config: ViewConfig) -> torch.Tensor:
    """Make one view of a batch of crops.

    Parameters
    ----------
    images
        (batch, channels, height, width) float32 in 0..1, black 0, before mean and deviation are applied: what is moved
        in from outside is black.
    crop_ids
        Of each image.
    view
        0 for the clean one, which is `images` itself, up to `config.count`.
    config
        Seed and ranges.

    Returns
    -------
    torch.Tensor
        As `images`, on the same device. Resampled bilinearly; on another device the same up to rounding.

    Raises
    ------
    UserError
        There is no such view, ids and images differ in number, or intensity and channels do.
    """
    if not 0 <= view <= config.count:
        raise UserError("no such view", where="--views", got=view, do=f"There are 0 to {config.count}")
    if len(crop_ids) != len(images):
        raise UserError("each image has an id", where="views", got=f"{len(images)} images, {len(crop_ids)} ids")
    if len(config.intensity) not in (1, images.shape[1]):
        got = f"{len(config.intensity)} for {images.shape[1]} channels"
        raise UserError("one for all channels, or one for each", where="intensity", got=got)
    if view == 0 or not len(images):
        return images
    draws = [draw(crop_id, view, config) for crop_id in crop_ids]
    levels = torch.tensor([[d.intensity * each for each in config.intensity] for d in draws], device=images.device)
    # A shift of what is measured leaves black what lies far below the window, and what lies outside the picture.
    shifted = (images + levels[:, :, None, None]).clamp_(0, 1)
    return functional.grid_sample(
        torch.where(images > 0, shifted, images),
        _grid(draws, images),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )


def _grid(draws: Sequence[Draw], images: torch.Tensor) -> torch.Tensor:
    """Give where each pixel of a view comes from, (batch, height, width, 2) in -1..1, x before y.

    By products and sums of each element: `affine_grid` multiplies matrices, whose sums may depend on the batch,
    and where TF32 is allowed in 11 bits, an eighth of a pixel at 512 pixels.
    """
    height, width = images.shape[-2:]
    aspect = height / width
    rows = []
    for d in draws:
        cosine, sine = (f(math.radians(d.angle)) / d.zoom for f in (math.cos, math.sin))
        across, along = (-1.0 if flip else 1.0 for flip in (d.flip_horizontal, d.flip_vertical))
        # Undone in reverse: shift, shear, then rotation and zoom about the centre in square pixels, then the mirrors.
        xx, xy, yx, yy = across * cosine, across * sine * aspect, -along * sine / aspect, along * cosine
        xy, yy = xy + xx * d.shear * aspect, yy + yx * d.shear * aspect
        x0, y0 = -2 * d.right, -2 * d.down
        rows.append([xx, xy, xx * x0 + xy * y0, yx, yy, yx * x0 + yy * y0])
    part = torch.tensor(rows, dtype=torch.float32, device=images.device)[:, :, None, None]
    x = ((2 * torch.arange(width, device=images.device, dtype=torch.float32) + 1) / width - 1)[None, None, :]
    y = ((2 * torch.arange(height, device=images.device, dtype=torch.float32) + 1) / height - 1)[None, :, None]
    from_x = part[:, 0] * x + part[:, 1] * y + part[:, 2]
    from_y = part[:, 3] * x + part[:, 4] * y + part[:, 5]
    return torch.stack([from_x, from_y], -1)
