"""What each command ends with, from what its stage handed over."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from radboost.data.cohort import Cohort
from radboost.data.export import LIST, Exported
from radboost.data.task import OPPOSITE, Task
from radboost.metrics import JOINT, PARTS
from radboost.report.tables import Table, interval, number, signed

if TYPE_CHECKING:
    from radboost.booster.run import Run
    from radboost.booster.score import Score
    from radboost.ensemble.result import BlendResult, TargetBlend
    from radboost.ensemble.score import Regret
    from radboost.extractor.extract import ExtractResult
    from radboost.extractor.train.training import Training
    from radboost.pipeline.compare import Compared
    from radboost.pipeline.demo import DemoResult
    from radboost.pipeline.prediction import Prediction


__all__ = [
    "blend_tables",
    "cohort_table",
    "compare_tables",
    "crops_table",
    "demo_table",
    "extract_table",
    "prediction_table",
    "run_tables",
    "training_tables",
]


METRIC_NAMES = {
    "log_loss": "log loss",
    "joint_log_loss": "the log loss of all targets together",
    "parts_log_loss": "the mean of its parts' log losses",
    "auc": "AUC",
    "pf1": "pF1",
}


def cohort_table(cohort: Cohort, skipped: Mapping[str, int]) -> Table:
    """What `index` found: sizes, labels by fold, and what was set aside."""
    units = cohort.units
    rows: list[tuple[str, ...]] = [
        ("groups (patients)", str(units["group"].nunique())),
        ("units", str(len(units))),
        ("crops", str(len(cohort.manifest))),
    ]
    if len(cohort.series):
        rows.append(("series", _series(cohort)))
    rows += [(f"  slot {slot}", str(n)) for slot, n in sorted(Counter(_own_slots(cohort)).items())]
    if cohort.task is not None:
        for target in cohort.task.targets:
            labels = cohort.targets.loc[cohort.targets["target"] == target.name, "label"]
            counts = ", ".join(f"{name}: {int((labels == k).sum())}" for k, name in enumerate(target.classes))
            unlabelled = int((labels < 0).sum())
            rows.append((f"target {target.name}", counts + (f", unlabelled: {unlabelled}" if unlabelled else "")))
    folds = units["fold"][units["fold"] >= 0].value_counts().sort_index()
    if len(folds):
        rows.append(("units a fold", ", ".join(str(n) for n in folds)))
    held = units["split"][units["fold"] < 0].value_counts()
    rows += [(f"split {name}", str(n)) for name, n in held.items() if len(folds)]
    rows += [(f"skipped: {kind}", str(n)) for kind, n in sorted(skipped.items())]
    rows.append(("in quarantine", str(len(cohort.quarantine))))
    reasons = Counter(f"{k}: {r}" for k, r in zip(cohort.quarantine["kind"], cohort.quarantine["reason"], strict=True))
    notes = tuple(f"quarantine, {n} x {reason}" for reason, n in reasons.most_common(5))
    return Table(f"cohort {cohort.folder}", ("", ""), tuple(rows), notes)


def _series(cohort: Cohort) -> str:
    gaps, twice = (int((cohort.series[name] > 0).sum()) for name in ("gaps", "duplicates"))
    found = [f"{n} with {what}" for n, what in ((gaps, "gaps"), (twice, "duplicates")) if n]
    return f"{len(cohort.series)}" + (f" ({', '.join(found)})" if found else "")


def _own_slots(cohort: Cohort) -> list[str]:
    return [slot for slot in cohort.links["slot"] if not slot.endswith(OPPOSITE)]


def extract_table(result: ExtractResult, out: Path) -> Table:
    """How many crops were embedded, how fast, and where the time went."""
    widths = ", ".join(f"{pool} {result.store.width(pool)}" for pool in result.store.pools)
    rows = [
        ("embedded now", f"{result.new:,}"),
        ("embedded before", f"{result.reused:,}"),
        ("in quarantine", f"{result.quarantined:,}"),
        ("width", widths),
    ]
    notes = ["the store holds every crop: no pixel was read and no forward pass was run"]
    account = result.account
    if account is not None:
        rows.append(("images a second", f"{account.images_per_second:.1f}"))
        shown = f"{account.device}, {account.precision}, {len(account.workers)}"
        rows.append(("device, precision, workers", shown))
        rows += [(f"  seconds in {name}", f"{value:.1f}") for name, value in account.seconds.items()]
        rows.append(("peak memory, GB", ", ".join(f"{k} {v / 1e9:.2f}" for k, v in account.peak_bytes.items() if v)))
        notes = [
            "read, decode and crop add up over the workers; wait is how long the network waited for crops",
            f"bottleneck: {account.bottleneck}",
        ]
    if result.removed:
        notes.append(
            f"{result.removed:,} crops of the store are not in this cohort: removed from it, or of another one"
        )
    if result.quarantined:
        notes.append("the cohort's quarantine folder names each file and its reason")
    return Table(f"store {out}", ("", ""), tuple(rows), tuple(notes))


def crops_table(cohort: Cohort, done: Exported) -> Table:
    """How many crops were written, and what could not be."""
    rows = (("written now", f"{done.new:,}"), ("written before", f"{done.before:,}"), ("failed", f"{done.failed:,}"))
    notes = [f"{LIST} in it tells the box of each crop, and how it was found"]
    notes += done.reasons
    if done.failed > len(done.reasons):
        notes.append(f"and {done.failed - len(done.reasons):,} more")
    if done.failed and cohort.folder is not None:
        notes.append("the cohort's quarantine folder names each file and its reason")
    return Table(f"crops {done.folder}", ("", ""), rows, tuple(notes))


def run_tables(run: Run) -> Iterator[Table]:
    """Out-of-fold scores of every member, a table a target, the prior first."""
    yield from _score_tables(f"run {run.folder}", run.task, run.scores, tuple(run.notes))


def training_tables(training: Training, scores: Sequence[Score]) -> Iterator[Table]:
    """Out-of-fold scores of the networks, a table a target; and which epoch of each stage was kept."""
    kept = [
        f"fold {network['fold']}: " + ", ".join(f"{s['stage']} epoch {s['epoch'] + 1}" for s in network["stages"])
        for network in training.content["networks"]
    ]
    yield from _score_tables(f"training {training.folder}", training.task, scores, ("kept, " + "; ".join(kept),))


def _score_tables(what: str, task: Task, scores: Sequence[Score], notes: tuple[str, ...]) -> Iterator[Table]:
    # The targets, and where the task's metric joins them, all of them together.
    for name in (*(target.name for target in task.targets), JOINT, PARTS):
        own = [score for score in scores if score.target == name]
        if own:
            yield _score_table(f"{what}: {name}", task.metric, own, notes)


def _score_table(what: str, named: str, scores: Sequence[Score], more: tuple[str, ...]) -> Table:
    weighted = any(score.weighted_loss[0] == score.weighted_loss[0] for score in scores)
    columns = ("", "log loss", "better than the prior by", "AUC", "pF1") + (("weighted loss",) if weighted else ())
    rows: list[tuple[str, ...]] = []
    for score in scores:
        name = score.member + (" (weighted)" if score.kind == "weighted" else "")
        gain = "" if score.gain[0] != score.gain[0] else f"{signed(score.gain[0])} {interval(*score.gain[1:])}"
        cells = (name, _measured(score.loss), gain, _measured(score.auc), number(score.pf1[0], 3))
        rows.append((*cells, number(score.weighted_loss[0])) if weighted else cells)
    counted = "labels" if scores[0].target == JOINT else "units"
    title = f"{what}, out of fold over {scores[0].units} {counted} of {scores[0].groups} groups"
    notes = (f"the task's own metric is {METRIC_NAMES[named]}; 95 % intervals by bootstrap over patients", *more)
    return Table(title, columns, tuple(rows), notes)


def _measured(found: tuple[float, float, float]) -> str:
    return f"{number(found[0], 3)} {interval(*found[1:])}" if found[0] == found[0] else "-"


def demo_table(result: DemoResult) -> Table:
    """What each part of the system is worth: out of fold, and on exams from another mix of sites."""
    area = f"AUC of {result.headline}" if result.headline else "AUC"
    columns = ("", "log loss, out of fold", area, "log loss, new exams", area)
    # Of three classes there is no AUC.
    shown = (0, 1, 3) if all(math.isnan(row.auc[0]) for row in result.rows) else range(len(columns))
    cells = [(row.name, *(_measured(m) for m in (row.loss, row.auc, row.new_loss, row.new_auc))) for row in result.rows]
    rows = tuple(tuple(row[i] for i in shown) for row in cells)
    return Table("what each part is worth", tuple(columns[i] for i in shown), rows, result.notes)


def blend_tables(result: BlendResult, out: Path) -> Iterator[Table]:
    """Weights and honest score of each target, and of several together."""
    for target in result.targets:
        yield _weights(target, out)
        yield _blend_scores(result, target)
        if target.regret is not None:
            yield _regrets(target, target.regret)
    if result.joint:
        yield _joint_blend(result)
    if result.sweeps:
        yield _crossings(result, out)


def _joint_blend(result: BlendResult) -> Table:
    rows = []
    for score in result.joint:
        lead = "" if score.lead is None else f"{signed(score.lead.value)} {interval(score.lead.low, score.lead.high)}"
        rows.append((score.name, _measured((score.loss.value, score.loss.low, score.loss.high)), lead))
    what, title = "the rows of every target, each under its task weight", JOINT
    if result.config.any_part is not None:
        what, title = "the mean of the parts' log losses", PARTS
    notes = [f"{what}; 95 % intervals by bootstrap over patients"]
    notes += [f"{score.name}: {score.detail}" for score in result.joint[:1] if score.detail]
    title = f"{title}: cross-fitted, {result.policy.value}"
    return Table(title, ("", "log loss", "blend minus this"), tuple(rows), tuple(notes))


def _weights(target: TargetBlend, out: Path) -> Table:
    rows = sorted(target.weights.items(), key=lambda item: -item[1])
    left_out = sum(weight == 0 for _, weight in rows)
    mixed = "logits, with an intercept" if target.space == "logit" else "probabilities"
    notes = [f"weights of {mixed}; certified: within {target.gap:.0e} nats of the best blend of that kind"]
    if left_out:
        dropped = f", {len(target.dropped)} of them dropped since they help neither loss" if target.dropped else ""
        notes.append(f"{left_out} of {len(rows)} members carry no weight{dropped}")
    if 0 < target.share < 1:
        notes.append(f"drawn towards the weights that all targets share: their rows count {target.share:g}")
    calibrated = target.calibrated
    if calibrated.calibrator.method != "none":
        pairs = (("calibration error", calibrated.ece), ("Brier score", calibrated.brier))
        what = ", ".join(f"{name} {number(before)} to {number(after)}" for name, (before, after) in pairs)
        notes.append(f"calibrated ({calibrated.calibrator.method}), cross-fitted: {what}")
    shown = tuple((name, f"{weight:.3f}") for name, weight in rows if weight > 0)
    return Table(f"blend {out}: weights for {target.target}", ("member", "weight"), shown, tuple(notes))


def _blend_scores(result: BlendResult, target: TargetBlend) -> Table:
    rows = []
    for score in target.scores:
        lead = "" if score.lead is None else f"{signed(score.lead.value)} {interval(score.lead.low, score.lead.high)}"
        name = score.name + (f" ({score.detail})" if score.detail else "")
        loss, area = (_measured((e.value, e.low, e.high)) for e in (score.loss, score.auc))
        rows.append((name, loss, area, number(score.pf1.value, 3), number(score.f1.value, 3), lead))
    title = f"{target.target}: cross-fitted over {target.units} units of {target.groups} groups, {result.policy.value}"
    columns = ("", "log loss", "AUC", "pF1", "F1 at threshold", "blend minus this")
    notes = ("95 % intervals by bootstrap over patients; thresholds chosen out of fold", *target.notes, *result.notes)
    return Table(title, columns, tuple(rows), notes)


def _regrets(target: TargetBlend, regret: Regret) -> Table:
    names = ("fitted to the data as they are", "fitted to the target set", "robust")
    cells = zip(names, regret.plain, regret.target, regret.worst, strict=True)
    rows = tuple((name, number(plain), number(aimed), number(worst, 5)) for name, plain, aimed, worst in cells)
    columns = ("the same members", "log loss, plain", "log loss, target", "worst regret")
    return Table(f"{target.target}: what the choice between the two losses may cost, cross-fitted", columns, rows)


def _crossings(result: BlendResult, out: Path) -> Table:
    what = {"strength": "strength of the target weights, 0 to 2", "prevalence": "prevalence, sixteenth to 16-fold odds"}
    rows = []
    for sweep in result.sweeps:
        turns = ", ".join(f"{there} from {number(x, 3)} on" for x, _, there in sweep.crossings())
        path = f"{sweep.best(0)}, {turns}" if turns else f"{sweep.best(0)} everywhere"
        rows.append((sweep.target, what[sweep.axis], path))
    notes = (
        "cross-fitted log loss of the three policies under other weights of the same units",
        f"{out / 'sweep.json'} has the numbers, sweep.png the picture",
    )
    return Table("where safe, risky and robust cross", ("", "along", "best blend"), tuple(rows), notes)


def compare_tables(first: str, second: str, found: Sequence[Compared]) -> Iterator[Table]:
    """Two results side by side, a table a target."""
    for target in dict.fromkeys(each.target for each in found):
        rows = tuple(
            (
                each.metric,
                _measured(each.first),
                _measured(each.second),
                f"{signed(each.difference.value)} {interval(each.difference.low, each.difference.high)}",
                number(each.win, 3),
            )
            for each in found
            if each.target == target
        )
        one = next(each for each in found if each.target == target)
        title = f"{target}: {first} against {second}, {one.units} units of {one.groups} groups"
        notes = ["paired 95 % intervals by bootstrap over patients; won: share of replicates where the first is better"]
        if one.left_out:
            notes.append(f"{one.left_out} units that only one of them predicted are left out")
        yield Table(title, ("", first, second, "first minus second", "won"), rows, tuple(notes))


def prediction_table(found: Prediction) -> Table:
    """How many units were predicted and, where there are labels, how well."""
    names = {"loss": "log loss", "gain": "better than the prior by", "auc": "AUC", "pf1": "pF1"}
    undefined = (float("nan"),) * 3
    rows = [
        (
            f"{score.target}, {score.name}",
            f"{score.positives}/{score.units}",
            *(_measured(score.values.get(metric, undefined)) for metric in names),
        )
        for score in found.scores
    ]
    notes = found.notes + ((f"{found.quarantined} images in quarantine",) if found.quarantined else ())
    title = f"predicted {found.units} units"
    return Table(title, ("", "last class", *names.values()) if rows else ("",), tuple(rows), notes)
