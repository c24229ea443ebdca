"""RSNA Screening Mammography Breast Cancer Detection, 2022.

Source: the competition's data description. 54,706 images of 11,913 patients, 2.1 % of them with cancer. Side and view
come from the table, since the files carry neither. A test table has none of the columns under `forbidden`.
"""

from __future__ import annotations

from radboost.data.task import Images, Metadata, Slots, Submission, Target, Task

__all__ = ["RSNA_BREAST"]

RSNA_BREAST = Task(
    name="rsna-breast",
    table="train.csv",
    test_table="test.csv",
    unit=("patient_id", "laterality"),
    group="patient_id",
    targets=(Target("cancer", "cancer"),),
    images=Images(
        # As downloaded; the same as PNG; all PNG in one folder, with and without the patient in the name.
        paths=(
            "{split}_images/{patient_id}/{image_id}.dcm",
            "{split}_images/{patient_id}/{image_id}.png",
            "{split}_images/{patient_id}_{image_id}.png",
            "{split}_images/{image_id}.png",
            "images/{patient_id}_{image_id}.png",
            "images/{image_id}.png",
            "{patient_id}/{image_id}.dcm",
            "{patient_id}/{image_id}.png",
            "{patient_id}_{image_id}.png",
            "{image_id}.png",
        ),
        crop="breast",
        size=512,
    ),
    slots=Slots(
        column="view",
        values=("CC", "MLO"),
        # The few other views are taken near the angle of one of the two: lateral beside MLO, axillary tail beside CC.
        aliases=(("ML", "MLO"), ("LM", "MLO"), ("LMO", "MLO"), ("AT", "CC")),
        side="laterality",
    ),
    metadata=Metadata(
        numeric=("age",),
        categorical=("site_id", "machine_id", "implant"),
        forbidden=("biopsy", "invasive", "BIRADS", "density", "difficult_negative_case", "cancer"),
    ),
    metric="pf1",
    submission=Submission(id_column="prediction_id", sample="sample_submission.csv"),
)
