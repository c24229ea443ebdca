"""Slices in the order of the patient, whatever the scanner or the file names say."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from radboost.data.dicom import Header
from radboost.data.series import arrange

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TYPES = {"str": "", "int": 0, "bool": False}
BLANK = {field.name: TYPES.get(field.type) for field in fields(Header)}


def header(place: float | None, number: int = 0, series: str = "1.2", orientation=AXIAL, **values) -> Header:
    position = None
    if place is not None:
        normal = np.cross(orientation[:3], orientation[3:])
        # Anywhere within the slice: only the way along the normal counts.
        position = tuple(place * normal + 7 * np.array(orientation[:3]) - 3 * np.array(orientation[3:]))
    known = {"frames": 1, "instance_uid": f"{series}.{number}", "instance_number": number, "series_uid": series}
    return Header(**{**BLANK, **known, "position": position, "orientation": orientation, **values})


def summary(headers: dict[str, Header], series: str = "1.2") -> dict[str, object]:
    return arrange(headers).table.set_index("series").loc[series].to_dict()


def test_position_counts_and_not_the_scanners_number():
    # Scanned from head to foot: Instance Number runs against the normal.
    headers = {str(k): header(5.0 * k, number=10 - k) for k in (3, 0, 2, 1)}
    slices = arrange(headers).slices
    assert list(slices.index) == ["3", "0", "2", "1"]  # rows as they came
    assert slices["along"].to_dict() == pytest.approx({"0": 0, "1": 5, "2": 10, "3": 15})
    assert slices["rank"].to_dict() == {"0": 0, "1": 1, "2": 2, "3": 3}
    assert (slices.loc["1", "before"], slices.loc["1", "after"]) == pytest.approx((5, 5))
    found = summary(headers)
    assert (found["ordered_by"], found["gaps"], found["duplicates"]) == ("position", 0, 0)
    assert (found["first"], found["last"], found["distance"]) == pytest.approx((0, 15, 5))


@settings(max_examples=40, deadline=None)
@given(st.floats(-1.5, 1.5), st.floats(-1.5, 1.5), st.permutations(range(6)))
def test_a_tilted_series_is_ordered_alike(a, b, order):
    # Any two perpendicular directions: a gantry's tilt and oblique planes change nothing.
    row = np.array([np.cos(a), np.sin(a), 0])
    column = np.cross([np.sin(a) * np.sin(b), -np.cos(a) * np.sin(b), np.cos(b)], row)
    headers = {str(k): header(2.5 * k, number=k, orientation=(*row, *column)) for k in order}
    along = arrange(headers).slices["along"]
    assert [along[str(k)] for k in range(6)] == pytest.approx([2.5 * k for k in range(6)], abs=1e-6)


def test_gaps_and_duplicates_are_counted():
    places = [0, 5, 10, 25, 30, 30, 35]
    headers = {str(k): header(place, number=k) for k, place in enumerate(places)}
    assert (summary(headers)["gaps"], summary(headers)["duplicates"]) == (1, 1)
    # The same instance under two names is a duplicate, also where there are no positions.
    twice = {name: header(None, number=4) for name in ("a", "b")}
    assert (summary(twice)["gaps"], summary(twice)["duplicates"]) == (-1, 1)
    assert summary({"a": header(1.0), "b": header(3.0, 1)})["gaps"] == 0  # two slices tell no distance to expect


@pytest.mark.parametrize(
    "odd",
    [
        header(None, 9),  # no position
        header(40.0, 9, orientation=(0.0, 1.0, 0.0, 0.0, 0.0, -1.0)),  # a scout across the others
        header(40.0, 9, frames=3),  # frames have places of their own
        header(40.0, 9, orientation=(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)),  # no plane
    ],
)
def test_one_slice_without_a_place_leaves_the_scanners_order(odd):
    headers = {"odd": odd, **{str(k): header(-5.0 * k, number=k) for k in range(3)}}
    arranged = arrange(headers)
    assert arranged.slices["along"].isna().all()
    assert arranged.slices["rank"].to_dict() == {"0": 0, "1": 1, "2": 2, "odd": 3}
    assert summary(headers)["ordered_by"] == "instance number"


def test_series_do_not_mix_and_files_without_one_stand_alone():
    headers = {f"{s}/{k}": header(5.0 * k, k, series=s) for s in ("1.2", "1.3") for k in range(3)}
    headers |= {"loose": header(5.0, 1, series=""), "other": header(6.0, 1, series=""), "picture.png": None}
    arranged = arrange(headers)
    assert arranged.table["series"].tolist() == ["1.2", "1.3"]
    assert arranged.table["files"].tolist() == [3, 3]
    assert arranged.slices.loc[["loose", "other"], "slices"].tolist() == [1, 1]
    assert "picture.png" not in arranged.slices.index


@pytest.mark.parametrize("headers", [{}, {"a.png": None}])
def test_nothing_to_arrange(headers):
    assert arrange(headers).table.empty
    assert arrange(headers).slices.empty
