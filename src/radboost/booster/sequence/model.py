"""Fitting a head to slices of series: jointly for all targets, stopped on inner folds, with the base rate as fall-back.

Rows whose weights simulate a target set are learnt by the recipe's two steps: a regular fit, then a fine-tune at a low
rate with a weighted random sampler. Each step is stopped on the inner folds, by the weights that it is for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from radboost.booster.learner import to_classes
from radboost.booster.objective import Loss
from radboost.booster.recipe import Recipe
from radboost.booster.rows import FloatArray, Inner, IntArray, Matrix, Order, Rows
from radboost.booster.sequence.grid import Grid
from radboost.booster.sequence.heads import Parameters
from radboost.booster.sequence.judge import Judge
from radboost.booster.sequence.plan import Plan, make_plan
from radboost.booster.sequence.train import Examples, margins, new_parameters, train
from radboost.data.folder import write_json
from radboost.errors import MismatchError, UserError
from radboost.nets.device import one_thread

__all__ = ["SequenceModel", "fit_head", "load_head"]

Job = tuple[Rows, Inner]


@dataclass(frozen=True)
class _Trained:
    """What a fine-tune begins at: networks of all targets, of each inner split with its series, and the final ones."""

    inner: tuple[tuple[Parameters, frozenset[int]], ...]
    final: tuple[Parameters, ...]


@dataclass(frozen=True)
class SequenceModel:
    """A fitted head's part for one target.

    Attributes
    ----------
    head
        Name of the head.
    networks
        Parameters of each network; their margins are averaged. None leaves the base rate.
    loss
        What it was trained with: start margin and correction.
    rates
        Base rates (classes,).
    inner
        See `radboost.booster.learner.Fitted`.
    """

    head: str
    networks: tuple[Mapping[str, npt.NDArray[np.float32]], ...]
    loss: Loss
    rates: FloatArray
    inner: FloatArray = field(repr=False, default_factory=lambda: np.empty((0, 0)))
    trained: _Trained | None = field(repr=False, compare=False, default=None)

    def predict_proba(self, x: Matrix) -> FloatArray:
        """Refuse, with a UserError: without an order there are no series; see `predict_in_order`."""
        return self.predict_in_order(x, None)

    def predict_in_order(self, x: Matrix, order: Order | None) -> FloatArray:
        """Probabilities, (n, classes).

        Parameters
        ----------
        x
            Prepared columns (n, d).
        order
            Series and ranks of the rows. A slice without a series is judged alone.

        Raises
        ------
        UserError
            No row has an order.
        """
        sequence, position = order or (None, None)
        if not len(x):
            return np.empty((0, len(self.rates)))
        grid = Grid.of(len(x), sequence, position, self.head)
        if not self.networks:
            return np.tile(self.rates, (len(x), 1))
        columns = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32))
        z = np.zeros((len(x), len(self.loss.start)))
        with one_thread():
            for network in self.networks:
                own = {n: torch.from_numpy(a) for n, a in network.items()}
                z += margins(self.head, own, columns, grid, range(len(grid)))
        return self.loss.corrected(to_classes(z / len(self.networks) + self.loss.start))

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and, where there are networks, ``model.safetensors``."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"{i}.{n}": np.ascontiguousarray(a) for i, own in enumerate(self.networks) for n, a in own.items()}
        if arrays:
            save_file(arrays, folder / "model.safetensors")
        content = {"networks": len(self.networks), "loss": self.loss.to_dict(), "rates": self.rates.tolist()}
        write_json(folder / "model.json", {"learner": self.head, **content})


def load_head(folder: Path, content: Mapping[str, Any]) -> SequenceModel:
    """Read what `SequenceModel.save` wrote."""
    arrays = load_file(folder / "model.safetensors") if content["networks"] else {}
    networks: list[dict[str, npt.NDArray[np.float32]]] = [{} for _ in range(int(content["networks"]))]
    for name, array in arrays.items():
        number, _, own = name.partition(".")
        networks[int(number)][own] = array
    rates = np.asarray(content["rates"], dtype=np.float64)
    return SequenceModel(content["learner"], tuple(networks), Loss.from_dict(content["loss"]), rates)


def fit_head(
    head: str, jobs: Sequence[Job], recipe: Recipe, start: Sequence[SequenceModel] | None = None
) -> list[SequenceModel]:
    """Fit a head; targets with the same matrix share one network, so that each one's fit depends on the others.

    Parameters
    ----------
    head
        One of `radboost.booster.sequence.heads.HEADS`.
    jobs
        Rows and inner folds, one pair a target.
    recipe
        How; settings as in `radboost.booster.sequence.plan.make_plan`.
    start
        The regular fit of each job, on the same columns and inner folds but with other weights, to be fine-tuned. Only
        models that come from `fit_head` itself will do, since those on disk lack the inner networks. Where it is absent
        and a job's rows have a `base` weight, it is fitted first, by that weight. Where it fell back on the base rate
        for all targets, the weighted fit begins anew.

    Raises
    ------
    UserError
        The units have no order.
    MismatchError
        A regular fit has other columns or inner folds, so that its inner networks saw what they would be judged on.
    """
    if start is None and any(rows.base is not None for rows, _ in jobs):
        plain = [(replace(r, weight=r.weight if r.base is None else r.base, base=None), i) for r, i in jobs]
        start = fit_head(head, plain, recipe)
    together: dict[int, list[int]] = {}
    for number, (rows, _) in enumerate(jobs):
        together.setdefault(id(rows.x), []).append(number)
    out: dict[int, SequenceModel] = {}
    with one_thread():
        for numbers in together.values():
            trained = start[numbers[0]].trained if start is not None else None
            found = _Fit(head, [jobs[n][0] for n in numbers], jobs[numbers[0]][1], recipe, trained).run()
            out.update(zip(numbers, found, strict=True))
    return [out[n] for n in range(len(jobs))]


class _Fit:
    """One network for the targets of the same rows."""

    def __init__(self, head: str, targets: list[Rows], inner: Inner, recipe: Recipe, start: _Trained | None) -> None:
        first = targets[0]
        self.targets, self.inner, self.recipe, self.start = targets, inner, recipe, start
        self.grid = Grid.of(len(first), first.sequence, first.position, head)
        if first.sequence is None:
            raise UserError("the units have no order", where=f"--learner {head}")
        self.sequence: IntArray = first.sequence
        self.plan: Plan = make_plan(head, len(self.grid), self.grid.slices, recipe)
        self.rates = self.plan.rates if start is None else self.plan.fine
        objective = recipe.objective
        self.splits = [
            Examples.of([replace(t, x=x, memo={}) for t in targets], self.grid, mask, objective, start is not None)
            for (mask, _), x in zip(inner, inner.matrices(first), strict=True)
        ]
        self.all = Examples.of(targets, self.grid, np.ones(len(first), dtype=bool), objective, start is not None)

    def run(self) -> list[SequenceModel]:
        judge = Judge(self.targets, [examples.losses for examples in self.splits], [held for _, held in self.inner])
        history, states = self._inner()
        kept = judge.epochs(history, self.plan.checkpoints)
        inside = [np.mean([own[e] for e in kept], axis=0) for own in history]
        shares = [judge.share(number, inside) for number in range(len(self.targets))]
        each = np.repeat(shares, [len(loss.start) for loss in self.all.losses])
        final, inner_states = self._final(kept, states, torch.from_numpy(each.astype(np.float32)))
        trained = _Trained(inner_states, final) if final else None
        out = []
        for number, target in enumerate(self.targets):
            predicted, better = judge.verdict(number, inside, shares[number])
            networks = tuple(_only(p, judge.columns(number)) for p in final) if better else ()
            loss = self.all.losses[number]
            out.append(SequenceModel(self.plan.head, networks, loss, target.rates, predicted, trained))
        return out

    def _inner(self) -> tuple[list[list[FloatArray]], list[list[Parameters]]]:
        """Margins of the held rows after each epoch, 0 for none, and the parameters then; one list a split."""
        history: list[list[FloatArray]] = []
        states: list[list[Parameters]] = []
        for number, (examples, (_, mask)) in enumerate(zip(self.splits, self.inner, strict=True)):
            chosen, own = self.grid.only(mask), self._begin(number, examples, mask)
            recorder = _Recorder(self.plan.head, examples, chosen, mask)
            recorder(0, own)
            train(own, examples, self.plan, self.rates, recorder)
            history.append(recorder.seen)
            states.append(recorder.kept)
        return history, states

    def _begin(self, number: int, examples: Examples, mask: npt.NDArray[np.bool_]) -> Parameters:
        if self.start is None:
            return new_parameters(self.plan, examples, self.plan.seed)
        if len(self.start.inner) != len(self.splits):
            got = f"{len(self.start.inner)} inner folds instead of {len(self.splits)}"
            raise MismatchError("a regular fit has other inner folds", where=self.plan.head, got=got)
        own, series = self.start.inner[number]
        if series & set(self.sequence[mask].tolist()) or own["first.weight"].shape[1] != examples.x.shape[1] + 1:
            raise MismatchError("a regular fit has other columns or inner folds", where=self.plan.head)
        return own

    def _final(
        self, kept: list[int], states: list[list[Parameters]], shares: Tensor
    ) -> tuple[tuple[Parameters, ...], tuple[tuple[Parameters, frozenset[int]], ...]]:
        """Networks on all rows, and the inner ones as a fine-tune would begin at."""
        if kept == [0] and self.start is None:
            return (), ()
        final = []
        for number in range(self.plan.seeds if self.start is None else len(self.start.final)):
            seed = self.plan.seed + 1000 * number
            own = new_parameters(self.plan, self.all, seed) if self.start is None else self.start.final[number]
            found: dict[int, Parameters] = {0: own}
            train(own, self.all, replace(self.plan, seed=seed), self.rates[: max(kept)], found.__setitem__)
            final.append(_shrunk(_mean([found[e] for e in kept]), shares))
        series = [frozenset(self.sequence[mask].tolist()) for mask, _ in self.inner]
        inner = tuple(
            (_shrunk(_mean([own[e] for e in kept]), shares), s) for own, s in zip(states, series, strict=True)
        )
        return tuple(final), inner


@dataclass(frozen=True)
class _Recorder:
    """Keeps the margins of a split's held rows after each epoch, and the parameters then."""

    head: str
    examples: Examples
    series: list[int]
    mask: npt.NDArray[np.bool_]
    seen: list[FloatArray] = field(default_factory=list)
    kept: list[Parameters] = field(default_factory=list)

    def __call__(self, epoch: int, parameters: Parameters) -> None:
        z = margins(self.head, parameters, self.examples.x, self.examples.grid, self.series)[self.mask]
        self.seen.append(z + self.examples.start.double().numpy())
        self.kept.append(parameters)


def _mean(parameters: Sequence[Parameters]) -> Parameters:
    return {n: torch.stack([p[n] for p in parameters]).mean(dim=0) for n in parameters[0]}


def _shrunk(parameters: Parameters, shares: Tensor) -> Parameters:
    """A network whose logits are a share of what they were."""
    last = {"last.weight": parameters["last.weight"] * shares[:, None, None]}
    return parameters | last | {"last.bias": parameters["last.bias"] * shares}


def _only(parameters: Parameters, columns: slice) -> dict[str, npt.NDArray[np.float32]]:
    """A network without the other targets' logits."""
    own = {n: t[columns] if n.startswith("last.") else t for n, t in parameters.items()}
    return {n: t.numpy() for n, t in own.items()}
