"""The picture of a sweep."""

from __future__ import annotations

import pytest

from radboost.ensemble.result import Sweep
from radboost.errors import UserError
from radboost.report.blend_figure import draw_sweeps

LOSSES = {"safe": (0.1, 0.3), "risky": (0.3, 0.1), "robust": (0.2, 0.2)}
SWEEPS = [Sweep("$any", axis, (0.1, 0.5), LOSSES) for axis in ("strength", "prevalence")]


def test_equal_sweeps_give_equal_bytes_and_names_are_text(tmp_path):
    for name in ("a.png", "b.png"):
        draw_sweeps(SWEEPS, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(UserError, match="cannot be written"):
        draw_sweeps(SWEEPS, tmp_path / "nowhere" / "a.png")
