"""Every command on a page is one that the command line takes, and the pages of the tasks can be followed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from typer.core import TyperGroup

from radboost.booster import boosting
from radboost.booster.sequence import plan
from radboost.cli import app
from radboost.data.phantom.breast import BreastPhantom, write_rsna_breast
from radboost.data.phantom.cbis import CbisPhantom, write_cbis_ddsm
from radboost.data.phantom.ct import HeadPhantom, write_rsna_ich
from radboost.data.phantom.lumbar import LumbarPhantom, write_rsna_lumbar

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
# typer has a copy of click of its own, and names of its errors only this one.
UsageError = typer.BadParameter.__base__
INDENTED = re.compile(r"^    (radboost (?:.*\\\n)*.*)$", re.M)


def commands_of(page: Path) -> list[list[str]]:
    """Words of each indented command, without the program's name."""
    found = INDENTED.findall(page.read_text("utf-8"))
    return [shlex.split(text.replace("\\\n", " "), comments=True)[1:] for text in found]


def take(words: list[str]) -> None:
    """Parse as the program would, and run nothing."""
    context = typer.main.get_command(app).make_context("radboost", list(words))
    while isinstance(context.command, TyperGroup):
        name, command, rest = context.command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", [page for page in PAGES if commands_of(page)], ids=lambda page: page.name)
def test_commands_on_pages_are_taken(page):
    for words in commands_of(page):
        try:
            take(words)
        except UsageError as error:
            pytest.fail(f"{page.name}: radboost {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize(
    "words", [["learn", "cohort"], ["extract", "cohort", "--store", "store"], ["index", "DATA", "--task", "rsna-ich"]]
)
def test_what_is_no_command_is_not_taken(words):
    with pytest.raises(UsageError):
        take(words)


SERIES = {"prevalence": 1.0, "slices": (20, 21)}
PHANTOMS = {
    "rsna-breast": (
        write_rsna_breast,
        BreastPhantom(40, seed=1, pixels=256, prevalence=0.4),
        BreastPhantom(4, seed=2, pixels=256, test=True),
    ),
    "rsna-ich": (
        write_rsna_ich,
        HeadPhantom(24, seed=1, pixels=32, **SERIES),
        HeadPhantom(4, seed=1, pixels=32, first_patient=900, signed=0.8, test=True, **SERIES),
    ),
    "cbis-ddsm": (
        write_cbis_ddsm,
        CbisPhantom(24, seed=2, pixels=256),
        CbisPhantom(5, seed=2, pixels=256, first_patient=900),
    ),
    "rsna-lumbar": (
        write_rsna_lumbar,
        LumbarPhantom(10, seed=1, pixels=48),
        LumbarPhantom(3, seed=1, pixels=48, thick=0.7, first_study=900, test=True),
    ),
}
NETWORK = ["--backbone", "test_resnet", "--random-init", "0", "--size", "32", "--device", "cpu"]
PARALLEL = ("index", "crops", "extract", "train", "predict")


def here(words: list[str]) -> list[str]:
    """Give the same command in small: an untrained network for the one named, small crops and patches, one epoch."""
    command, text = words[0], " ".join(words)
    if command in ("extract", "train"):
        text = re.sub(r" --(backbone|size|devices) \S+", "", text)
        # A training brings its network with it.
        text += " --device cpu" if "--training" in text else " " + " ".join(NETWORK)
    if command == "train":
        text += " --epochs 1"
    if "--patches" in text:
        text = re.sub(r" --size \S+", "", text) + " --size 48"
    if command in PARALLEL:
        text += " --workers 1"
    return [*text.split(), *(["--overwrite"] if "--out" in words else [])]


def outside(folder: Path) -> None:
    """Write what others would have predicted of the lumbar cohort, and its labels."""
    cells = pd.read_csv(folder / "DATA" / "train.csv", dtype={"study_id": str}).set_index("study_id").stack()
    names = [f"{study}_{unit}" for study, unit in cells.index]
    grades = ["Normal/Mild", "Moderate", "Severe"]
    truth = np.array([[cell == grade for grade in grades] for cell in cells], int)
    random = np.random.default_rng(0)
    columns = ["normal_mild", "moderate", "severe"]
    for name in ("a", "b"):
        p = np.exp(truth + random.normal(size=truth.shape))
        table = pd.DataFrame(p / p.sum(axis=1, keepdims=True), index=names, columns=columns)
        table.to_csv(folder / f"{name}.csv", index_label="row_id")
    pd.DataFrame(truth, index=names, columns=columns).to_csv(folder / "labels.csv", index_label="row_id")


@pytest.mark.proof
@pytest.mark.parametrize("task", PHANTOMS)
def test_a_page_can_be_followed(task, radboost, tmp_path, monkeypatch):
    monkeypatch.setattr(boosting, "ROUNDS", 6)
    monkeypatch.setattr(plan, "LEAST_STEPS", dict.fromkeys(plan.LEAST_STEPS, 1))
    monkeypatch.setattr(plan, "RATES", {name: (2e-4,) * 3 for name in plan.RATES})
    monkeypatch.chdir(tmp_path)
    write, learned, fresh = PHANTOMS[task]
    write(Path("DATA"), learned)
    new = Path("NEW_FILMS" if task == "cbis-ddsm" else "NEW_EXAMS")
    write(new, fresh)
    if task == "rsna-lumbar":
        outside(tmp_path)
    done = commands_of(PROJECT / "docs" / "tasks" / f"{task}.md")
    assert done
    for words in done:
        print(*words, flush=True)
        radboost(*here(words))
