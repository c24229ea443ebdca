"""A phantom lumbar cohort as files, in the layout that the RSNA lumbar challenge of 2024 gives its users."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.phantom.lumbar.spine import render_slice
from radboost.data.phantom.lumbar.study import (
    CONDITIONS,
    KINDS,
    LEVELS,
    LumbarPhantom,
    SpineSeries,
    SpineStudy,
    draw_spine_study,
)
from radboost.data.phantom.patients import Rows, each_patient, open_truth, write_asked
from radboost.data.progress import Progress, Silent

__all__ = ["GRADES", "write_rsna_lumbar"]

GRADES = ("Normal/Mild", "Moderate", "Severe")
_MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4"  # MR Image Storage, PS3.4 table B.5-1
_FULL = 900.0
"""Stored value of a signal of 1."""


def write_rsna_lumbar(
    out: Path, phantom: LumbarPhantom, progress: Progress | None = None, workers: int | None = 1
) -> None:
    """Write a phantom cohort: the tables, one DICOM file a slice, and apart from them the truth.

    ``out`` then holds ``train.csv``, ``train_series_descriptions.csv``, ``train_label_coordinates.csv`` and
    ``train_images/<study>/<series>/<instance>.dcm``; or, when ``phantom.test``, ``test_series_descriptions.csv``,
    ``sample_submission.csv`` and ``test_images``. The folder ``truth`` holds what no task reads: ``levels.csv`` (study,
    condition, level, grade 0 to 2, x, y, z of its point in mm, thickness of the disc) and ``phantom.json``.

    Parameters
    ----------
    out
        Folder to write into; made when it is not there.
    phantom
        The cohort.
    progress
        Told of every study.
    workers
        Processes; None for one a core. The files do not depend on it.

    Raises
    ------
    ExistsError
        When ``out`` already holds the tables.
    RadboostError
        When a study could not be written.
    """
    split = "test" if phantom.test else "train"
    table = out / ("sample_submission.csv" if phantom.test else "train.csv")
    truth = open_truth(table)
    progress = progress or Silent()
    progress.start("write phantom studies", phantom.studies)
    rows: dict[str, Rows] = {"series": [], "points": [], "truth": [], "grades": []}
    write = partial(_write_study, out / f"{split}_images", phantom)
    for parts in each_patient(write, phantom.studies, workers, out):
        for name, found in parts.items():
            rows[name] += found
        progress.advance()
    pd.DataFrame(rows["truth"]).to_csv(truth / "levels.csv", index=False)
    write_asked(truth, phantom)
    pd.DataFrame(rows["series"]).to_csv(out / f"{split}_series_descriptions.csv", index=False)
    if phantom.test:
        units = [f"{condition}_{level}" for condition in CONDITIONS for level in LEVELS]
        names = sorted(f"{row['study_id']}_{unit}" for row in rows["grades"] for unit in units)
        third = dict.fromkeys(("normal_mild", "moderate", "severe"), 1 / 3)
        pd.DataFrame({"row_id": names, **third}).to_csv(table, index=False)
        return
    pd.DataFrame(rows["points"]).to_csv(out / "train_label_coordinates.csv", index=False)
    # The table comes last: where it is, everything is.
    pd.DataFrame(rows["grades"]).to_csv(table, index=False)


def _write_study(images: Path, phantom: LumbarPhantom, index: int) -> dict[str, Rows]:
    study = draw_spine_study(phantom, index)
    series: Rows = []
    for each in study.series:
        series.append({"study_id": study.name, "series_id": each.name, "series_description": KINDS[each.kind]})
        folder = images / study.name / each.name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(len(each.planes)):
            values = render_slice(study.spine, each, number, phantom.pixels)
            write_dicom(folder / f"{number + 1}.dcm", _dicom(study, each, number, values))
    grades: dict[str, object] = {"study_id": study.name}
    for (condition, level), grade in study.grades.items():
        grades[f"{condition}_{level}"] = "" if (condition, level) in study.unlabelled else GRADES[grade]
    return {
        "series": series,
        "points": _points(study, phantom.pixels),
        "truth": [_truth(study, condition, place) for condition in CONDITIONS for place in range(len(LEVELS))],
        "grades": [grades],
    }


def _truth(study: SpineStudy, condition: str, place: int) -> dict[str, object]:
    x, y, z = study.spine.point(condition, place)
    known = {"study": study.name, "condition": condition, "level": LEVELS[place]}
    grade = study.grades[condition, LEVELS[place]]
    return {**known, "grade": grade, "x": x, "y": y, "z": z, "thickness": study.spine.discs[place][1]}


def _points(study: SpineStudy, pixels: int) -> Rows:
    """One row a graded condition that its own kind of series shows: the slice nearest to it, and its pixel there."""
    rows: Rows = []
    for condition, kind in CONDITIONS.items():
        for place, level in enumerate(LEVELS):
            point = study.spine.point(condition, place)
            seen = [
                (*each.planes[number].pixel(point, pixels), each.name, number)
                for each in study.series
                if each.kind == kind
                for number in range(len(each.planes))
            ]
            if not seen or (condition, level) in study.unlabelled:
                continue
            x, y, _, series, number = min(seen, key=lambda one: one[2])
            named = {"condition": condition.replace("_", " ").title(), "level": level.upper().replace("_", "/")}
            where = {"study_id": study.name, "series_id": series, "instance_number": number + 1}
            rows.append({**where, **named, "x": round(x, 4), "y": round(y, 4)})
    return rows


def _dicom(study: SpineStudy, series: SpineSeries, number: int, values: NDArray[np.float32]) -> DicomImage:
    plane, pixels = series.planes[number], len(values)
    side = plane.field / pixels
    stored = np.clip(np.rint(values * _FULL), 0, 4095).astype(np.uint16)
    high = float(np.percentile(stored, 99.5))
    return DicomImage(
        pixels=stored,
        bits_stored=12,
        windows=((round(high / 2, 1), round(max(high, 2), 1)),),
        # No Modality: the real files lack it.
        attributes={
            "SOPClassUID": _MR_STORAGE,
            "SOPInstanceUID": f"{study.name}.{series.name}.{number + 1}",
            "StudyInstanceUID": study.name,
            "SeriesInstanceUID": f"{study.name}.{series.name}",
            "PatientID": study.name,
            "PatientPosition": "HFS",
            "InstanceNumber": number + 1,
            "ImagePositionPatient": [round(float(v), 4) for v in plane.corner(pixels)],
            "ImageOrientationPatient": [round(float(v), 6) for v in (*plane.right, *plane.down)],
            "PixelSpacing": [round(side, 6), round(side, 6)],
            "SliceThickness": study.thickness,
        },
    )
