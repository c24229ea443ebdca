"""A phantom head CT cohort as files, in the layout that the RSNA haemorrhage challenge of 2019 gives its users."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.phantom.ct.bleed import KINDS
from radboost.data.phantom.ct.head import render_series
from radboost.data.phantom.ct.patient import FIELD_MM, HeadPatient, HeadPhantom, HeadSeries, draw_head_patient
from radboost.data.phantom.patients import Rows, each_patient, open_truth, write_asked
from radboost.data.progress import Progress, Silent

__all__ = ["LABELS", "write_rsna_ich"]

LABELS = (*KINDS, "any")
"""Endings of the table's ids, in its order."""
_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"  # CT Image Storage, PS3.4 table B.5-1
_OUTSIDE = -2000  # what scanners that store signed pixels put where the round field of view ends
_LESIONS = ("patient", "series", "kind", "first", "slices", "density", "angle", "reach", "size", "width")


def write_rsna_ich(out: Path, phantom: HeadPhantom, progress: Progress | None = None, workers: int | None = 1) -> None:
    """Write a phantom cohort: the long table, one DICOM file a slice, and apart from them the truth.

    ``out`` then holds ``stage_2_train.csv`` and ``stage_2_train_images/ID_<hex>.dcm``, or
    ``stage_2_sample_submission.csv`` and ``stage_2_test_images`` when ``phantom.test``. The folder ``truth`` holds what
    no task reads: ``slices.csv`` (image, patient, study, series, rank along the normal, the six labels),
    ``lesions.csv`` and ``phantom.json``, what was asked for.

    Parameters
    ----------
    out
        Folder to write into; made when it is not there.
    phantom
        The cohort.
    progress
        Told of every patient.
    workers
        Processes; None for one a core. The files do not depend on it.

    Raises
    ------
    ExistsError
        When ``out`` already holds the table.
    RadboostError
        When a patient could not be written.
    """
    table = out / ("stage_2_sample_submission.csv" if phantom.test else "stage_2_train.csv")
    truth = open_truth(table)
    images = out / f"stage_2_{'test' if phantom.test else 'train'}_images"
    images.mkdir(exist_ok=True)
    write = partial(_write_patient, images, phantom)
    progress = progress or Silent()
    progress.start("write phantom series", phantom.patients)
    slices: Rows = []
    lesions: Rows = []
    for patient_slices, patient_lesions in each_patient(write, phantom.patients, workers, images):
        slices += patient_slices
        lesions += patient_lesions
        progress.advance()
    # By name, so that nothing but the position in the headers orders the slices.
    frame = pd.DataFrame(slices).sort_values("image", ignore_index=True)
    _spoil(images, frame["image"].tolist(), phantom)
    frame.to_csv(truth / "slices.csv", index=False)
    pd.DataFrame(lesions, columns=list(_LESIONS)).to_csv(truth / "lesions.csv", index=False)
    write_asked(truth, phantom)
    # The table comes last: where it is, everything is.
    _table(frame, phantom).to_csv(table, index=False)


def _table(slices: pd.DataFrame, phantom: HeadPhantom) -> pd.DataFrame:
    """Six rows an image, and once more those of a few."""
    rng = np.random.default_rng(np.random.SeedSequence((phantom.seed, 1)))
    order = rng.permutation(len(slices))
    if not phantom.test:
        order = np.concatenate([order, rng.choice(order, min(phantom.repeated, len(order)), replace=False)])
    rows = slices.iloc[order]
    ids = [f"{image}_{label}" for image in rows["image"] for label in LABELS]
    values = np.full(len(ids), 0.5) if phantom.test else rows[list(LABELS)].to_numpy().ravel()
    return pd.DataFrame({"ID": ids, "Label": values})


def _spoil(images: Path, names: list[str], phantom: HeadPhantom) -> None:
    """Cut some files short within their pixels, as one of the real ones is."""
    rng = np.random.default_rng(np.random.SeedSequence((phantom.seed, 2)))
    for name in rng.choice(names, min(phantom.bad, len(names)), replace=False):
        path = images / f"{name}.dcm"
        path.write_bytes(path.read_bytes()[: -(phantom.pixels**2)])


def _write_patient(folder: Path, phantom: HeadPhantom, index: int) -> tuple[Rows, Rows]:
    """Write one patient's files; rows of the slices and of the bleeds."""
    patient = draw_head_patient(phantom, index)
    slices: Rows = []
    lesions: Rows = []
    for series in patient.series:
        whose = {"patient": patient.name, "series": series.series}
        for rank, values in enumerate(render_series(patient, series, phantom.pixels)):
            name = series.names[rank]
            with warnings.catch_warnings():
                # The real files' UIDs were replaced by names that are no UIDs, and so are these.
                warnings.filterwarnings("ignore", message=".*Invalid value for VR UI")
                write_dicom(folder / f"{name}.dcm", _dicom(patient, series, rank, values))
            slices.append({"image": name, **whose, "study": series.study, "rank": rank, **series.labels(rank)})
        lesions += [{**whose, **asdict(bleed)} for bleed in series.bleeds]
    return slices, lesions


def _dicom(patient: HeadPatient, series: HeadSeries, rank: int, values: NDArray[np.float32]) -> DicomImage:
    scanner, pixels = patient.scanner, len(values)
    side = FIELD_MM * series.zoom / pixels
    corner = -(pixels - 1) / 2 * side
    cos, sin = np.cos(series.tilt), np.sin(series.tilt)
    # The gantry tilts while the table moves along the patient (PS3.3 C.7.6.2.1.1).
    height = rank * series.spacing / cos
    position = (corner, corner * cos - 20.0, 150.0 + height + corner * sin)
    return DicomImage(
        pixels=_stored(values, signed=scanner.signed),
        bits_stored=16 if scanner.signed else 12,
        transfer_syntax=scanner.transfer_syntax,
        windows=scanner.windows,
        # Neither Instance Number nor Slice Thickness nor a manufacturer: the real files lack them.
        attributes={
            "SOPClassUID": _CT_STORAGE,
            "SOPInstanceUID": series.names[rank],
            "StudyInstanceUID": series.study,
            "SeriesInstanceUID": series.series,
            "PatientID": patient.name,
            "Modality": "CT",
            "ImagePositionPatient": [round(float(v), 4) for v in position],
            "ImageOrientationPatient": [1, 0, 0, 0, round(float(cos), 6), round(float(sin), 6)],
            "PixelSpacing": [round(side, 6), round(side, 6)],
            "RescaleIntercept": 0 if scanner.signed else -1024,
            "RescaleSlope": 1,
        },
    )


def _stored(values: NDArray[np.float32], *, signed: bool) -> NDArray[np.int16] | NDArray[np.uint16]:
    whole: NDArray[np.float32] = np.rint(values)
    if not signed:
        plain: NDArray[np.uint16] = np.clip(whole + 1024, 0, 4095).astype(np.uint16)
        return plain
    along = np.arange(len(values)) - (len(values) - 1) / 2
    outside = along[:, None] ** 2 + along[None, :] ** 2 > (len(values) / 2) ** 2
    stored: NDArray[np.int16] = np.where(outside, _OUTSIDE, np.clip(whole, -1024, 3071)).astype(np.int16)
    return stored
