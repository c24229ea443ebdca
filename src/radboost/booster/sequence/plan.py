"""Sizes and learning rates of the heads: those of the recipe, scaled to the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from radboost.booster.recipe import Recipe

__all__ = ["SEEDS", "Plan", "make_plan"]

SEEDS = 2
"""Networks averaged in the model that is kept, where the recipe does not say."""

RATES = {
    "pooled-res": (2e-4,) * 12 + (2e-5,) * 8 + (5e-6,) * 4,
    "residual": (2e-4,) * 4 + (2e-5,) * 4 + (5e-6,) * 3 + (2e-6,) * 2,
}
"""Learning rate of each epoch. The source gives Residual's; Pooled-Res's 24 epochs have the same steps."""

FINE_TUNE = (1e-5, 1e-5, 5e-6)
"""Of the epochs of the weighted fine-tune."""

CHECKPOINTS = {"pooled-res": 3, "residual": 1}
"""Epochs whose parameters are averaged."""

WINDOWS = {"pooled-res": 60, "residual": 0}
"""Consecutive slices taken of a series at each look; 0 for all."""

BATCH = 16
FULL_PASS = 1300
"""Batches that the source's 21 thousand series make: there its rates and epochs hold as they stand."""
LEAST_STEPS = {"pooled-res": 20, "residual": 60}
"""Of an epoch: a small cohort is passed through several times. Residual has fewer epochs of a high rate."""
LEAST_PASS = 20
"""Batches of a pass below which the rates grow no further: eight times the source's."""

NOISE = 30.0
"""Variance of the noise on every column, times the slices: as much as a ridge of so many rows."""

CHANNELS = ((2_000, 16), (20_000, 32))
"""Slices up to which so many channels do; beyond, the recipe's 64."""
MOST_CHANNELS = 64


@dataclass(frozen=True)
class Plan:
    """How one head is trained.

    Attributes
    ----------
    head
        Name of the head.
    channels
        Of every layer.
    steps
        Batches an epoch.
    rates, fine
        Learning rate of each epoch, and of each epoch of the fine-tune.
    checkpoints
        Epochs whose parameters are averaged.
    window
        Slices taken of a series at each look; 0 for all.
    noise
        Deviation of the normal noise on every column at every look.
    seed, seeds
        First seed, and how many networks.
    """

    head: str
    channels: int
    steps: int
    rates: tuple[float, ...]
    fine: tuple[float, ...]
    checkpoints: int
    window: int
    noise: float
    seed: int
    seeds: int


def make_plan(head: str, series: int, slices: int, recipe: Recipe) -> Plan:
    """Scale the recipe to so many training series and slices.

    Channels are 16 up to 2,000 slices and 32 up to 20,000, then 64. An epoch is one pass in batches of 16 series, and
    at least `LEAST_STEPS` batches. Where a pass is shorter than the source's 1,300 batches, the rates grow with the
    square root of what it lacks, up to eightfold. Each look at a slice adds noise to its columns, of a variance that
    falls as slices grow more: on few series a head would learn by heart what each slice alone shows in its weakest
    components; with the source's 750 thousand slices there is next to none. The settings ``channels``, ``steps`` (of an
    epoch), ``rate`` (multiplies the learning rates) and ``noise`` (the deviation) replace these.
    """
    channels = next((c for most, c in CHANNELS if slices <= most), MOST_CHANNELS)
    once = math.ceil(series / BATCH)
    steps = int(recipe.get("steps", max(LEAST_STEPS[head], once)))
    scale = recipe.get("rate", math.sqrt(max(1.0, FULL_PASS / max(LEAST_PASS, once))))
    return Plan(
        head=head,
        channels=int(recipe.get("channels", channels)),
        steps=steps,
        rates=tuple(r * scale for r in RATES[head]),
        fine=tuple(r * scale for r in FINE_TUNE),
        checkpoints=CHECKPOINTS[head],
        window=WINDOWS[head],
        noise=recipe.get("noise", math.sqrt(NOISE / max(1, slices))),
        seed=recipe.seed,
        seeds=recipe.seeds or SEEDS,
    )
