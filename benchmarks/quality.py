"""Test loss of the whole second stage beside scikit-learn's and AutoGluon's, on the same rows, columns and labels.

Run it as ``python benchmarks/quality.py --shared FOLDER --autogluon PYTHON``, where the folder holds ``mini-mias`` and
the interpreter belongs to an environment with ``autogluon.tabular``. Ours is fit-boost at its defaults and blend safe,
cross-fitted on the patients that are learned from; the test patients are seen by nobody before. Embeddings come from an
untrained network. AutoGluon gets the seconds that ours took, two cores as ours does, and folds that split no patient.

Others see the columns twice: ``raw``, all embeddings with flags of absent slots and encoded metadata, and ``pca``, what
our learners see, fitted on the rows that are learned from. ``--work`` keeps what was made, so that a run goes on there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from radboost.booster.crossfit import BoostConfig, fit_boost
from radboost.booster.design import Design, build_design
from radboost.booster.prepare import Prepared
from radboost.booster.raw import RawColumns
from radboost.data.cohort import TRAIN, Cohort
from radboost.data.folds import assign_folds
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.predictions import member_name
from radboost.data.store import EmbeddingStore
from radboost.metrics import Scored, auc, clustered_difference, clustered_interval, log_loss
from radboost.pipeline.blending import make_blend
from radboost.pipeline.prediction import PredictConfig, predict_stored

HERE = Path(__file__).resolve().parent
TEST = "holdout"
CORES = 2
OURS = "ours: fit-boost, blend safe"
AUTOGLUON_FOLDS = 8
LEAST = 60.0
"""Seconds that AutoGluon gets at the least: with fewer it may end without a model."""
LIBRARIES = ("autogluon.tabular", "catboost", "fastai", "lightgbm", "pandas", "scikit-learn", "torch", "xgboost-cpu")
PRESETS = ("medium_quality", "best_quality")


@dataclass(frozen=True)
class Trial:
    """One split of a cohort: rows to learn from and rows to predict, and where results are kept."""

    cohort: Path
    store: Path
    learn: Design
    test: Design
    results: Path

    @classmethod
    def of(cls, cohort: Path, store: Path, results: Path) -> Trial:
        """Cut the labelled units of a cohort by its split."""
        design = build_design(Cohort.load(cohort), [EmbeddingStore.open(store)])
        known = design.label[:, 0] >= 0
        results.mkdir(parents=True, exist_ok=True)
        learn, test = (design.take(known & (design.split == name)) for name in (TRAIN, TEST))
        return cls(cohort, store, learn, test, results)

    def columns(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """Columns of both sides, fitted on the rows to learn from."""
        fitted = (RawColumns if kind == "raw" else Prepared).fit(self.learn, np.ones(len(self.learn)))
        return fitted.transform(self.learn), fitted.transform(self.test)


Contender = Callable[[Trial], dict]
"""Gives ``p`` of the test rows, ``seconds`` of fitting and anything worth telling, JSON-able."""


def radboost(*words: object) -> None:
    """Run a command in a process of its own, whose workers import nothing of this file."""
    subprocess.run([sys.executable, "-m", "radboost", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def made(place: Path, data: Path, task: str, folds: str, size: int) -> tuple[Path, Path]:
    """Index and extract into `place`, as far as that was not done before; give cohort and store."""
    cohort, store = place / "cohort", place / "store"
    if not cohort.exists():
        radboost("index", data, "--task", task, "--folds", folds, "--out", cohort)
    network = ("--backbone", "resnet18", "--random-init", 0, "--stage", 1, "--pool", "avg", "--pool", "max")
    radboost("extract", cohort, "--out", store, *network, "--size", size)
    return cohort, store


def phantom(options: argparse.Namespace, work: Path) -> list[Trial]:
    """Render a cohort, of which a third is held out, as one trial."""
    place = work / f"phantom-{options.patients}-{options.pixels}"
    if not (place / "data" / "truth" / "phantom.json").exists():
        write_rsna_breast(place / "data", BreastPhantom(patients=options.patients, pixels=options.pixels))
    cohort, store = made(place, place / "data", "rsna-breast", f"holdout:{1 / 3}", options.size)
    return [Trial.of(cohort, store, place / "results")]


def films(options: argparse.Namespace, work: Path) -> list[Trial]:
    """Embed the films of mini-MIAS; each outer fold is held out in turn, and the others are the cohort's folds."""
    place, outer = work / "mini-mias", options.outer
    task = str(HERE.parent / "examples" / "mini-mias.toml")
    cohort, store = made(place, options.shared / "mini-mias", task, str(outer), 512)
    whole, trials = Cohort.load(cohort), []
    for number in range(outer):
        held = whole.folds["fold"] == number
        # The cohort's folds are numbered from 0, whichever is held out.
        fold = whole.folds["fold"].where(whole.folds["fold"] < number, whole.folds["fold"] - 1)
        folds = whole.folds.assign(split=np.where(held, TEST, TRAIN), fold=np.where(held, -1, fold))
        own = place / f"cohort-{number}"
        if not own.exists():
            replace(whole, folds=folds).save(own)
        trials.append(Trial.of(own, store, place / "results" / str(number)))
    return trials


def prior(trial: Trial) -> dict:
    """Predict the rate of the rows to learn from for everybody."""
    return {"p": [float(trial.learn.label[:, 0].mean())] * len(trial.test), "seconds": 0.0}


def ours(trial: Trial) -> dict:
    """Run fit-boost and blend safe on the patients to learn from, then predict the others by what was written."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        begun = time.perf_counter()
        run = fit_boost(Cohort.load(trial.cohort), [EmbeddingStore.open(trial.store)], BoostConfig(workers=CORES)).save(
            place / "run"
        )
        blend = make_blend([place / "run"], "safe", place / "blend").targets[0]
        seconds = time.perf_counter() - begun
        found = predict_stored(place / "blend", trial.cohort, [trial.store], PredictConfig(split=TEST)).external
        own = build_design(Cohort.load(trial.cohort), [EmbeddingStore.open(trial.store)])
        own = own.take(np.isin(own.unit, trial.test.unit))
        members = run.predict(own)
    p = found.table.set_index("unit")["p"].reindex(trial.test.unit)
    target = run.task.targets[0].name
    return {
        "p": p.tolist(),
        "seconds": seconds,
        "out of fold": blend.scores[0].loss.value,
        "weights": blend.weights,
        "space": blend.space,
        "members": {member_name(*name): by[target][:, 1].tolist() for name, by in members.items()},
    }


def sklearn(kind: str) -> Contender:
    """HistGradientBoosting at its defaults."""

    def contender(trial: Trial) -> dict:
        x, test = trial.columns(kind)
        begun = time.perf_counter()
        model = HistGradientBoostingClassifier(random_state=0).fit(x, trial.learn.label[:, 0])
        seconds = time.perf_counter() - begun
        return {"p": model.predict_proba(test)[:, 1].tolist(), "seconds": seconds}

    return contender


def autogluon(python: str, preset: str, kind: str) -> Contender:
    """AutoGluon in a process of its own, for as long as ours took on the same rows."""

    def contender(trial: Trial) -> dict:
        limit = max(kept(trial, OURS, ours)["seconds"], LEAST)
        x, test = trial.columns(kind)
        y = trial.learn.label[:, 0]
        # By order of appearance, so that the folds do not depend on the cohort's key.
        patient = np.char.mod("%06d", pd.factorize(trial.learn.group)[0]).tolist()
        folds = assign_folds(patient, np.stack([y, 1 - y], axis=1), AUTOGLUON_FOLDS)
        with tempfile.TemporaryDirectory() as name:
            source, out = Path(name) / "in.npz", Path(name) / "out.json"
            np.savez(source, x=x, test=test, y=y, fold=np.array([folds[g] for g in patient]))
            worker = (python, str(HERE / "quality_autogluon.py"), str(source), str(out), preset)
            # Neither our thread settings nor our packages are its own; threads that wait shall not burn its time.
            environment = {n: v for n, v in os.environ.items() if not n.startswith(("OMP_", "PYTHON"))}
            environment["OMP_WAIT_POLICY"] = "PASSIVE"
            for tries in (1, 2, 4):
                # It may end without a model, and then has another try with twice the time.
                done = subprocess.run([*worker, f"{tries * limit:.1f}"], capture_output=True, env=environment, cwd=name)
                if not done.returncode:
                    return dict(json.loads(out.read_text()), tries=tries)
            raise RuntimeError(f"AutoGluon made no model: {done.stderr.decode()[-2000:]}")

    return contender


def kept(trial: Trial, name: str, contender: Contender) -> dict:
    """Ask a contender, unless it has answered before."""
    place = trial.results / f"{name.replace(': ', '-').replace(', ', '-').replace(' ', '-')}.json"
    if not place.exists():
        print(f"  ... {name}, {trial.results.name}", flush=True)
        content = contender(trial)
        place.with_suffix(".part").write_text(json.dumps(content))
        place.with_suffix(".part").rename(place)
    return dict(json.loads(place.read_text()))


def contenders(options: argparse.Namespace) -> dict[str, Contender]:
    """Give all by name, the prior and ours first."""
    found: dict[str, Contender] = {"prior": prior, OURS: ours}
    found |= {f"HistGradientBoosting, {kind}": sklearn(kind) for kind in ("raw", "pca")}
    if options.autogluon:
        for preset in options.presets:
            for kind in options.columns:
                found[f"AutoGluon {preset}, {kind}"] = autogluon(options.autogluon, preset, kind)
    return found


def compare(title: str, trials: list[Trial], options: argparse.Namespace) -> None:
    """Print every contender's loss and AUC on all test rows of all trials, beside ours."""
    y = np.concatenate([t.test.label[:, 0] for t in trials])
    group = np.concatenate([t.test.group for t in trials])
    rows = [len(t.learn) for t in trials]
    width = trials[0].columns("raw")[0].shape[1], trials[0].columns("pca")[0].shape[1]
    answers = {name: [kept(t, name, c) for t in trials] for name, c in contenders(options).items()}
    spent = {name: sum(a["seconds"] for a in each) for name, each in answers.items()}
    p = {name: np.concatenate([a["p"] for a in each]) for name, each in answers.items()}
    print(f"\n{title}")
    print(
        f"  learned from {min(rows)} to {max(rows)} units in {len(trials)} split(s), judged on {len(y)} units of "
        f"{len(set(group.tolist()))} patients, {int(y.sum())} positive; {width[0]} raw columns, {width[1]} pca"
    )
    print(f"  {'':34s} {'log loss':22s} {'minus ours':26s} {'AUC':22s} time of ours")
    one = np.ones(len(y))
    for name, values in p.items():
        scored = Scored(y, values, one, group)
        loss, area = (
            f"{f(y, values):.4f} [{low:.4f}, {high:.4f}]"
            for f in (log_loss, auc)
            for low, high in [clustered_interval(f, scored)]
        )
        apart = ""
        if name != OURS:
            d = clustered_difference(log_loss, scored, p[OURS])
            apart = f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]"
        share = f"{spent[name] / spent[OURS]:.2f}" if spent[name] else "-"
        print(f"  {name:34s} {loss:22s} {apart:26s} {area:22s} {share}")
    if not options.autogluon:
        print("  AutoGluon: not run, no --autogluon was given")
    members(answers[OURS], y)
    for name, each in answers.items():
        if "best" in each[0]:
            more = sum(a.get("tries", 1) > 1 for a in each)
            print(
                f"  {name}: kept {', '.join(dict.fromkeys(a['best'] for a in each))} of {each[0]['models']} models; "
                f"needed more time on {more} of {len(each)} splits"
            )


def members(answers: list[dict], y: np.ndarray) -> None:
    """Print what of ours carries weight, and each member's own loss on the test rows."""
    print(
        f"  ours out of fold: {np.mean([a['out of fold'] for a in answers]):.4f}; "
        f"blended in {', '.join(dict.fromkeys(a['space'] for a in answers))} space; its members, mean of fold models:"
    )
    for name in answers[0]["members"]:
        p = np.concatenate([a["members"][name] for a in answers])
        weight = np.mean([a["weights"].get(name, 0.0) for a in answers])
        print(f"    {name:22s} loss {log_loss(y, p):.4f} AUC {auc(y, p):.3f} weight {weight:.2f}")


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--patients", type=int, default=2000, help="of the phantom; a third is the test set")
    parser.add_argument("--pixels", type=int, default=256, help="rows of a phantom image")
    parser.add_argument("--size", type=int, default=256, help="of what the network sees of a phantom image")
    parser.add_argument("--outer", type=int, default=5, help="outer folds of the films")
    parser.add_argument("--shared", type=Path, help="folder that holds mini-mias")
    parser.add_argument("--autogluon", help="interpreter of an environment with autogluon.tabular")
    parser.add_argument("--columns", nargs="+", default=["raw", "pca"], choices=["raw", "pca"], help="AutoGluon's")
    parser.add_argument("--presets", nargs="+", default=PRESETS, choices=PRESETS, help="AutoGluon's")
    parser.add_argument("--only", choices=["phantom", "films"])
    parser.add_argument("--work", type=Path, help="folder that keeps images, embeddings and answers")
    options = parser.parse_args()
    versions = ", ".join(
        f"{n} {metadata.version(n)}" for n in ("radboost", "numpy", "scikit-learn", "xgboost", "lightgbm")
    )
    print(
        time.strftime("%Y-%m-%d", time.gmtime()), platform.machine(), f"Python {platform.python_version()}, {versions}"
    )
    if options.autogluon:
        code = "from importlib.metadata import distributions as d; print(*[f'{p.name}=={p.version}' for p in d()])"
        shown = subprocess.run([options.autogluon, "-c", code], check=True, capture_output=True, text=True).stdout
        there = [line for line in sorted(shown.split()) if line.partition("==")[0] in LIBRARIES]
        print("AutoGluon's own environment:", ", ".join(line.replace("==", " ") for line in there))
    with tempfile.TemporaryDirectory() as name:
        work = options.work or Path(name)
        if options.only != "films":
            compare("phantom screening cohort, untrained network", phantom(options, work), options)
        if options.only == "phantom":
            return
        if options.shared is None or not (options.shared / "mini-mias").is_dir():
            print("\nmini-MIAS: skipped, --shared names no folder that holds mini-mias")
        else:
            compare("mini-MIAS films, untrained network", films(options, work), options)


if __name__ == "__main__":
    main()
