"""ROC, precision-recall, decision curve, scores and F1 against the threshold, with what each says in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from matplotlib.axes import Axes

from radboost.metrics import Band, Estimate, Ladder, NetBenefit, Steps, clustered_bands, interpolated_roc
from radboost.metrics.inputs import FloatArray
from radboost.report.evaluation.numbers import number
from radboost.report.evaluation.subject import Question, Settings
from radboost.report.page import Figure, colour, draw, isolate, plain

__all__ = ["curve_figures", "paint_roc", "roc_points"]

GRID = np.linspace(0, 1, 101)
BINS = 30
PLACES = 60
CORNERS = 400
DASHES = ("-", "--", "-.", ":")
Asked = Sequence[tuple[Question, dict[str, Estimate]]]


def curve_figures(name: str, asked: Asked, settings: Settings) -> list[Figure]:
    """Draw the curves of a target's questions; one has its band, several share the axes without.

    Parameters
    ----------
    name
        What the names of the files start with.
    asked
        Questions with their estimates.
    settings
        Operating points and the bootstrap.
    """
    useful = [pair for pair in asked if 0 < pair[0].positives < len(pair[0])]
    if not useful:
        return []
    bands = [_bands(question, settings) for question, _ in useful]
    names = [question.positive for question, _ in useful]
    told = _gain(useful[-1][0], bands[-1])
    if len(bands) > 1:
        # Bands of several curves would hide one another.
        bands = [
            {name: replace(band, low=np.full_like(band.low, np.nan)) for name, band in own.items()} for own in bands
        ]
    return [
        _roc(f"{name}-roc", useful, [band["roc"] for band in bands], settings),
        _precision(f"{name}-precision-recall", useful, [band["pr"] for band in bands]),
        _decision(f"{name}-decision", useful, bands, names, told),
        _histogram(f"{name}-scores", useful),
        _f1(f"{name}-threshold", useful, bands),
    ]


def _bands(question: Question, settings: Settings) -> dict[str, Band]:
    rows = question.rows
    cuts, called = _acting(question), np.unique(np.quantile(rows.p, np.linspace(0, 1, PLACES)))
    curves: dict[str, Callable[[Steps], FloatArray]] = {
        "roc": lambda steps: interpolated_roc(steps, GRID),
        "pr": lambda steps: _precision_at(steps, GRID),
        "benefit": lambda steps: np.array([NetBenefit(float(t)).of(steps) for t in cuts]),
        "f1": lambda steps: _f1_at(steps, called),
    }
    found = clustered_bands(curves, rows, settings.how, [*cuts, *called])
    return {**found, "cuts": Band(cuts, cuts, cuts), "called": Band(called, called, called)}


def _acting(question: Question) -> FloatArray:
    """Thresholds of the decision curve: to three times the rate, or as far as probabilities go."""
    rows = question.rows
    rate = question.rate
    end = min(0.95, max(3 * rate, float(np.quantile(rows.p, 0.99))))
    return np.linspace(0.0, end, PLACES)


def _precision_at(steps: Steps, recall: FloatArray) -> FloatArray:
    if steps.positives <= 0:
        return np.full(recall.shape, np.nan)
    wanted = np.maximum(recall, 1e-6) * steps.positives * (1 - 1e-9)
    place = np.minimum(np.searchsorted(steps.tp, wanted, side="left"), len(steps.tp) - 1)
    return steps.tp[place] / np.maximum(steps.tp[place] + steps.fp[place], 1e-300)


def _f1_at(steps: Steps, thresholds: FloatArray) -> FloatArray:
    place = np.searchsorted(-steps.threshold, -thresholds, side="right") - 1
    tp, fp = steps.tp[place], steps.fp[place]
    return 2 * tp / (tp + fp + steps.positives) if steps.positives > 0 else np.full(thresholds.shape, np.nan)


def _line(axes: Axes, k: int, x: FloatArray, band: Band, label: str) -> None:
    axes.plot(x, band.value, color=colour(k), label=plain(label), linestyle=DASHES[k // 8 % 4])
    if not np.isnan(band.low).all():
        axes.fill_between(x, band.low, band.high, color=colour(k), alpha=0.18, linewidth=0)


def roc_points(question: Question) -> tuple[FloatArray, FloatArray]:
    """Corners of a question's ROC curve, at most some hundred."""
    rows = question.rows
    x, y = Ladder.of(rows.y, rows.p, ()).steps(rows.weight).roc()
    keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), CORNERS)).round().astype(np.int64))
    return x[keep], y[keep]


def paint_roc(
    axes: Axes,
    names: Sequence[str],
    curves: Sequence[tuple[FloatArray, FloatArray]],
    floor: float,
    band: Band | None = None,
) -> None:
    """Draw ROC curves, the region of high specificity set off; `band` is the first one's, over `GRID`."""
    axes.axvspan(0, 1 - floor, color=colour("line"), alpha=0.35, linewidth=0)
    axes.plot([0, 1], [0, 1], color=colour("soft"), linestyle=":", linewidth=1, label="chance")
    for k, (name, (x, y)) in enumerate(zip(names, curves, strict=True)):
        axes.plot(x, y, color=colour(k), label=plain(name), linestyle=DASHES[k // 8 % 4])
    if band is not None and not np.isnan(band.low).all():
        axes.fill_between(GRID, band.low, band.high, color=colour(0), alpha=0.18, linewidth=0)
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.01), aspect="equal")
    axes.legend(loc="lower right")


def _roc(name: str, asked: Asked, bands: list[Band], settings: Settings) -> Figure:
    names = [_with(question, found, "AUC") for question, found in asked]
    partial_name = f"partial AUC, specificity above {settings.specificity:g}"
    said = "; ".join(_of(q, found, "AUC") + ", " + _of(q, found, partial_name, "partial") for q, found in asked[:4])
    caption = f"ROC. {said}. {_verdict(asked)} Grey: specificity above {settings.specificity:g}."
    alt = f"ROC curve of {len(asked)} classes against the diagonal of chance. {said}."
    points = [roc_points(question) for question, _ in asked]
    band = bands[0] if len(bands) == 1 else None
    paint = partial(paint_roc, names=names, curves=points, floor=settings.specificity, band=band)
    return Figure(name, caption, alt, draw(paint, height=4.0))


def _verdict(asked: Asked) -> str:
    if len(asked) > 1:
        below = [question.positive for question, found in asked if not found["AUC"].low > 0.5]
        if not below:
            return "Every class is told from the rest better than by chance."
        return f"Not shown to be better than chance: {', '.join(isolate(name) for name in below[:5])}."
    low, high = asked[0][1]["AUC"].low, asked[0][1]["AUC"].high
    if low > 0.5:
        return "The interval lies above .5: the order is better than chance."
    if high < 0.5:
        return (
            "The interval lies below .5: the order is worse than chance. Base rates alone can do that: a fold that is "
            "rich in positives is predicted from folds that are poorer in them."
        )
    return "The interval holds .5: nothing here shows an order better than chance."


def _of(question: Question, found: dict[str, Estimate], metric: str, short: str = "") -> str:
    who = "" if short else f"{isolate(question.positive)}: "
    return f"{who}{short or metric} {number(found[metric]).text}"


def _with(question: Question, found: dict[str, Estimate], metric: str) -> str:
    return f"{_short(question.positive)} {found[metric].value:.3f}"


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"


def _precision(name: str, asked: Asked, bands: list[Band]) -> Figure:
    rates = [q.rate for q, _ in asked]

    def paint(axes: Axes) -> None:
        for k, ((question, found), band) in enumerate(zip(asked, bands, strict=True)):
            _line(axes, k, GRID, band, _with(question, found, "average precision"))
            axes.axhline(rates[k], color=colour(k), linestyle=":", linewidth=1)
        axes.set(xlabel="sensitivity (recall)", ylabel="PPV (precision)", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="upper right")

    said = "; ".join(
        f"{_of(q, found, 'average precision')} where chance has {rate:.3f}"
        for (q, found), rate in zip(asked[:4], rates, strict=False)
    )
    caption = f"Precision and recall. {said}. Dotted: the share of positives, which calling at random has."
    return Figure(name, caption, f"Precision against recall. {said}.", draw(paint))


def _gain(question: Question, found: dict[str, Band]) -> str:
    """Say from where to where a decision gains by the model."""
    cuts, rate = found["cuts"].value, question.rate
    other = np.maximum(rate - (1 - rate) * cuts / (1 - cuts), 0)
    places = np.flatnonzero(found["benefit"].low[1:] > other[1:]) + 1
    if not places.size:
        return "Nowhere does the interval lie above both acting on all and on nobody: no decision is shown to gain."
    # The longest stretch without a gap.
    stretch = max(np.split(places, np.flatnonzero(np.diff(places) > 1) + 1), key=len)
    return (
        f"From {cuts[stretch[0]]:.3f} to {cuts[stretch[-1]]:.3f} the interval lies above acting on all and on nobody: "
        "there the model helps to decide."
    )


def _decision(name: str, asked: Asked, bands: list[dict[str, Band]], names: list[str], said: str) -> Figure:
    def paint(axes: Axes) -> None:
        for k, found in enumerate(bands):
            _line(axes, k, found["cuts"].value, found["benefit"], _short(names[k]))
            cuts, rate = found["cuts"].value, asked[k][0].rate
            everyone = rate - (1 - rate) * cuts / (1 - cuts)
            shown = everyone > -0.3 * rate
            axes.plot(
                cuts[shown], everyone[shown], color=colour(k), linestyle=":", label="act on all" if not k else None
            )
        axes.axhline(0, color=colour("soft"), linewidth=1, label="act on nobody")
        top = max(question.rate for question, _ in asked)
        axes.set(xlabel="probability from which one would act", ylabel="net benefit", ylim=(-0.3 * top, 1.25 * top))
        axes.legend(loc="upper right")

    who = isolate(asked[-1][0].positive)
    caption = f"Decision curve: true positives a unit, less what the false ones cost at that threshold. {who}: {said}"
    return Figure(name, caption, f"Net benefit against the threshold. {said}", draw(paint))


def _histogram(name: str, asked: Asked) -> Figure:
    question = asked[-1][0]
    rows = question.rows
    low, high = float(rows.p.min()), float(rows.p.max())
    edges = np.linspace(0 if low < 0.2 * high else low, max(high, low + 1e-6), BINS + 1)
    positive = rows.y == 1

    def paint(axes: Axes) -> None:
        for k, (mine, label) in enumerate(((~positive, "without"), (positive, "with"))):
            share = np.histogram(rows.p[mine], edges, weights=rows.weight[mine])[0] / rows.weight[mine].sum()
            axes.stairs(share, edges, color=colour(k), fill=True, alpha=0.3)
            axes.stairs(share, edges, color=colour(k), label=f"{label} {_short(question.positive)} ({mine.sum():,})")
        axes.set(xlabel=f"probability of {_short(question.positive)}", ylabel="share of its units", ylim=(0, None))
        axes.legend(loc="best")

    middle = [float(np.median(rows.p[mine])) for mine in (~positive, positive)]
    who = isolate(question.positive)
    said = f"Half of the units with {who} lie above {middle[1]:.3f}, half of those without above {middle[0]:.3f}"
    caption = f"Probabilities by truth. {said}; the less the two overlap, the better they are told apart."
    return Figure(name, caption, f"Two histograms of probabilities. {said}.", draw(paint))


def _f1(name: str, asked: Asked, bands: list[dict[str, Band]]) -> Figure:
    def paint(axes: Axes) -> None:
        for k, ((question, found), band) in enumerate(zip(asked, bands, strict=True)):
            _line(axes, k, band["called"].value, band["f1"], f"F1, {_short(question.positive)}")
            axes.axhline(found["pF1"].value, color=colour(k), linestyle=":", linewidth=1)
        axes.set(xlabel="threshold", ylabel="F1", ylim=(0, None), xlim=(0, None))
        axes.legend(loc="best")

    question, found = asked[-1]
    band = bands[-1]
    best = int(np.nanargmax(band["f1"].value))
    at, top = band["called"].value[best], band["f1"].value[best]
    pf1 = f"pF1 without a threshold is {found['pF1'].value:.3f}"
    said = f"{isolate(question.positive)}: F1 is at most {top:.3f}, at {at:.3f}; {pf1}"
    caption = (
        f"pF1 (dotted) and F1 of calling from a threshold on. {said}. The best threshold of these units flatters them."
    )
    return Figure(name, caption, f"F1 against the threshold. {said}.", draw(paint))
