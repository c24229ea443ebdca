"""A phantom cohort as files, in the layout that the RSNA breast competition of 2022 gives its users."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.phantom.breast.machine import windows_of
from radboost.data.phantom.breast.patient import BreastPhantom, Patient, View, draw_patient
from radboost.data.phantom.breast.view import RenderedView, render_view
from radboost.data.phantom.patients import Rows, each_patient, open_truth, write_asked
from radboost.data.progress import Progress, Silent

__all__ = ["TEST_COLUMNS", "TRAIN_COLUMNS", "write_rsna_breast"]

TRAIN_COLUMNS = (
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    "cancer",
    "biopsy",
    "invasive",
    "BIRADS",
    "implant",
    "density",
    "machine_id",
    "difficult_negative_case",
)
TEST_COLUMNS = (
    "site_id",
    "patient_id",
    "image_id",
    "laterality",
    "view",
    "age",
    "implant",
    "machine_id",
    "prediction_id",
)
_FOR_PRESENTATION = "1.2.840.10008.5.1.4.1.1.1.2"  # Digital Mammography X-Ray Image Storage, PS3.4 table B.5-1
_UID_ROOTS = {"study": 1, "series": 2, "instance": 3}
_LESIONS = ("patient_id", "image_id", "laterality", "view", "kind", "malignant", "contrast", "x0", "y0", "x1", "y1")


def write_rsna_breast(
    out: Path, phantom: BreastPhantom, progress: Progress | None = None, workers: int | None = 1
) -> None:
    """Write a phantom cohort: a table, one DICOM file a view, and apart from them the truth.

    ``out`` then holds ``train.csv`` and ``train_images/<patient_id>/<image_id>.dcm``, or ``test.csv`` and
    ``test_images`` when ``phantom.test``. The folder ``truth`` holds what no task reads: ``units.csv`` (prediction_id,
    cancer), ``lesions.csv`` (every finding with its box in pixels of its image; ``x1`` and ``y1`` lie outside) and
    ``phantom.json``, what was asked for.

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
    split = "test" if phantom.test else "train"
    table = out / f"{split}.csv"
    truth = open_truth(table)
    folder = out / f"{split}_images"
    write = partial(_write_patient, folder, phantom)
    progress = progress or Silent()
    progress.start("write phantom exams", phantom.patients)
    images: Rows = []
    lesions: Rows = []
    for patient_images, patient_lesions in each_patient(write, phantom.patients, workers, folder):
        images += patient_images
        lesions += patient_lesions
        progress.advance()
    frame = pd.DataFrame(images)
    frame["prediction_id"] = frame["patient_id"].astype(str) + "_" + frame["laterality"]
    frame[["prediction_id", "cancer"]].drop_duplicates().to_csv(truth / "units.csv", index=False)
    pd.DataFrame(lesions, columns=list(_LESIONS)).to_csv(truth / "lesions.csv", index=False)
    write_asked(truth, phantom)
    # The table comes last: where it is, everything is.
    frame.to_csv(table, index=False, columns=list(TEST_COLUMNS if phantom.test else TRAIN_COLUMNS))


def _write_patient(folder: Path, phantom: BreastPhantom, index: int) -> tuple[Rows, Rows]:
    """Write one patient's files; rows of the table and of the lesions."""
    patient = draw_patient(phantom, index)
    home = folder / str(patient.patient_id)
    home.mkdir(parents=True, exist_ok=True)
    images: Rows = []
    lesions: Rows = []
    for number, view in enumerate(patient.views, start=1):
        rendered = render_view(patient, view, phantom.pixels)
        write_dicom(home / f"{view.image_id}.dcm", _dicom(patient, view, rendered, number))
        images.append(_row(patient, view))
        where = {
            "patient_id": patient.patient_id,
            "image_id": view.image_id,
            "laterality": view.laterality,
            "view": view.view,
        }
        lesions += [
            {**where, "kind": f.kind, "malignant": int(f.malignant), "contrast": round(f.contrast, 4), **asdict(box)}
            for f, box in rendered.findings
        ]
    return images, lesions


def _dicom(patient: Patient, view: View, rendered: RenderedView, number: int) -> DicomImage:
    machine = patient.machine
    return DicomImage(
        pixels=rendered.pixels,
        bits_stored=machine.bits,
        photometric=machine.photometric,
        transfer_syntax=machine.transfer_syntax,
        windows=windows_of(machine),
        voi_function=machine.voi_function,
        # Neither Modality nor ViewPosition nor ImageLaterality: the real files lack them.
        attributes={
            "SOPClassUID": _FOR_PRESENTATION,
            "SOPInstanceUID": _uid("instance", patient, view.image_id),
            "StudyInstanceUID": _uid("study", patient, 0),
            "SeriesInstanceUID": _uid("series", patient, view.image_id),
            "PatientID": str(patient.patient_id),
            "InstanceNumber": number,
        },
    )


def _uid(level: str, patient: Patient, number: int) -> str:
    """UID under the root for UUIDs (PS3.5 B.2), the numbers packed into its 128 bits."""
    return f"2.25.{(_UID_ROOTS[level] << 120) | (patient.patient_id << 64) | number}"


def _row(patient: Patient, view: View) -> dict[str, object]:
    breast = patient.breasts[view.laterality]
    return {
        "site_id": patient.site_id,
        "patient_id": patient.patient_id,
        "image_id": view.image_id,
        "laterality": view.laterality,
        "view": view.view,
        "age": None if patient.age is None else float(patient.age),
        "cancer": int(breast.cancer),
        "biopsy": int(breast.biopsy),
        "invasive": int(breast.invasive),
        "BIRADS": None if breast.birads is None else float(breast.birads),
        "implant": int(patient.implant),
        "density": patient.density if patient.density_read else None,
        "machine_id": patient.machine.machine_id,
        "difficult_negative_case": breast.difficult_negative_case,
    }
