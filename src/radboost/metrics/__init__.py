"""Metrics: arrays in, floats out.

Every metric is ``metric(y, p, weight)`` and weighs its rows: weight 2 equals the row twice and weight 0 equals no row.
Sums are exactly rounded (:func:`math.fsum`), so neither the order of the rows nor how they are cut into duplicates
shows in the result. A metric that its rows do not define (no positive, or one class only) is ``nan``, never 0 or .5;
intervals leave such replicates out.

One rule clips probabilities, in log losses and in the blend: the probability of the true class lies in
``[CLIP, 1 - CLIP]``.
"""

from radboost.metrics.calibration import Reliability, ece, reliability
from radboost.metrics.clustered import (
    Bootstrap,
    Difference,
    Scored,
    clustered_difference,
    clustered_interval,
    clustered_mean,
)
from radboost.metrics.confusion import confusion, macro_f1, precision, recall
from radboost.metrics.delong import Delong, delong, delong_difference
from radboost.metrics.estimates import (
    Band,
    Curve,
    Estimate,
    clustered_bands,
    clustered_estimates,
    clustered_sums,
    divided,
    exact_where_flat,
)
from radboost.metrics.exact import clopper_pearson
from radboost.metrics.joint import JOINT, joint_log_loss, joint_rows
from radboost.metrics.parts import ANY_WORST, PARTS, PartsLogLoss
from radboost.metrics.ranked import (
    AtThreshold,
    AveragePrecision,
    NetBenefit,
    PartialAuc,
    Ranked,
    SensitivityAt,
    interpolated_roc,
)
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
from radboost.metrics.steps import Ladder, Steps

__all__ = [
    "ANY_WORST",
    "CLIP",
    "JOINT",
    "PARTS",
    "AtThreshold",
    "AveragePrecision",
    "Band",
    "Bootstrap",
    "Curve",
    "Delong",
    "Difference",
    "Estimate",
    "Ladder",
    "Metric",
    "NetBenefit",
    "PartialAuc",
    "PartsLogLoss",
    "Ranked",
    "Reliability",
    "Scored",
    "SensitivityAt",
    "Steps",
    "accuracy",
    "auc",
    "balanced_accuracy",
    "best_threshold",
    "brier",
    "clopper_pearson",
    "clustered_bands",
    "clustered_difference",
    "clustered_estimates",
    "clustered_interval",
    "clustered_mean",
    "clustered_sums",
    "confusion",
    "delong",
    "delong_difference",
    "divided",
    "ece",
    "exact_where_flat",
    "f1",
    "interpolated_roc",
    "joint_log_loss",
    "joint_rows",
    "log_loss",
    "macro_f1",
    "pf1",
    "precision",
    "recall",
    "reliability",
    "true_class_probability",
]
