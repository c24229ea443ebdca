"""AutoGluon's part of ``quality.py``, run with the interpreter of an environment of its own.

``python quality_autogluon.py IN.npz OUT.json PRESET SECONDS``: `IN.npz` holds `x`, `y` and `fold` of the rows to learn
from and `test`, the columns to predict. `OUT.json` gets the probabilities, the seconds of fitting, and which model was
kept. No fold splits a patient: bagging holds out one fold after the other, and a preset without bagging holds out as
many folds as come next to AutoGluon's own share of rows for validation.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from importlib import import_module, util
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.core.utils import default_holdout_frac
from autogluon.tabular import TabularPredictor

LABEL, FOLD = "label", "fold"
LIBRARIES = ("catboost", "lightgbm", "xgboost", "torch", "fastai.tabular.all")
UNBAGGED = ("medium_quality",)
CORES = 2


def main() -> None:
    """Fit, predict, and write what came out."""
    source, out, preset, limit = sys.argv[1:]
    for name in LIBRARIES:
        # Imported here, or the first model would pay for it out of the time that is allowed.
        if util.find_spec(name.partition(".")[0]):
            import_module(name)
    with np.load(source) as kept:
        given = dict(kept)
    names = [f"c{i}" for i in range(given["x"].shape[1])]
    rows = pd.DataFrame(given["x"], columns=names).assign(**{LABEL: given["y"]})
    fold, bagged = given["fold"], preset not in UNBAGGED
    folds = int(fold.max()) + 1
    how = {"presets": preset, "time_limit": float(limit), "num_cpus": CORES, "num_gpus": 0}
    with tempfile.TemporaryDirectory() as place:
        groups = FOLD if bagged else None
        predictor = TabularPredictor(LABEL, eval_metric="log_loss", path=place, groups=groups, verbosity=0)
        begun = time.perf_counter()
        if bagged:
            predictor.fit(rows.assign(**{FOLD: fold}), **how)
        else:
            held = fold < max(1, round(default_holdout_frac(len(rows)) * folds))
            predictor.fit(rows[~held], tuning_data=rows[held], **how)
        seconds = time.perf_counter() - begun
        p = predictor.predict_proba(pd.DataFrame(given["test"], columns=names))[1]
        content = {
            "p": [float(v) for v in p],
            "seconds": seconds,
            "models": len(predictor.model_names()),
            "best": predictor.model_best,
        }
    Path(out).write_text(json.dumps(content))


if __name__ == "__main__":
    main()
