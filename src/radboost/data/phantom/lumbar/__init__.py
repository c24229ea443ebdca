"""Synthetic lumbar MR: who is in the cohort, what a series looks like, and the files."""

from __future__ import annotations

from radboost.data.phantom.lumbar.spine import render_slice
from radboost.data.phantom.lumbar.study import LumbarPhantom, SpineSeries, SpineStudy, draw_spine_study
from radboost.data.phantom.lumbar.write import write_rsna_lumbar

__all__ = ["LumbarPhantom", "SpineSeries", "SpineStudy", "draw_spine_study", "render_slice", "write_rsna_lumbar"]
