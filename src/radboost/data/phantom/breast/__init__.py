"""Synthetic breast screening: who is in the cohort, what a view looks like, and the files."""

from __future__ import annotations

from radboost.data.phantom.breast.patient import BreastPhantom, Patient, View, draw_patient
from radboost.data.phantom.breast.view import RenderedView, render_view
from radboost.data.phantom.breast.write import write_rsna_breast

__all__ = ["BreastPhantom", "Patient", "RenderedView", "View", "draw_patient", "render_view", "write_rsna_breast"]
