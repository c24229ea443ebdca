"""CBIS-DDSM, the curated breast imaging subset of the Digital Database for Screening Mammography.

Source: the collection's page at The Cancer Imaging Archive and its four case tables: 3,568 abnormalities of 1,566
patients on 3,103 scanned films, with a mask each. Which of two tables a patient's masses and calcifications are in
was decided apart, so that 31 patients stand in a training and in a test table.
"""

from __future__ import annotations

from radboost.data.task import Images, Metadata, Part, Regions, Slots, Stacked, Submission, Target, Task

__all__ = ["CBIS_DDSM"]

_RENAMES = (
    ("left or right breast", "side"),
    ("image view", "view"),
    ("abnormality id", "abnormality"),
    ("abnormality type", "type"),
    ("breast_density", "density"),
    ("breast density", "density"),
    ("image file path", "image_path"),
    ("cropped image file path", "crop_path"),
    ("ROI mask file path", "mask_path"),
)
_PARTS = tuple(
    Part(
        file=f"{kind.lower()}_case_description_{'train' if part == 'Training' else 'test'}_set.csv",
        constants=(("set", f"{kind}-{part}"), ("official", "train" if part == "Training" else "test")),
        renames=_RENAMES,
    )
    for part in ("Training", "Test")
    for kind in ("Mass", "Calc")
)
# Beside the tables, in the collection's own folder, or in that of the archive's download tool.
_PLACES = ("", "CBIS-DDSM/", "*/CBIS-DDSM/")
_IMAGE = "{set}_{patient_id}_{side}_{view}"


_ABNORMALITY = f"{_IMAGE}_{{abnormality}}"


def _anywhere(*forms: str) -> tuple[str, ...]:
    """Where a file of the collection may lie, in these forms."""
    return tuple(f"{place}{form}" for place in _PLACES for form in forms)


CBIS_DDSM = Task(
    name="cbis-ddsm",
    table=_PARTS[0].file,
    # A patient with one film in a test table belongs to the test set with all of them.
    stacked=Stacked(_PARTS, prevails=(("official", "test"),)),
    # The collection's own name of an abnormality: Mass-Training_P_00001_LEFT_CC_1.
    unit=("set", "patient_id", "side", "view", "abnormality"),
    group="patient_id",
    targets=(
        Target(
            "malignant",
            "pathology",
            classes=("BENIGN", "MALIGNANT"),
            aliases=(("BENIGN_WITHOUT_CALLBACK", "BENIGN"),),
        ),
    ),
    images=Images(
        # As the table says, as the archive's tool writes it (folders named by dates), and flattened.
        paths=_anywhere(
            *("{image_path}", f"{_IMAGE}/*/*/*.dcm", f"{_IMAGE}/*.dcm", f"{_IMAGE}/*.png"),
            *(f"{_IMAGE}.dcm", f"{_IMAGE}.png"),
        ),
        crop="box",
        size=224,
        box=("box_left", "box_top", "box_right", "box_bottom"),
    ),
    # Mask and crop of an abnormality lie in one folder under names that say nothing, and the table mixes them up.
    regions=Regions(
        paths=_anywhere(
            *("{mask_path}", "{crop_path}", f"{_ABNORMALITY}/*/*/*.dcm", f"{_ABNORMALITY}/*.dcm"),
            *(f"{_ABNORMALITY}/*.png", f"{_ABNORMALITY}.dcm", f"{_ABNORMALITY}.png"),
            *(f"{_ABNORMALITY}_*.dcm", f"{_ABNORMALITY}_*.png"),
        ),
        picture=("patient_id", "side", "view"),
        columns=("type", "pathology"),
        classes=tuple(
            (f"{kind}_{pathology}", f"{name} {kind}")
            for kind in ("calcification", "mass")
            for pathology, name in (
                ("BENIGN", "benign"),
                ("BENIGN_WITHOUT_CALLBACK", "benign"),
                ("MALIGNANT", "malignant"),
            )
        ),
    ),
    slots=Slots(),
    metadata=Metadata(
        categorical=("type", "density", "side", "view"),
        # What the radiologist read off this very finding.
        forbidden=(
            *("assessment", "subtlety", "pathology"),
            *("mass shape", "mass margins", "calc type", "calc distribution"),
        ),
    ),
    metric="auc",
    submission=Submission(id_column="abnormality"),
)
