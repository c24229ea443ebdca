"""Synthetic films with outlined masses and calcifications: who is in the cohort, what a film shows, and the files."""

from __future__ import annotations

from radboost.data.phantom.cbis.film import Film, render_film
from radboost.data.phantom.cbis.patient import CbisPhantom, FilmPatient, draw_film_patient
from radboost.data.phantom.cbis.write import write_cbis_ddsm

__all__ = ["CbisPhantom", "Film", "FilmPatient", "draw_film_patient", "render_film", "write_cbis_ddsm"]
