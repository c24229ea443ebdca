"""The files: the archive's folders and the four tables, with their quirks."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from radboost.data.dicom import read_frame, read_header
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.phantom.cbis.write import TABLES
from radboost.errors import ExistsError

PHANTOM = CbisPhantom(patients=16, seed=5, pixels=256, resized=0.3, swapped=0.5)


def sums(folder: Path):
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*.dcm")}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "cohort"
    write_cbis_ddsm(out, PHANTOM)
    return out


@pytest.fixture(scope="module")
def files(cohort):
    """Pixels of each file by its folder's name."""
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted(cohort.glob("CBIS-DDSM/*/*/*/*.dcm")):
        found.setdefault(path.parts[-4], []).append(read_frame(path).pixels)
    return found


def test_tables_have_the_real_ones_columns_and_broken_cells(cohort, shared_data):
    for name in TABLES.values():
        if (cohort / name).is_file():
            real = pd.read_csv(shared_data / "cbis-ddsm" / name, nrows=5, dtype=str)
            made = pd.read_csv(cohort / name, dtype=str)
            assert list(made.columns) == list(real.columns)
            assert made["cropped image file path"].str.endswith("\n").all()


def test_every_abnormality_has_a_crop_and_a_mask_in_either_order(cohort, files):
    truth = pd.read_csv(cohort / "truth" / "regions.csv")
    orders, sizes = set(), set()
    for row in truth.itertuples():
        film = files[row.unit.rpartition("_")[0]]
        assert len(film) == 1
        assert film[0].dtype == np.uint16
        pair = files[row.unit]
        is_mask = [len(np.unique(pixels)) == 2 for pixels in pair]
        assert sorted(is_mask) == [False, True]
        orders.add(tuple(is_mask))
        mask = pair[is_mask.index(True)] > 0
        sizes.add(mask.shape == film[0].shape)
        y, x = np.nonzero(mask)
        share = film[0].shape[0] / mask.shape[0]
        box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1]) * share
        np.testing.assert_allclose(box, [row.x0, row.y0, row.x1, row.y1], atol=2)
    assert orders == {(True, False), (False, True)}
    assert sizes == {True, False}


def test_headers_are_as_unhelpful_as_the_real_ones(cohort):
    path = next(cohort.glob("CBIS-DDSM/Mass-*_1/*/*/1-1.dcm"))
    header = read_header(path)
    # A patient a folder: only the table knows who it is.
    assert header.patient_id == path.parts[-4]
    assert header.window is None
    assert header.transfer_syntax == "1.2.840.10008.1.2.1"
    names = [read_header(p).instance_uid for p in cohort.rglob("*.dcm")]
    assert len(set(names)) == len(names)


def test_bytes_depend_neither_on_workers_nor_on_cohort_size(cohort, tmp_path):
    write_cbis_ddsm(tmp_path / "few", replace(PHANTOM, patients=2), workers=2)
    whole, few = sums(cohort), sums(tmp_path / "few")
    assert few
    assert all(whole[name] == value for name, value in few.items())


def test_an_existing_cohort_is_not_overwritten(cohort):
    with pytest.raises(ExistsError, match="already there"):
        write_cbis_ddsm(cohort, PHANTOM)
