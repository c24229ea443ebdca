"""What the header promises about one frame, and how a decoded number becomes a stored pixel value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radboost.errors import PixelError

__all__ = ["MAX_PIXELS", "FrameSpec", "to_stored"]

# A frame above this is taken for a lie in the header: the largest mammograms have 26 million pixels,
# and the decoded frame must fit a worker's memory limit several times over.
MAX_PIXELS = 1 << 28


@dataclass(frozen=True)
class FrameSpec:
    """The Image Pixel attributes that decide how a frame's bytes are read (PS3.3 C.7.6.3.1), valid once built.

    Attributes
    ----------
    rows, columns
        Height and width of the frame in pixels.
    samples
        Values a pixel: 1 (grayscale, palette) or 3 (colour).
    bits_allocated
        Bits of storage a sample: 1, 8, 16, 32, or 64 for floating point.
    bits_stored, high_bit
        Significant bits of a sample and the position of the highest of them.
    signed
        Pixel Representation 1: two's complement.
    photometric
        Photometric Interpretation, upper case.
    planar
        Planar Configuration 1: all of one colour, then all of the next; uncompressed frames only.
    floating
        Samples are IEEE floats of `bits_allocated` bits.
    """

    rows: int
    columns: int
    samples: int = 1
    bits_allocated: int = 16
    bits_stored: int = 16
    high_bit: int = 15
    signed: bool = False
    photometric: str = "MONOCHROME2"
    planar: bool = False
    floating: bool = False

    def __post_init__(self) -> None:
        """Refuse a frame that no decoder should be asked for.

        Raises
        ------
        PixelError
            When sizes, samples or bits are outside what images have.
        """
        if self.rows < 1 or self.columns < 1:
            raise PixelError("the header gives no image size", got=f"{self.rows} rows x {self.columns} columns")
        if self.rows * self.columns > MAX_PIXELS:
            raise PixelError(
                f"the header asks for a frame of more than {MAX_PIXELS:,} pixels",
                got=f"{self.rows} rows x {self.columns} columns",
            )
        if self.samples not in (1, 3):
            raise PixelError("a pixel has 1 or 3 samples", got=self.samples)
        if self.bits_allocated not in ((32, 64) if self.floating else (1, 8, 16, 32)):
            raise PixelError("Bits Allocated is not supported", got=self.bits_allocated)
        if not 1 <= self.bits_stored <= self.bits_allocated:
            raise PixelError(
                "Bits Stored does not fit Bits Allocated", got=f"{self.bits_stored} of {self.bits_allocated}"
            )
        if not self.bits_stored - 1 <= self.high_bit < self.bits_allocated:
            raise PixelError("High Bit does not fit Bits Stored", got=f"{self.high_bit} for {self.bits_stored} bits")

    @property
    def subsampled(self) -> bool:
        """Whether two neighbours share one pair of chroma samples in an uncompressed frame (PS3.3 C.7.6.3.1.2)."""
        return self.samples == 3 and self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def frame_bits(self) -> int:
        """Bits of one uncompressed frame; 1-bit frames follow each other without padding (PS3.5 8.1.1)."""
        samples = 2 if self.subsampled else self.samples
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns), or (rows, columns, 3) for colour."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)


def to_stored(values: np.ndarray, spec: FrameSpec, *, lossy: bool = False) -> np.ndarray:
    """Give decoded bit patterns the range and the sign that the header states.

    Parameters
    ----------
    values
        Unsigned integers whose low `bits_stored` bits are the sample.
    spec
        The header's promise.
    lossy
        Lossy decoders overshoot: a value beyond the range is brought to its end, since cutting its upper bits
        would turn the brightest pixels black. Without loss those bits are foreign (an overlay, PS3.5 8.1.1) and cut.

    Returns
    -------
    numpy.ndarray
        Same shape; signed when the header says so.
    """
    bits = values.itemsize * 8
    if spec.signed:
        if spec.bits_stored > bits:
            bits = 16 if spec.bits_stored <= 16 else 32
            values = values.astype(f"u{bits // 8}")
        signed = values.view(f"i{bits // 8}")
        shift = bits - spec.bits_stored
        if shift:
            # Up to the sign bit and back: the second shift repeats the sign.
            signed = np.left_shift(signed, shift)
            np.right_shift(signed, shift, out=signed)
        return signed
    if spec.bits_stored >= bits:
        return values
    top = values.dtype.type((1 << spec.bits_stored) - 1)
    if values.max(initial=0) <= top:
        return values  # the usual case: looking is cheaper than a second copy
    bounded: np.ndarray = np.minimum(values, top) if lossy else np.bitwise_and(values, top)
    return bounded
