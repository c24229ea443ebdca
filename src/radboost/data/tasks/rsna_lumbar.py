"""RSNA Lumbar Spine Degenerative Classification, 2024.

Source: the competition's data description. 1,975 studies of three kinds of series; five conditions at five levels, each
normal or mild, moderate, or severe. No patient is named, so that a study is a group. New exams have no coordinates.
"""

from __future__ import annotations

from radboost.data.task import (
    Images,
    Lookup,
    Metadata,
    MetricParts,
    Slots,
    Submission,
    Target,
    Task,
    Volumes,
    WideTable,
)
from radboost.data.volumes import Kind, Points

__all__ = ["RSNA_LUMBAR"]

_CONDITIONS = (
    ("left_neural_foraminal_narrowing", "t1", "L", "foraminal"),
    ("left_subarticular_stenosis", "axial", "L", "subarticular"),
    ("right_neural_foraminal_narrowing", "t1", "R", "foraminal"),
    ("right_subarticular_stenosis", "axial", "R", "subarticular"),
    ("spinal_canal_stenosis", "t2", "", "spinal"),
)

_VOLUMES = Volumes(
    table="train_series_descriptions.csv",
    test_table="test_series_descriptions.csv",
    study="study_id",
    series="series_id",
    kind="series_description",
    folders=("train_images/{study_id}/{series_id}", "test_images/{study_id}/{series_id}"),
    kinds=(
        # Slices a study: one team's budget of 40.
        Kind("t1", ("Sagittal T1",), 10, halves=True),
        Kind("t2", ("Sagittal T2/STIR",), 10),
        Kind("axial", ("Axial T2",), 20, flip=True),
    ),
    own="kind",
    points=Points(
        table="train_label_coordinates.csv",
        series="series_id",
        instance="instance_number",
        x="x",
        y="y",
        finding="condition",
        place="level",
        reference="spinal_canal_stenosis",
    ),
)

RSNA_LUMBAR = Task(
    name="rsna-lumbar",
    table="train.csv",
    # Whatever the sample submission asks for: every study has all 25 rows.
    test_table="test_series_descriptions.csv",
    wide=WideTable(
        names=("condition", "level"),
        values=(tuple(row[0] for row in _CONDITIONS), ("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")),
        value_column="grade",
    ),
    lookup=Lookup(column="condition", gives=("kind", "side", "part"), rows=_CONDITIONS),
    unit=("study_id", "condition", "level"),
    group="study_id",
    targets=(
        Target(
            "grade",
            "grade",
            classes=("normal_mild", "moderate", "severe"),
            weights=(1.0, 2.0, 4.0),
            aliases=(("Normal/Mild", "normal_mild"), ("Moderate", "moderate"), ("Severe", "severe")),
        ),
    ),
    images=Images(crop="box", size=512),
    volumes=_VOLUMES,
    slots=Slots(values=_VOLUMES.slots, side="side", pool=("mean", "max"), blocks=_VOLUMES.blocks),
    # The side is left out: both share their weights.
    metadata=Metadata(categorical=("part", "level"), counts=True, headers=("slice_thickness", "spacing_rows")),
    # The mean of spinal, foraminal, subarticular, and of whether a study has any severe spinal level.
    metric="parts_log_loss",
    parts=MetricParts(column="part", any_part="spinal"),
    submission=Submission(id_column="row_id", sample="sample_submission.csv"),
)
