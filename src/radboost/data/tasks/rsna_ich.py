"""RSNA Intracranial Hemorrhage Detection, 2019.

Source: the challenge's data description and the 12th place's code. 752,803 slices in stage 2. The table is long, six
rows an image; patient, study, series and place come from the headers alone.
"""

from __future__ import annotations

from radboost.data.task import AnyOf, Images, LongTable, Metadata, Slots, Submission, Target, Task

__all__ = ["RSNA_ICH"]

_TYPES = ("epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")

RSNA_ICH = Task(
    name="rsna-ich",
    table="stage_2_train.csv",
    test_table="stage_2_sample_submission.csv",
    long=LongTable(id_column="ID", value_column="Label", unit_column="image"),
    unit=("image",),
    group="patient_id",
    from_headers=("patient_id",),
    # The challenge's metric counts `any` twice: (2 LL_any + sum of the other five) / 7.
    targets=(*(Target(name, name) for name in _TYPES), Target("any", "any", weights=(2.0, 2.0))),
    images=Images(
        paths=(
            "{split}_images/{image}.dcm",
            "stage_2_test_images/{image}.dcm",
            "stage_2_train/{image}.dcm",
            "stage_2_test/{image}.dcm",
            "{image}.dcm",
        ),
        crop="frame",
        size=512,
        # Brain, subdural, and wide enough for bone's inner edge.
        windows=((40.0, 80.0), (80.0, 200.0), (40.0, 400.0)),
    ),
    slots=Slots(),
    # The recipe's 38 numbers and flags and 10 categories, said in general terms: docs/tasks/rsna-ich.md lists both.
    metadata=Metadata(
        headers=(
            *("row_x", "row_y", "row_z", "column_x", "column_y", "column_z"),
            *("position_x", "position_y", "position_z", "position_along_normal", "tilt"),
            *("series_first", "series_last", "series_range", "relative_position", "gap_before", "gap_after"),
            *("slice_distance", "gap_ratio", "doubles_in_series"),
            *("rank_in_series", "rank_from_end", "slices_in_series", "series_of_patient"),
            *("spacing_rows", "spacing_columns", "rows", "columns"),
            *("window_centre", "window_width", "second_window_centre", "second_window_width"),
            *("bits_stored", "pixel_representation", "intercept", "slope"),
            *("pixel_min", "pixel_max", "pixel_mean", "pixel_std", "padding_share"),
            *("plane", "bit_type", "grain_x", "grain_z", "grain_gap"),
        ),
        categories=(
            *("window_centre", "window_width", "second_window_centre", "second_window_width"),
            *("gap_before", "gap_after", "slices_in_series", "doubles_in_series", "pixel_min"),
            *("column_y", "position_x", "spacing_columns"),
        ),
    ),
    metric="joint_log_loss",
    constraints=(AnyOf("any", _TYPES),),
    submission=Submission(id_column="ID", value_column="Label", sample="stage_2_sample_submission.csv"),
)
