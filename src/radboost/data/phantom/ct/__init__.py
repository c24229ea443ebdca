"""Synthetic head CT: who is in the cohort, what a series looks like, and the files."""

from __future__ import annotations

from radboost.data.phantom.ct.head import render_series
from radboost.data.phantom.ct.patient import HeadPatient, HeadPhantom, HeadSeries, draw_head_patient
from radboost.data.phantom.ct.write import write_rsna_ich

__all__ = ["HeadPatient", "HeadPhantom", "HeadSeries", "draw_head_patient", "render_series", "write_rsna_ich"]
