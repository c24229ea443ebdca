"""Metrics: arrays in, floats out.

Every metric is ``metric(y, p, weight)`` and weighs its rows: weight 2 equals the row twice and weight 0 equals no row.
Sums are exactly rounded (:func:`math.fsum`), so neither the order of the rows nor how they are cut into duplicates
shows in the result. A metric that its rows do not define (no positive, or one class only) is ``nan``, never 0 or .5;
intervals leave such replicates out.

One rule clips probabilities, in log losses and in the blend: the probability of the true class lies in
``[CLIP, 1 - CLIP]``.
"""

from radboost.metrics.calibration import ece
from radboost.metrics.clustered import Bootstrap, Difference, Scored, clustered_difference, clustered_interval
from radboost.metrics.joint import JOINT, joint_log_loss, joint_rows
from radboost.metrics.parts import ANY_WORST, PARTS, PartsLogLoss
from radboost.metrics.scores import (
    CLIP,
    Metric,
    accuracy,
    auc,
    balanced_accuracy,
    best_threshold,
    brier,
    f1,
    log_loss,
    pf1,
    true_class_probability,
)

__all__ = [
    "ANY_WORST",
    "CLIP",
    "JOINT",
    "PARTS",
    "Bootstrap",
    "Difference",
    "Metric",
    "PartsLogLoss",
    "Scored",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "best_threshold",
    "brier",
    "clustered_difference",
    "clustered_interval",
    "ece",
    "f1",
    "joint_log_loss",
    "joint_rows",
    "log_loss",
    "pf1",
    "true_class_probability",
]
