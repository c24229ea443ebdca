"""Boxes of a table and frames of a file become crops of their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from radboost.data.crop import CropInfo, CropJob, Flaw, PixelPolicy
from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.index import IndexConfig, index
from radboost.data.jobs import crop_groups, crop_jobs, most_in_a_frame
from radboost.data.render import render, render_each
from radboost.data.task import Images, Target, Task
from radboost.errors import TableError, TaskError, UserError

BOX = ("x0", "y0", "x1", "y1")


def task(**images) -> Task:
    images = {"paths": ("{image}.dcm",), "crop": "box", "size": 32, "box": BOX, **images}
    return Task("lesions", "table.csv", ("lesion",), "patient", (Target("label", "label"),), images=Images(**images))


def data(root, rows) -> None:
    ramp = np.add.outer(100 * np.arange(40), np.arange(40)).astype(np.uint16)
    for image in ("a", "b"):
        spaced = {"PixelSpacing": [0.5, 0.25]}
        write_dicom(root / f"{image}.dcm", DicomImage(ramp, 12, windows=((2048, 4096),), attributes=spaced))
    pd.DataFrame(rows, columns=["lesion", "patient", "image", "label", *BOX]).to_csv(root / "table.csv", index=False)


PLAIN = IndexConfig(workers=1, new_exams=True)
ROWS = [(0, "p", "a", 0, 0, 0, 8, 8), (1, "p", "a", 1, 8, 16, 40, 40), (2, "q", "b", 1, None, None, None, None)]


def test_boxes_of_one_image_are_crops_of_their_own(tmp_path):
    data(tmp_path, ROWS)
    cohort = index(tmp_path, task(), PLAIN).cohort
    assert cohort.manifest["crop_id"].nunique() == 3
    assert len(cohort.links) == 3
    jobs = list(crop_jobs(cohort, PixelPolicy.of("box", 32), range(3)))
    assert [job.box for job in jobs] == [(0, 0, 8, 8), (8, 16, 40, 40), None]
    out = np.empty((1, 32, 32), np.uint16)
    assert render(jobs[1], PixelPolicy.of("box", 32), out).box == (8, 16, 40, 40)
    # Another crop policy sees the whole frame, whatever the boxes.
    assert all(job.box is None for job in crop_jobs(cohort, PixelPolicy.of("frame", 32), range(3)))


def test_millimetres_become_pixels_by_the_file_s_spacing(tmp_path):
    data(tmp_path, ROWS[:2])
    cohort = index(tmp_path, task(box_unit="mm"), PLAIN).cohort
    first = next(iter(crop_jobs(cohort, PixelPolicy.of("box", 32), [0])))
    # Rows are .5 mm apart and columns .25 mm.
    assert render(first, PixelPolicy.of("box", 32), np.empty((1, 32, 32), np.uint16)).box == (0, 0, 32, 16)


def test_the_same_box_twice_is_one_crop_that_two_units_see(tmp_path):
    data(tmp_path, [(0, "p", "a", 0, 0, 0, 8, 8), (1, "p", "a", 1, 0, 0, 8, 8)])
    cohort = index(tmp_path, task(), PLAIN).cohort
    assert len(cohort.manifest) == 1
    assert cohort.links["unit"].tolist() == ["0", "1"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ((0, "p", "a", 0, 8, 0, 8, 8), "line 2"),
        ((0, "p", "a", 0, 0, None, 8, 8), "hold no box"),
        ((0, "p", "a", 0, "left", 0, 8, 8), "x0 holds text"),
    ],
)
def test_a_box_that_is_none_is_a_fault_of_the_table(tmp_path, row, says):
    data(tmp_path, [row])
    with pytest.raises(TableError, match=says):
        index(tmp_path, task(), IndexConfig(workers=1))


@pytest.mark.parametrize("images", [{"box": ()}, {"box": BOX[:3]}, {"box_unit": "inch"}])
def test_a_task_says_its_boxes_in_full(images):
    with pytest.raises(TaskError, match="box"):
        task(**images)


def test_frames_by_policy(tmp_path):
    stack = np.arange(5 * 12, dtype=np.uint16).reshape(5, 3, 4)
    write_dicom(tmp_path / "loop.dcm", DicomImage(stack, 12))
    write_dicom(tmp_path / "single.dcm", DicomImage(stack[0], 12))

    def frames(policy: str) -> list[int]:
        cohort = index(tmp_path, None, IndexConfig(workers=1, frames=policy, key=bytes(32))).cohort
        assert cohort.manifest["crop_id"].is_unique
        ordered = cohort.links.merge(cohort.manifest[["crop_id", "frame"]], on="crop_id")
        assert ordered.sort_values(["unit", "order"])["frame"].tolist() == cohort.manifest["frame"].tolist()
        return cohort.manifest["frame"].tolist()

    assert frames("middle") == [-1, -1]
    assert frames("first") == [0, 0]
    assert frames("all") == [0, 1, 2, 3, 4, 0]
    with pytest.raises(UserError, match="middle, first, all"):
        frames("last")


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "JPEG2000Lossless"])
def test_crops_of_one_frame_are_what_each_is_alone(tmp_path, syntax):
    ramp = (np.add.outer(np.arange(512), 3 * np.arange(400)) % 4096).astype(np.uint16)
    write_dicom(tmp_path / "a.dcm", DicomImage(ramp, 12, transfer_syntax=syntax, windows=((2048, 4096),)))
    policy = PixelPolicy.of("box", 32)
    # Of three sizes, so that JPEG 2000 is decoded at three resolutions; small before large before small.
    boxes = [(0, 0, 40, 40), (10, 10, 390, 500), (0, 0, 160, 160), (900, 0, 950, 10), (5, 5, 44, 40)]
    jobs = tuple(CropJob(str(tmp_path / "a.dcm"), box=box) for box in boxes)
    out = np.zeros((6, *policy.shape), np.uint16)
    found = render_each(jobs, policy, out)
    assert isinstance(found[3], Flaw)
    assert "outside the frame" in found[3].reason
    for number in (0, 1, 2, 4):
        alone = np.empty(policy.shape, np.uint16)
        info = render(jobs[number], policy, alone)
        np.testing.assert_array_equal(out[number], alone)
        assert (found[number].box, found[number].reduce) == (info.box, info.reduce)
    if syntax == "JPEG2000Lossless":
        assert len({info.reduce for info in found if isinstance(info, CropInfo)}) > 1


def test_neighbours_of_one_frame_go_together_up_to_a_limit(tmp_path):
    data(tmp_path, [(n, "p", "ab"[n // 5], 0, n % 5, 0, 8, 8) for n in range(7)])
    cohort = index(tmp_path, task(), PLAIN).cohort
    assert most_in_a_frame(cohort) == 5
    groups = list(crop_groups(cohort, PixelPolicy.of("box", 32), range(7), 3))
    assert [len(group) for group in groups] == [3, 2, 2]
    assert [job for group in groups for job in group] == list(crop_jobs(cohort, PixelPolicy.of("box", 32), range(7)))
