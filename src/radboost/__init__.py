"""Radiology in two stages, with a store in between that makes features reusable.

The rooms, in the order data flows through them: :mod:`radboost.data` (what crosses stage borders),
:mod:`radboost.extractor` (images to embeddings), :mod:`radboost.booster` (embeddings to out-of-fold predictions),
:mod:`radboost.ensemble` (predictions to a blend), :mod:`radboost.pipeline` (what spans stages).
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
