"""What a crop is: which part of which file, by which policy, and how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from radboost.data.boxes import Box
from radboost.data.placement import Placement
from radboost.errors import UserError

__all__ = ["CropInfo", "CropJob", "Flaw", "PixelPolicy"]

# Raised whenever the same file under the same policy would give other pixels: a store made before is another store.
POLICY_VERSION = 3
_J2K = (
    "most levels left out that keep the crop's long side at twice its size or more, shifted by (2^r-1)/2 pixels, "
    "then area; full for min-max, bright padding, signs or colours that averages would break"
)
_BOXES = {
    "breast": "about 1 of 8 pixels, border bands off, triangle, again within film, otsu on log, else whole frame",
    "body": "about 1 of 8 pixels, air to soft tissue if Hounsfield, triangle, otsu, otsu on log, else whole frame",
}

CropKind = Literal["frame", "breast", "body", "box"]


@dataclass(frozen=True)
class PixelPolicy:
    """All that decides a crop's pixels, given file, frame and box. Valid once built.

    Attributes
    ----------
    size
        Height and width of the crop in pixels.
    crop
        ``frame``: the whole frame; ``breast``, ``body``: the box around it; ``box``: the job's box.
    windows
        (centre, width) in rescaled units, one channel each (CT); none: one channel, shown as the file asks.
    mirror
        Put the chest wall on the left.
    full_decode
        Decode JPEG 2000 in full, also where a smaller picture would do.
    stack
        Slices shown as channels: 1, or 3 for the slice before, itself and the one after in its series, cut alike. At an
        end of a series the slice itself stands where there is none.
    """

    size: int = 512
    crop: CropKind = "frame"
    windows: tuple[tuple[float, float], ...] = ()
    mirror: bool = False
    full_decode: bool = False
    stack: int = 1

    def __post_init__(self) -> None:
        """Refuse what no crop can be.

        Raises
        ------
        ValueError
            When a value is out of range.
        """
        if not 1 <= self.size <= 1 << 14:
            msg = f"size must lie in 1..16384 pixels, got {self.size}"
            raise ValueError(msg)
        if self.crop not in ("frame", "breast", "body", "box"):
            msg = f"crop must be frame, breast, body or box, got {self.crop!r}"
            raise ValueError(msg)
        if any(not width >= 1 for _, width in self.windows):
            msg = f"a window is at least 1 wide, got {self.windows}"
            raise ValueError(msg)

        if self.stack not in (1, 3):
            msg = f"a stack has 1 or 3 slices, got {self.stack}"
            raise ValueError(msg)
        if self.stack > 1 and len(self.windows) > 1:
            msg = f"channels are slices or windows, got {self.stack} slices and {len(self.windows)} windows"
            raise ValueError(msg)

    @classmethod
    def of(
        cls, crop: str, size: int, windows: tuple[tuple[float, float], ...] = (), *, full_decode: bool = False
    ) -> PixelPolicy:
        """Build a policy from what a task or a command line says; breasts are mirrored.

        Raises
        ------
        UserError
            A value is out of range.
        """
        try:
            kind: CropKind = crop  # type: ignore[assignment]
            return cls(size=size, crop=kind, windows=windows, mirror=crop == "breast", full_decode=full_decode)
        except ValueError as error:
            raise UserError("the pixels asked for cannot be had", got=str(error)) from error

    def stacked(self, slices: int) -> PixelPolicy:
        """Show so many slices as channels; raises UserError where that cannot be."""
        try:
            return replace(self, stack=slices)
        except ValueError as error:
            raise UserError("the pixels asked for cannot be had", where="--stack", got=str(error)) from error

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PixelPolicy:
        """Rebuild from `as_dict`, or from the fields alone; raises KeyError where one is missing."""
        # Policies from before there were stacks do not name one.
        wanted = {"stack": 1, **content}
        wanted["windows"] = tuple((float(c), float(w)) for c, w in wanted["windows"])
        return cls(**{f.name: wanted[f.name] for f in fields(cls)})

    @property
    def channels(self) -> int:
        """Number of channels of a crop."""
        return max(self.stack, len(self.windows))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, size, size): what `render` writes."""
        return self.channels, self.size, self.size

    def as_dict(self) -> dict[str, object]:
        """All fields and the fixed rules behind them, for the fingerprint of a store."""
        own = asdict(self)
        if self.stack == 1:
            # Stores from before there were stacks keep their fingerprint.
            del own["stack"]
        return own | {
            "windows": [list(window) for window in self.windows],
            "depth": 16,
            "interpolation": {"shrink": "area", "grow": "linear"},
            "padding": "zero, at the far side from the chest wall" if self.mirror else "zero, both sides",
            "j2k": "full" if self.full_decode else _J2K,
            "window": "table, else first window, else min-max",
            "boxes": _BOXES,
            "version": POLICY_VERSION,
        }


@dataclass(frozen=True)
class CropJob:
    """One crop to be made.

    Attributes
    ----------
    path
        The file.
    frame
        Frame number from 0; -1 is the middle one.
    box
        (left, top, right, bottom) from the frame's top left corner, right and bottom exclusive; for policy ``box``.
    unit
        Of the box: ``px``, pixels of the frame, or ``mm``, which the file's pixel spacing turns into pixels.
    mirrored
        Shown left to right reversed; on top of what the policy does.
    stack
        (file, frame) of each channel, where channels are slices; the job's own among them.
    """

    path: str
    frame: int = -1
    box: tuple[float, float, float, float] | None = None
    unit: Literal["px", "mm"] = "px"
    mirrored: bool = False
    stack: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class CropInfo:
    """How a crop came about.

    Attributes
    ----------
    box
        (left, top, right, bottom) in pixels of the frame, right and bottom exclusive.
    mirrored
        The crop shows the frame left to right reversed.
    reason
        What gave the box: ``given``, or a reason of `radboost.data.boxes.Found`.
    shown
        What gave the display values: ``given`` window, ``voi lut``, ``window``, ``min-max`` or ``as stored``.
    read_s, decode_s, crop_s
        Seconds for finding the frame's bytes, for decoding them, and for all else. Of several crops of one frame the
        first carries the first two.
    reduce
        Wavelet levels left out while decoding.
    chest_wall
        Side of the frame where the chest wall is, ``left`` or ``right``; empty where nobody looked.
    shape
        (rows, columns) of the frame.
    spacing
        Millimetres from row to row and from column to column, where the file says.
    """

    box: Box
    mirrored: bool
    reason: str
    shown: str
    read_s: float
    decode_s: float
    crop_s: float
    reduce: int = 0
    chest_wall: str = ""
    shape: tuple[int, int] = (0, 0)
    spacing: tuple[float, ...] | None = None

    def placed(self, size: int, *, to_left: bool) -> Placement:
        """Say where a crop of this size has its pixels from; `to_left` as `PixelPolicy.mirror` has it."""
        return Placement(self.box, size, self.mirrored, to_left)


@dataclass(frozen=True)
class Flaw:
    """Why one crop of several could not be cut, when the others could.

    Attributes
    ----------
    reason
        For people; names no file.
    kind
        As `radboost.data.pool.Failed` has it.
    """

    reason: str
    kind: str = "unreadable"
