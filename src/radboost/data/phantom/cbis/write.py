"""A phantom of outlined findings as files, in the layout that The Cancer Imaging Archive gives CBIS-DDSM's users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.phantom.cbis.film import Film, render_film, shrink
from radboost.data.phantom.cbis.patient import CbisPhantom, FilmPatient, View, draw_film_patient
from radboost.data.phantom.patients import Rows, each_patient, open_truth, write_asked
from radboost.data.progress import Progress, Silent

__all__ = ["TABLES", "write_cbis_ddsm"]

TABLES = {
    (kind, part): f"{kind.lower()}_case_description_{'test' if part == 'Test' else 'train'}_set.csv"
    for kind in ("Mass", "Calc")
    for part in ("Training", "Test")
}
"""Name of each case table."""
_SETS = {"mass": "Mass", "calcification": "Calc"}
_WORDS = {"mass": ("mass shape", "mass margins"), "calcification": ("calc type", "calc distribution")}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture Image Storage, PS3.4 table B.5-1
_SMALLER = 0.8  # side of a mask of another size, as a share of its film's


def write_cbis_ddsm(out: Path, phantom: CbisPhantom, progress: Progress | None = None, workers: int | None = 1) -> None:
    """Write a phantom cohort: case tables; films, crops and masks as DICOM files; and apart from them the truth.

    ``out`` then holds the four tables (those that have rows) and
    ``CBIS-DDSM/<set>_<patient>_<side>_<view>[_<abnormality>]/<study>/<series>/1-1.dcm``. The tables name files that are
    not there, as the real ones do: the archive's tool names folders by dates. The folder ``truth`` holds what no task
    reads: ``regions.csv`` (each abnormality with the box of its region in pixels of the film; ``x1`` and ``y1`` lie
    outside) and ``phantom.json``, what was asked for.

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
        When ``out`` already holds a phantom.
    RadboostError
        When a patient could not be written.
    """
    truth = open_truth(out / TABLES["Mass", "Training"])
    images = out / "CBIS-DDSM"
    images.mkdir(exist_ok=True)
    progress = progress or Silent()
    progress.start("write phantom films", phantom.patients)
    rows: Rows = []
    write = partial(_write_patient, images, phantom)
    for written in each_patient(write, phantom.patients, workers, images):
        rows += written
        progress.advance()
    found = pd.DataFrame(rows)
    found[["unit", "malignant", "x0", "y0", "x1", "y1"]].to_csv(truth / "regions.csv", index=False)
    write_asked(truth, phantom)
    # The first table comes last: where it is, everything is.
    for (kind, part), name in reversed(TABLES.items()):
        own = found[(found["set"] == f"{kind}-{part}")]
        if len(own) or part == "Training":
            _table(own, kind).to_csv(out / name, index=False)


def _table(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    """A case table with the real one's columns, which are spelled differently for masses."""
    type_ = "mass" if kind == "Mass" else "calcification"
    first, second = _WORDS[type_]
    density = "breast_density" if kind == "Mass" else "breast density"
    names = {
        "patient": "patient_id",
        "density": density,
        "side": "left or right breast",
        "view": "image view",
        "number": "abnormality id",
        "type": "abnormality type",
        "first": first,
        "second": second,
        "assessment": "assessment",
        "pathology": "pathology",
        "subtlety": "subtlety",
        "image": "image file path",
        "crop": "cropped image file path",
        "mask": "ROI mask file path",
    }
    return rows[list(names)].rename(columns=names)


@dataclass(frozen=True)
class _Home:
    """Where the files of one film or abnormality lie, and who it is of."""

    folder: Path
    name: str
    number: int

    def put(self, series: str, place: int, pixels: np.ndarray, view: tuple[str, str]) -> None:
        date = f"{7 + self.number % 3:02d}-{1 + self.number % 28:02d}-2016-DDSM-{10_000 + self.number % 89_999}"
        home = self.folder / self.name / date / f"1.000000-{series}-{10_000 + (7 * self.number) % 89_999}"
        home.mkdir(parents=True, exist_ok=True)
        kinds = {"full mammogram images": 1, "cropped images": 2, "ROI mask images": 3}
        uid = f"2.25.{(self.number << 16) | (kinds[series] << 8) | place}"
        attributes = {
            "SOPClassUID": _SECONDARY_CAPTURE,
            "SOPInstanceUID": f"{uid}{1 if pixels.dtype == np.uint8 else 2}",
            "StudyInstanceUID": f"2.25.{self.number << 8}",
            "SeriesInstanceUID": f"{uid}0",
            "SeriesDescription": series,
            # The real files' patients are the folders' names.
            "PatientID": self.name,
            "Modality": "MG",
            "BodyPartExamined": "BREAST",
            "Laterality": view[0][0],
            "PatientOrientation": view[1],
            "InstanceNumber": place,
        }
        bits = 8 * pixels.itemsize
        write_dicom(home / f"1-{place}.dcm", DicomImage(pixels, bits, attributes=attributes))


def _write_patient(folder: Path, phantom: CbisPhantom, index: int) -> Rows:
    """Write one patient's files; her rows of the tables."""
    patient = draw_film_patient(phantom, index)
    rows: Rows = []
    for order, view in enumerate(patient.views):
        film = render_film(patient, view, phantom.pixels)
        for kind, of_set in _SETS.items():
            numbers = [n for n, finding in enumerate(patient.findings) if finding.kind == kind]
            if not numbers:
                continue
            # A film with findings of both kinds is there twice.
            name = f"{of_set}-{'Test' if patient.tests[kind] else 'Training'}_{patient.name}_{patient.side}_{view.view}"
            base = (((phantom.seed << 20) + phantom.first_patient + index) << 8) + 64 * order + 32 * (kind == "mass")
            about = (patient.side, view.view)
            _Home(folder, name, base).put("full mammogram images", 1, film.pixels, about)
            for n in numbers:
                home = _Home(folder, f"{name}_{patient.findings[n].number}", base + 1 + n)
                _write_region(home, film, n, view, about)
                rows.append(_row(patient, view, n, name, _box(film.masks[n])))
    return rows


def _write_region(home: _Home, film: Film, n: int, view: View, about: tuple[str, str]) -> None:
    """Write an abnormality's crop and mask, under names that say nothing."""
    mask = film.masks[n]
    x0, y0, x1, y1 = _box(mask)
    margin = max(8, (x1 - x0) // 4)
    crop = film.pixels[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
    drawn = (shrink(mask, _SMALLER) if view.resized[n] else mask).astype(np.uint8) * np.uint8(255)
    if view.swapped[n]:
        home.put("ROI mask images", 1, drawn, about)
        home.put("ROI mask images", 2, crop, about)
    elif n % 2:
        # Some downloads part the two by series, both the first of theirs.
        home.put("cropped images", 1, crop, about)
        home.put("ROI mask images", 1, drawn, about)
    else:
        home.put("ROI mask images", 1, crop, about)
        home.put("ROI mask images", 2, drawn, about)


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1


def _row(patient: FilmPatient, view: View, n: int, name: str, box: tuple[int, int, int, int]) -> dict[str, object]:
    finding = patient.findings[n]
    first, second, assessment, subtlety = finding.words
    unit = f"{name}_{finding.number}"
    uid = f"1.3.6.1.4.1.9590.100.1.2.{finding.seed}/1.3.6.1.4.1.9590.100.1.2.{finding.seed + 1}"
    files = [f"{unit}/{uid}/00000{k}.dcm" for k in (0, 1)]
    mask_file, crop_file = files if view.swapped[n] else files[::-1]
    x0, y0, x1, y1 = box
    return {
        "unit": unit,
        "malignant": int(finding.malignant),
        **{"x0": x0, "y0": y0, "x1": x1, "y1": y1},
        "set": name.split("_")[0],
        "patient": patient.name,
        "density": patient.density,
        "side": patient.side,
        "view": view.view,
        "number": finding.number,
        "type": finding.kind,
        **{"first": first, "second": second, "assessment": assessment, "subtlety": subtlety},
        "pathology": finding.pathology,
        "image": f"{name}/{uid}/000000.dcm",
        # Some cells end in a newline, as the real tables' last two columns do.
        "crop": f"{crop_file}\n",
        "mask": mask_file,
    }
