"""Read what a DICOM header says, without its pixels; nothing is trusted to be there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileDataset

from radboost.data.dicom.door import items
from radboost.data.dicom.kinds import NotAnImage, classify
from radboost.data.dicom.parse import parse
from radboost.data.dicom.pixel_data import without_pixels
from radboost.data.dicom.quick import first_number, numbers, tag_of, text
from radboost.errors import PixelError

__all__ = ["Header", "NotAnImage", "classify", "read_header", "spacing_of"]

# All that is read here, and what tells why a data set has no pixels; the rest of a header is passed over.
_TAGS = [
    tag_of(keyword)
    for keyword in (
        *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientAge"),
        *("Modality", "Manufacturer", "ManufacturerModelName", "BodyPartExamined", "PatientPosition"),
        *("PatientOrientation", "ImageLaterality", "Laterality", "ViewPosition", "InstanceNumber"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "ImagerPixelSpacing", "SliceThickness"),
        *("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "PixelRepresentation"),
        *("PhotometricInterpretation", "RescaleIntercept", "RescaleSlope", "WindowCenter", "WindowWidth"),
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DirectoryRecordSequence"),
    )
]


@dataclass(frozen=True, slots=True)
class Header:
    """One image's attributes; empty text or None where the file does not say.

    Attributes
    ----------
    patient_id, study_uid, series_uid, instance_uid, sop_class_uid
        Identifiers, empty when absent. They belong to the cohort and go no further.
    modality
        CT, MG, ...
    laterality
        L, R or empty: Image Laterality, else Laterality, else Frame Laterality.
    view
        View Position, as it stands there.
    instance_number
        Order within the series as the scanner counted.
    rows, columns, frames
        Size of a frame in pixels, and how many there are.
    bits_stored, photometric, transfer_syntax
        How the pixels are stored; the syntax as its UID.
    position, orientation
        Millimetres and direction cosines in the patient's system (PS3.3 C.7.6.2.1.1).
    spacing
        Millimetres between the centres of adjacent rows and adjacent columns: Pixel Spacing, else Imager Pixel
        Spacing (at the detector).
    age
        Patient's Age in years.
    manufacturer, model
        Of the machine.
    signed
        Pixel Representation: whether stored values are signed.
    intercept, slope
        Of the rescale, where a scalar stands.
    window, second_window
        Centre and width of the first and of the second window, in rescaled units.
    thickness
        Slice Thickness in millimetres.
    body_part, patient_position
        Body Part Examined; Patient Position (HFS, ...).
    patient_orientation
        Directions of rows and columns, ``A/FR`` (PS3.3 C.7.6.1.1.1).
    """

    patient_id: str
    study_uid: str
    series_uid: str
    instance_uid: str
    sop_class_uid: str
    modality: str
    laterality: str
    view: str
    instance_number: int | None
    rows: int
    columns: int
    frames: int
    bits_stored: int
    photometric: str
    transfer_syntax: str
    position: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    age: float | None
    manufacturer: str
    model: str
    signed: bool
    intercept: float | None
    slope: float | None
    window: tuple[float, ...] | None
    second_window: tuple[float, ...] | None
    thickness: float | None
    body_part: str
    patient_position: str
    patient_orientation: str


def read_header(path: Path, file: BinaryIO | None = None) -> Header:
    """Read the header of one DICOM image, up to its pixels.

    Parameters
    ----------
    path
        The file, with or without preamble.
    file
        The same, open at its start; it stays open.

    Returns
    -------
    Header
        What the file says.

    Raises
    ------
    NotAnImage
        When it is sound DICOM without an image: DICOMDIR, a report, a presentation state.
    PixelError
        When it is no DICOM file, or its header is damaged.
    """
    parsed = parse(path, _TAGS, file)
    dataset = parsed.dataset
    meta = dataset.file_meta
    sop_class = text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID")
    if parsed.pixels is None:
        raise without_pixels(dataset, path)
    rows, columns = (int(first_number(dataset, keyword, 0) or 0) for keyword in ("Rows", "Columns"))
    if rows < 1 or columns < 1:
        raise PixelError("the header gives no image size", got=f"{rows} rows x {columns} columns")
    return Header(
        patient_id=text(dataset, "PatientID"),
        study_uid=text(dataset, "StudyInstanceUID"),
        series_uid=text(dataset, "SeriesInstanceUID"),
        instance_uid=text(dataset, "SOPInstanceUID"),
        sop_class_uid=sop_class,
        modality=text(dataset, "Modality"),
        laterality=_laterality(dataset),
        view=text(dataset, "ViewPosition").upper(),
        instance_number=_integer(dataset, "InstanceNumber"),
        rows=rows,
        columns=columns,
        frames=max(1, int(first_number(dataset, "NumberOfFrames", 1) or 1)),
        bits_stored=int(first_number(dataset, "BitsStored") or first_number(dataset, "BitsAllocated") or 0),
        photometric=text(dataset, "PhotometricInterpretation").upper(),
        transfer_syntax=text(meta, "TransferSyntaxUID"),
        position=numbers(dataset, "ImagePositionPatient", 3),
        orientation=numbers(dataset, "ImageOrientationPatient", 6),
        spacing=spacing_of(dataset),
        age=_age(text(dataset, "PatientAge")),
        manufacturer=text(dataset, "Manufacturer"),
        model=text(dataset, "ManufacturerModelName"),
        signed=first_number(dataset, "PixelRepresentation", 0) == 1,
        intercept=_first(dataset, "RescaleIntercept"),
        slope=_first(dataset, "RescaleSlope"),
        window=_window(dataset, 0),
        second_window=_window(dataset, 1),
        thickness=_first(dataset, "SliceThickness"),
        body_part=text(dataset, "BodyPartExamined").upper(),
        patient_position=text(dataset, "PatientPosition").upper(),
        patient_orientation=text(dataset, "PatientOrientation", separator="/").upper(),
    )


def spacing_of(dataset: Dataset) -> tuple[float, ...] | None:
    """Give millimetres between rows and between columns, or None.

    Pixel Spacing is at the patient (PS3.3 10.7.1.1, calibrated in projection radiography, 10.7.1.2); where it is
    absent or no positive pair, Imager Pixel Spacing stands in, which is at the detector (PS3.3 C.8.11.7) and thus
    larger by the magnification. Enhanced objects say it per frame or once for all (PS3.3 C.7.6.16.2.1).
    """
    places = [dataset]
    for group in (*_soft_items(dataset, "SharedFunctionalGroupsSequence")[:1], *_first_frame(dataset)):
        places += _soft_items(group, "PixelMeasuresSequence")[:1]
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        for place in places:
            found = numbers(place, keyword, 2)
            if found is not None and min(found) > 0:
                return found
    return None


def _first_frame(dataset: Dataset) -> list[Dataset]:
    return _soft_items(dataset, "PerFrameFunctionalGroupsSequence")[:1]


def _laterality(dataset: FileDataset) -> str:
    for keyword in ("ImageLaterality", "Laterality"):
        side = text(dataset, keyword).upper()
        if side in ("L", "R"):
            return side
    for group in _soft_items(dataset, "SharedFunctionalGroupsSequence"):
        for anatomy in _soft_items(group, "FrameAnatomySequence"):
            side = text(anatomy, "FrameLaterality").upper()
            if side in ("L", "R"):
                return side
    return ""


def _soft_items(dataset: Dataset, keyword: str) -> list[Dataset]:
    if tag_of(keyword) not in dataset:
        return []
    try:
        return items(dataset, keyword)
    except PixelError:
        return []


def _first(dataset: FileDataset, keyword: str) -> float | None:
    value = numbers(dataset, keyword)
    return None if value is None else value[0]


def _integer(dataset: FileDataset, keyword: str) -> int | None:
    value = _first(dataset, keyword)
    return None if value is None else int(value)


def _window(dataset: FileDataset, place: int) -> tuple[float, ...] | None:
    centres, widths = (numbers(dataset, keyword) or () for keyword in ("WindowCenter", "WindowWidth"))
    return (centres[place], widths[place]) if min(len(centres), len(widths)) > place else None


def _age(value: str) -> float | None:
    # Age String: three digits and D, W, M or Y (PS3.5 6.2).
    days = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
    if len(value) != 4 or not value[:3].isdigit() or value[3] not in days:
        return None
    return float(value[:3]) * days[value[3]] / 365.25
