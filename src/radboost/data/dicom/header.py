"""Read what a DICOM header says, without its pixels; nothing is trusted to be there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset, FileDataset

from radboost.data.dicom.door import items, number, numbers, text
from radboost.data.dicom.kinds import NotAnImage, classify
from radboost.data.dicom.parse import parse
from radboost.data.dicom.pixel_data import without_pixels
from radboost.errors import PixelError

__all__ = ["Header", "NotAnImage", "classify", "read_header", "spacing_of"]


@dataclass(frozen=True)
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


def read_header(path: Path) -> Header:
    """Read the header of one DICOM image, up to its pixels.

    Parameters
    ----------
    path
        The file, with or without preamble.

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
    parsed = parse(path)
    dataset = parsed.dataset
    meta = dataset.file_meta
    sop_class = text(dataset, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID")
    if parsed.pixels is None:
        raise without_pixels(dataset, path)
    rows, columns = (int(number(dataset, keyword, 0) or 0) for keyword in ("Rows", "Columns"))
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
        frames=max(1, int(number(dataset, "NumberOfFrames", 1) or 1)),
        bits_stored=int(number(dataset, "BitsStored") or number(dataset, "BitsAllocated") or 0),
        photometric=text(dataset, "PhotometricInterpretation").upper(),
        transfer_syntax=text(meta, "TransferSyntaxUID"),
        position=numbers(dataset, "ImagePositionPatient", 3),
        orientation=numbers(dataset, "ImageOrientationPatient", 6),
        spacing=spacing_of(dataset),
        age=_age(text(dataset, "PatientAge")),
        manufacturer=text(dataset, "Manufacturer"),
        model=text(dataset, "ManufacturerModelName"),
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
    try:
        return items(dataset, keyword)
    except PixelError:
        return []


def _integer(dataset: FileDataset, keyword: str) -> int | None:
    value = numbers(dataset, keyword)
    return None if value is None else int(value[0])


def _age(value: str) -> float | None:
    # Age String: three digits and D, W, M or Y (PS3.5 6.2).
    days = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}
    if len(value) != 4 or not value[:3].isdigit() or value[3] not in days:
        return None
    return float(value[:3]) * days[value[3]] / 365.25
