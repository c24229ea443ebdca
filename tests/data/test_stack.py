"""2.5-D crops: a slice and its neighbours as channels, cut by one box, named in the fingerprint."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from radboost.data.cohort import FOLDS, LINKS, MANIFEST, NO_BOX, TARGETS, Cohort
from radboost.data.crop import CropJob, PixelPolicy
from radboost.data.dicom.write import DicomImage, write_dicom
from radboost.data.jobs import crop_jobs, refuse_unboxed
from radboost.data.render import render, render_each
from radboost.errors import PixelError, UserError

FRAME = PixelPolicy(size=16)
STACK = replace(FRAME, stack=3)


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    root = tmp_path_factory.mktemp("slices")
    random = np.random.default_rng(0)
    for k in range(4):
        write_dicom(root / f"{k}.dcm", DicomImage(random.integers(0, 4095, (20, 20)).astype(np.uint16), 12))
    write_dicom(root / "other.dcm", DicomImage(np.zeros((24, 20), np.uint16), 12))
    return root


def cohort_of(root, rows):
    table = pd.DataFrame(rows, columns=["path", "series", "order"])
    blank = dict.fromkeys((*MANIFEST, "instance", "laterality", "view"), "") | {"frame": -1, "group": "g", "study": "s"}
    manifest = pd.DataFrame({**blank, **NO_BOX, **table}, index=table.index).assign(crop_id=[*map(str, table.index)])
    links, targets, folds = (pd.DataFrame(columns=list(each)) for each in (LINKS, TARGETS, FOLDS))
    return Cohort(root, None, manifest, links, targets, folds, b"key")


def shown(policy, job):
    out = np.zeros(policy.shape, np.uint16)
    render(job, policy, out)
    return out


def test_neighbours_are_those_of_the_series_in_its_order(slices):
    series = [("2.dcm", "a", 7), ("0.dcm", "a", 1), ("1.dcm", "a", 3), ("3.dcm", "b", 0), ("1.dcm", "a", 3)]
    cohort = cohort_of(slices, [*series, ("0.dcm", "", 0)])
    names = [[path.rpartition("/")[2][0] for path, _ in job.stack] for job in crop_jobs(cohort, STACK, range(6))]
    # The ends repeat; two crops of one slice are no neighbours of each other; what is in no series stands alone.
    assert ["".join(each) for each in names] == ["122", "001", "012", "333", "012", "000"]
    assert all(job.stack == () for job in crop_jobs(cohort, FRAME, range(6)))


def test_channels_are_the_slices_cut_alike(slices):
    paths = [str(slices / f"{k}.dcm") for k in range(3)]
    stack = tuple((path, -1) for path in paths)
    alone = [shown(FRAME, CropJob(path))[0] for path in paths]
    assert np.array_equal(shown(STACK, CropJob(paths[1], stack=stack)), alone)
    box = replace(STACK, crop="box"), replace(FRAME, crop="box")
    parts = [(2.0, 3.0, 12.0, 15.0), (0.0, 0.0, 9.0, 9.0)]
    out = np.zeros((2, *STACK.shape), np.uint16)
    render_each([CropJob(paths[1], -1, part, stack=stack) for part in parts], box[0], out)
    assert np.array_equal(out, [[shown(box[1], CropJob(path, -1, part))[0] for path in paths] for part in parts])


def test_what_cannot_be_stacked_is_told(slices):
    stack = ((str(slices / "0.dcm"), -1), (str(slices / "1.dcm"), -1), (str(slices / "other.dcm"), -1))
    with pytest.raises(PixelError, match="of another size"):
        shown(STACK, CropJob(str(slices / "1.dcm"), stack=stack))
    with pytest.raises(UserError, match="slices or windows"):
        PixelPolicy(windows=((40, 80), (40, 400))).stacked(3)
    with pytest.raises(UserError, match="1 or 3 slices"):
        PixelPolicy().stacked(2)
    with pytest.raises(UserError, match="no series"):
        refuse_unboxed(cohort_of(slices, [("0.dcm", "", 0)]), STACK)


def test_the_fingerprint_names_a_stack_and_older_stores_keep_theirs():
    assert "stack" not in FRAME.as_dict()
    assert STACK.as_dict()["stack"] == 3
    assert PixelPolicy.from_dict(STACK.as_dict()) == STACK
    assert PixelPolicy.from_dict(FRAME.as_dict()) == FRAME
