"""Training of a head on some of the series, for all targets at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from radboost.booster.objective import Loss, Objective
from radboost.booster.rows import FloatArray, Rows
from radboost.booster.sequence.grid import Grid, Patch
from radboost.booster.sequence.heads import Parameters, Shape, draw, logits, receptive_field
from radboost.booster.sequence.plan import BATCH, Plan
from radboost.nets.losses import class_factors, label_losses
from radboost.nets.samplers import batches, draw_by_weight

__all__ = ["Examples", "margins", "new_parameters", "train"]

WEIGHT_DECAY = 1e-4
AT_ONCE = 32
"""Series judged at a time."""


@dataclass(frozen=True)
class Examples:
    """What training reads: the series that may be shown, and what counts there.

    Attributes
    ----------
    x
        Columns (n, d) of all rows.
    grid
        Where they lie.
    series
        Positions of the series that may be shown.
    losses
        Loss of each target, bound to the training rows.
    label
        For each target (n, classes): weight x label distribution. Weights sum to 1 over the training rows.
    plain
        For each target (n, classes): the same of the labels as they are, for class weights that follow the batch; empty
        where they do not.
    drawn
        Shape (series,): the weight by which series are drawn, and whose part of the rows' weights is then left out of
        the loss; None where each is shown once a pass.
    """

    x: Tensor
    grid: Grid
    series: list[int]
    losses: tuple[Loss, ...]
    label: tuple[Tensor, ...]
    plain: tuple[Tensor, ...]
    drawn: Tensor | None = None

    @classmethod
    def of(
        cls, targets: Sequence[Rows], grid: Grid, mask: npt.NDArray[np.bool_], objective: Objective, by_weight: bool
    ) -> Examples:
        """Take the rows of a mask (n,); `targets` are the same rows with the labels of each."""
        chosen = grid.only(mask)
        x = torch.from_numpy(np.ascontiguousarray(targets[0].x, dtype=np.float32))
        share, drawn = np.ones(len(mask)), None
        if by_weight:
            whole = np.mean([t.weight * mask / (t.weight * mask).sum() for t in targets], axis=0)
            each = grid.mean(whole)
            for i in chosen:
                rows = grid.series[i]
                share[rows[rows >= 0]] = each[i]
            drawn = torch.from_numpy(each[chosen])
        losses, label, plain = [], [], []
        for t in targets:
            loss = objective.bind(t.take(mask))
            weight = mask * t.weight
            follows = objective.class_weight == "batch"
            weighed = weight if follows else loss.weights(t.y, weight)
            weighed = weighed / share
            weighed = weighed / weighed.sum()
            losses.append(loss)
            label.append(_tensor(weighed[:, None] * loss.labels(t.y)))
            if follows:
                plain.append(_tensor(weighed[:, None] * np.eye(t.classes)[t.y]))
        return cls(x, grid, chosen, tuple(losses), tuple(label), tuple(plain), drawn)

    @property
    def start(self) -> Tensor:
        """Margins of the base rates, all targets side by side."""
        return _tensor(np.concatenate([loss.start for loss in self.losses]))

    def loss(self, patch: Patch, margin: Tensor) -> Tensor:
        """Training loss of a patch from its margins (series, places, all targets' margins)."""
        total, at = margin.new_zeros(()), 0
        for i, (loss, label) in enumerate(zip(self.losses, self.label, strict=True)):
            width = len(loss.start)
            found = _rows_of(patch, label)
            if self.plain:
                there = _rows_of(patch, self.plain[i])
                found = found * (torch.sign(there) @ class_factors(there.sum(dim=(0, 1, 2))))[..., None]
            # The loss is linear in the label distribution, so that views of a slice can be added up first.
            wanted = found.sum(dim=1)
            total = total + label_losses(margin[..., at : at + width], wanted, loss.focal).sum()
            at += width
        return total


def new_parameters(plan: Plan, examples: Examples, seed: int) -> Parameters:
    """Draw a head for these examples."""
    shape = Shape(plan.head, examples.x.shape[1], plan.channels, len(examples.start))
    return draw(shape, torch.Generator().manual_seed(seed))


def train(
    start: Parameters,
    examples: Examples,
    plan: Plan,
    rates: Sequence[float],
    watch: Callable[[int, Parameters], None],
) -> None:
    """Train from `start` for one epoch a rate; `watch` is given a copy after each epoch, counted from 1."""
    random = torch.Generator().manual_seed(plan.seed + 1)
    parameters = {n: t.clone().requires_grad_(True) for n, t in start.items()}
    optimiser = torch.optim.Adam(list(parameters.values()), weight_decay=WEIGHT_DECAY, foreach=False)
    base, passes = examples.start, max(1, -(-len(examples.series) // BATCH))
    looks = _looks(examples, plan, len(rates) * plan.steps, random)
    for epoch, rate in enumerate(rates, 1):
        for group in optimiser.param_groups:
            group["lr"] = rate
        for _ in range(plan.steps):
            patch = next(looks)
            optimiser.zero_grad()
            margin = logits(plan.head, parameters, patch.columns(examples.x, plan.noise, random)) + base
            # Times the batches of a pass: the mean over batches is then the loss of all rows.
            (examples.loss(patch, margin) * passes).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        watch(epoch, {n: t.detach().clone() for n, t in parameters.items()})


def margins(head: str, parameters: Parameters, x: Tensor, grid: Grid, chosen: Sequence[int]) -> FloatArray:
    """Logits of the rows of some series, (n, logits); NaN for all other rows. Views of a slice have the same."""
    out = np.full((len(x), len(parameters["last.bias"])), np.nan)
    # Alike long ones together, since a patch is as long as its longest.
    chosen = sorted(chosen, key=lambda i: len(grid.series[i]))
    with torch.inference_mode():
        for at in range(0, len(chosen), AT_ONCE):
            patch = grid.patch(chosen[at : at + AT_ONCE], receptive_field(head) // 2)
            z = logits(head, parameters, patch.columns(x)).double().numpy()
            series, _, place = np.nonzero(patch.own.numpy())
            out[patch.rows.numpy()[patch.own.numpy()]] = z[series, place]
    return out


def _looks(examples: Examples, plan: Plan, steps: int, random: torch.Generator) -> Iterator[Patch]:
    blanks = receptive_field(plan.head) // 2
    count = len(examples.series)
    if examples.drawn is None:
        order = batches(count, BATCH, steps, random)
    else:
        order = draw_by_weight(examples.drawn, min(BATCH, count), steps, random)
    for chosen in order:
        numbers = [examples.series[i] for i in chosen.tolist()]
        if not plan.window:
            yield examples.grid.patch(numbers, blanks)
            continue
        spare = torch.tensor([max(0, len(examples.grid.series[i]) - plan.window) for i in numbers])
        starts = (torch.rand(len(numbers), generator=random) * (spare + 1)).long().numpy()
        yield examples.grid.patch(numbers, blanks, starts, plan.window)


def _rows_of(patch: Patch, values: Tensor) -> Tensor:
    """Values (n, classes) of each row where it stands for itself: (series, views, places, classes), else 0."""
    return values[patch.rows.clamp_min(0)] * patch.own[..., None].to(values.dtype)


def _tensor(values: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
