"""The numbers of a question, each with its 95 % interval clustered by patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from radboost.metrics import (
    AveragePrecision,
    Band,
    Estimate,
    Metric,
    PartialAuc,
    SensitivityAt,
    auc,
    brier,
    clustered_difference,
    clustered_estimates,
    clustered_sums,
    divided,
    exact_where_flat,
    log_loss,
    pf1,
    reliability,
)
from radboost.metrics.inputs import FloatArray
from radboost.report.evaluation.subject import Question, Settings
from radboost.report.page import Cell, Number, Table, isolate

__all__ = ["calibration_bins", "estimates", "metrics_asked", "number", "numbers_table"]


def metrics_asked(settings: Settings) -> dict[str, Metric]:
    """Metrics by the name that the page gives them."""
    s, r = settings.specificity, settings.recall_rate
    return {
        "AUC": auc,
        f"partial AUC, specificity above {s:g}": PartialAuc(s),
        f"partial AUC, sensitivity above {s:g}": PartialAuc(s, "sensitivity"),
        "average precision": AveragePrecision(),
        "pF1": pf1,
        f"sensitivity at specificity {s:g}": SensitivityAt(s),
        f"sensitivity at recall rate {r:g}": SensitivityAt(r, "recall rate"),
        "log loss": log_loss,
        "Brier score": brier,
    }


def estimates(question: Question, settings: Settings) -> dict[str, Estimate]:
    """Give all numbers of a question; the calibration error last, and what log loss gains on the base rate."""
    rows = question.rows
    found = clustered_estimates(metrics_asked(settings), rows, settings.how)
    n, groups = len(question), question.groups
    patients = len(np.unique(rows.group[rows.y == 1]))
    for name in [name for name in found if name.startswith("sensitivity")]:
        found[name] = _settled(found[name], patients)
    _, error = calibration_bins(question, settings)
    found["calibration error (ECE)"] = Estimate(
        float(error.value[0]), float(error.low[0]), float(error.high[0]), n, groups
    )
    base = np.full(n, question.rate if n else 0.5)
    gain = clustered_difference(log_loss, type(rows)(rows.y, base, rows.weight, rows.group), rows.p, settings.how)
    found["log loss, gain on the base rate"] = Estimate(gain.value, gain.low, gain.high, n, groups)
    if (question.target_weight != 1).any():
        aimed = type(rows)(rows.y, rows.p, rows.weight * question.target_weight, rows.group)
        weighted = clustered_estimates({"AUC": auc, "log loss": log_loss}, aimed, settings.how)
        found |= {f"{name}, target weights": each for name, each in weighted.items()}
    return found


def _settled(each: Estimate, patients: int) -> Estimate:
    """Give a share of none or all of so many patients its exact interval."""
    band = exact_where_flat(Band(*(np.array([v]) for v in (each.value, each.low, each.high))), [patients])
    return replace(each, low=float(band.low[0]), high=float(band.high[0]))


def calibration_bins(question: Question, settings: Settings) -> tuple[Band, Band]:
    """Give the rate in each bin of `radboost.metrics.reliability`, and the calibration error, as bands."""
    rows = question.rows
    if not len(question):
        nothing = np.full(1, np.nan)
        return Band(nothing, nothing, nothing), Band(nothing, nothing, nothing)
    bins = reliability(rows.y, rows.p, rows.weight)
    inside = np.eye(len(bins.rows))[bins.bin] * rows.weight[:, None]
    k = len(bins.rows)
    columns = np.concatenate([inside * (rows.y == 1)[:, None], inside * rows.p[:, None], inside], axis=1)

    def both(sums: FloatArray) -> FloatArray:
        hit, told, weight = sums[:k], sums[k : 2 * k], sums[2 * k :]
        return np.append(divided(hit, weight), np.abs(hit - told).sum() / weight.sum())

    found = clustered_sums(columns, rows.group, both, settings.how)
    rate, error = (
        Band(*(part[cut] for part in (found.value, found.low, found.high))) for cut in (slice(k), slice(k, None))
    )
    patients = [len(np.unique(rows.group[bins.bin == each])) for each in range(k)]
    return exact_where_flat(rate, patients), error


def number(estimate: Estimate, digits: int = 3, *, signed: bool = False) -> Number:
    """Give an estimate as a page shows it."""
    return Number(estimate.value, estimate.low, estimate.high, digits, signed)


def numbers_table(name: str, asked: list[Question], found: list[dict[str, Estimate]]) -> Table:
    """Put metrics in rows and questions in columns; the first rows say what the numbers rest on."""
    counts: list[tuple[Cell, ...]] = [
        ("units", *(len(question) for question in asked)),
        ("patients", *(question.groups for question in asked)),
        ("positive units", *(question.positives for question in asked)),
    ]
    measured: list[tuple[Cell, ...]] = [
        (metric, *(_cell(metric, each[metric]) for each in found)) for metric in (found[0] if found else {})
    ]
    columns = ("metric", *(question.positive for question in asked))
    target = isolate(asked[0].target)
    caption = f"Every number for {target}, with its 95 % interval; the bootstrap draws patients, not units."
    return Table(
        name, caption, columns if len(asked) > 1 else ("metric", "value [95 % interval]"), [*counts, *measured]
    )


def _cell(metric: str, each: Estimate) -> Number:
    return number(each, 4 if "loss" in metric or "Brier" in metric else 3, signed="gain" in metric)
