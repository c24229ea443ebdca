"""What a training minimises: the targets' log losses, weighted by task and class, in one number a batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from radboost.data.task import Task
from radboost.extractor.train.config import LearnConfig
from radboost.nets.losses import class_factors, label_losses

__all__ = ["Goal", "base_margins", "base_rates", "to_probabilities"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Goal:
    """The loss of a batch.

    Attributes
    ----------
    classes
        Of each target.
    factors
        Class weights of each target (classes,), over its training rows of mean 1.
    mean_weight
        What a target's weighted losses of a batch are divided by. How many rows are labelled says nothing, and targets
        count as the task weighs them: where ``any`` counts double in the metric, it does here.
    learn
        Focal gamma, smoothing, and whether class weights follow the batch.
    """

    classes: tuple[int, ...]
    factors: tuple[Tensor, ...]
    mean_weight: tuple[float, ...]
    learn: LearnConfig

    @classmethod
    def of(cls, task: Task, label: IntArray, weight: FloatArray, learn: LearnConfig) -> Goal:
        """Take class frequencies and weights from training rows: label and weight (n, targets)."""
        factors, sums, worth = [], [], []
        for t, target in enumerate(task.targets):
            k = len(target.classes)
            totals = np.bincount(label[:, t][label[:, t] >= 0], weight[:, t][label[:, t] >= 0], minlength=k)
            balanced = learn.class_weight == "balanced" and totals.sum() > 0
            factors.append((class_factors(torch.from_numpy(totals)) if balanced else torch.ones(k)).float())
            sums.append(float(totals.sum()))
            by_class = np.array(target.weights or [1.0] * k)
            # What the rows would weigh without the task's say.
            plain = float((totals[by_class > 0] / by_class[by_class > 0]).sum())
            worth.append(sums[-1] / plain if sums[-1] else 1.0)
        common = float(np.mean(worth))
        means = (s / max(len(label), 1) * common / w or 1.0 for s, w in zip(sums, worth, strict=True))
        return cls(tuple(len(t.classes) for t in task.targets), tuple(factors), tuple(means), learn)

    def loss(self, margins: Tensor, label: Tensor, weight: Tensor) -> Tensor:
        """Mean over the batch of the sum over targets.

        Parameters
        ----------
        margins
            (batch, margins of all targets).
        label, weight
            (batch, targets): class number and task weight; weight 0 leaves a row out.
        """
        total, at = margins.new_zeros(()), 0
        for t, k in enumerate(self.classes):
            width = 1 if k == 2 else k
            hot = torch.nn.functional.one_hot(label[:, t].clamp_min(0), k).to(margins.dtype)
            soft = _softened(hot, self.learn)
            each = label_losses(margins[:, at : at + width], soft, self.learn.focal)
            own = weight[:, t] * (hot @ self._factor(t, hot * weight[:, t, None]).to(margins))
            total = total + (own * each).mean() / self.mean_weight[t]
            at += width
        return total

    def _factor(self, target: int, hot: Tensor) -> Tensor:
        if self.learn.class_weight != "batch":
            return self.factors[target]
        return class_factors(hot.sum(0))


def _softened(hot: Tensor, learn: LearnConfig) -> Tensor:
    """Label distributions (batch, classes) of classes (batch, classes)."""
    soft = hot * (1 - learn.soft) + learn.soft / hot.shape[1]
    kept = soft[:, 1:] * (1 - learn.soft_positive)
    return torch.cat([1 - kept.sum(1, keepdim=True), kept], dim=1)


def base_rates(task: Task, label: IntArray, weight: FloatArray) -> dict[str, list[float]]:
    """Weighted class frequencies of rows, (n, targets), by target; a class that no row has keeps a chance."""
    out = {}
    for t, target in enumerate(task.targets):
        known = label[:, t] >= 0
        # One row of each class more than there is.
        totals = np.bincount(label[known, t], weight[known, t], minlength=len(target.classes)) + 1.0
        out[target.name] = (totals / totals.sum()).tolist()
    return out


def base_margins(task: Task, label: IntArray, weight: FloatArray) -> list[float]:
    """Margins of the weighted class frequencies of rows, (n, targets), all targets side by side."""
    out: list[float] = []
    for target, rates in zip(task.targets, base_rates(task, label, weight).values(), strict=True):
        log = np.log(rates)
        out += [float(log[1] - log[0])] if target.binary else [float(v) for v in log]
    return out


def to_probabilities(task: Task, margins: FloatArray) -> list[FloatArray]:
    """Probabilities of each target, (n, classes) summing to 1, from margins (n, margins)."""
    out, at = [], 0
    for target in task.targets:
        width = 1 if target.binary else len(target.classes)
        own = margins[:, at : at + width]
        own = np.hstack([np.zeros((len(own), 1)), own]) if target.binary else own
        own = np.exp(own - own.max(axis=1, keepdims=True))
        out.append(own / own.sum(axis=1, keepdims=True))
        at += width
    return out
