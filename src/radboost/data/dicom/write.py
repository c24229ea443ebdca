"""Write DICOM image files: for the phantoms and the tests, byte for byte the same for equal input."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID

from radboost.data.codecs.encode import SYNTAXES, encode

__all__ = ["DicomImage", "write_dicom"]

_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# A fixed implementation, so that the bytes do not depend on which pydicom wrote them.
_IMPLEMENTATION = f"2.25.{uuid.UUID('6f1d0f3e-5a0b-4c1c-9f46-2d3b7c1e8a55').int}"
_DTYPES = {np.dtype(np.uint8), np.dtype(np.uint16), np.dtype(np.int16)}


@dataclass(frozen=True)
class DicomImage:
    """One image to be written, valid once built.

    Attributes
    ----------
    pixels
        (rows, columns), or (frames, rows, columns); uint8, uint16 or int16; values fit `bits_stored`.
    bits_stored
        Significant bits of a pixel, 1 to 16.
    photometric
        MONOCHROME1 (the lowest value is white) or MONOCHROME2.
    transfer_syntax
        Keyword of PS3.6 table A-1, one of `radboost.data.codecs.encode.SYNTAXES`.
    windows
        (centre, width) pairs in rescaled units; several become one multi-valued attribute.
    voi_function
        LINEAR, LINEAR_EXACT or SIGMOID; None leaves the attribute out.
    attributes
        Keyword to value, any attribute of the data set; wins over what this class would write.
    """

    pixels: np.ndarray
    bits_stored: int
    photometric: str = "MONOCHROME2"
    transfer_syntax: str = "ExplicitVRLittleEndian"
    windows: tuple[tuple[float, float], ...] = ()
    voi_function: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no reader could read back.

        Raises
        ------
        ValueError
            When pixels, bits, photometric interpretation or syntax do not fit together.
        """
        if self.pixels.dtype not in _DTYPES or self.pixels.ndim not in (2, 3) or self.pixels.size == 0:
            msg = f"pixels must be 2-D or 3-D uint8, uint16 or int16, got {self.pixels.dtype} {self.pixels.shape}"
            raise ValueError(msg)
        if not 1 <= self.bits_stored <= self.pixels.itemsize * 8:
            msg = f"bits_stored must lie in 1..{self.pixels.itemsize * 8}, got {self.bits_stored}"
            raise ValueError(msg)
        signed = self.pixels.dtype.kind == "i"
        low = -(1 << (self.bits_stored - 1)) if signed else 0
        high = (1 << (self.bits_stored - signed)) - 1
        if self.pixels.min() < low or self.pixels.max() > high:
            msg = f"pixels leave {low}..{high}, the range of {self.bits_stored} bits"
            raise ValueError(msg)
        if self.photometric not in ("MONOCHROME1", "MONOCHROME2"):
            msg = f"photometric must be MONOCHROME1 or MONOCHROME2, got {self.photometric!r}"
            raise ValueError(msg)
        if self.transfer_syntax not in SYNTAXES:
            msg = f"no encoder for transfer syntax {self.transfer_syntax!r}; one of {', '.join(SYNTAXES)}"
            raise ValueError(msg)


def write_dicom(path: Path, image: DicomImage) -> None:
    """Write one image as a DICOM file (PS3.10), the same bytes for equal input.

    Parameters
    ----------
    path
        The file; its folder exists.
    image
        What to write. Without a SOPInstanceUID in its attributes, one is derived from the pixels.
    """
    dataset = _dataset(image)
    dataset.file_meta = _file_meta(dataset, image)
    dataset.save_as(path, enforce_file_format=True)


def _dataset(image: DicomImage) -> Dataset:
    frames = image.pixels if image.pixels.ndim == 3 else image.pixels[None]
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = _SECONDARY_CAPTURE
    dataset.SOPInstanceUID = f"2.25.{int.from_bytes(hashlib.sha256(frames.tobytes()).digest()[:15], 'big')}"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = image.photometric
    dataset.Rows, dataset.Columns = frames.shape[1:]
    if image.pixels.ndim == 3:
        dataset.NumberOfFrames = len(frames)
    dataset.BitsAllocated = frames.itemsize * 8
    dataset.BitsStored = image.bits_stored
    dataset.HighBit = image.bits_stored - 1
    dataset.PixelRepresentation = int(frames.dtype.kind == "i")
    if image.windows:
        dataset.WindowCenter = [centre for centre, _ in image.windows]
        dataset.WindowWidth = [width for _, width in image.windows]
    if image.voi_function is not None:
        dataset.VOILUTFunction = image.voi_function
    for keyword, value in image.attributes.items():
        setattr(dataset, keyword, value)
    _set_pixels(dataset, frames, image)
    return dataset


def _set_pixels(dataset: Dataset, frames: np.ndarray, image: DicomImage) -> None:
    streams = [encode(image.transfer_syntax, frame, image.bits_stored) for frame in frames]
    compressed = UID(SYNTAXES[image.transfer_syntax]).is_encapsulated
    if compressed:
        data = encapsulate(streams)
    else:
        data = b"".join(streams)
        data += b"\0" * (len(data) % 2)  # every value has an even length (PS3.5 7.1.1)
    # Encapsulated data is OB whatever the depth (PS3.5 A.4); native data of more than 8 bits is OW (PS3.5 A.2).
    dataset.add_new("PixelData", "OB" if compressed or frames.itemsize == 1 else "OW", data)
    if compressed:
        dataset["PixelData"].is_undefined_length = True


def _file_meta(dataset: Dataset, image: DicomImage) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(SYNTAXES[image.transfer_syntax])
    meta.ImplementationClassUID = UID(_IMPLEMENTATION)
    meta.ImplementationVersionName = "RADBOOST"
    return meta
