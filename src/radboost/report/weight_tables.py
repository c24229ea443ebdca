"""What weights cost and what they bring, as tables."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from radboost.report.tables import Table, number

if TYPE_CHECKING:
    from radboost.booster.weights import Weighting

__all__ = ["weight_tables"]

METHODS = {
    "odds": "cross-fitted logistic odds of degree 2",
    "strata": "shares of crossed categories",
    "balance": "entropy balancing",
}


def weight_tables(found: Weighting) -> Iterator[Table]:
    """Where the weights came from and what they cost; then how alike the cohorts are, before and after."""
    zero = int((found.weight == 0).sum())
    rows = [
        ("units", f"{len(found.unit):,}, to look like {found.target_units:,} of the target"),
        ("made by", METHODS[found.method]),
        ("compared on", ", ".join(found.columns)),
        ("weight 0: no counterpart in the target", f"{zero:,}"),
        *((f"  by {column}", f"{count:,}") for column, count in found.removed.items()),
        ("target units without counterpart", f"{found.unmatched:.1%}"),
        ("effective sample share", number(found.share, 3)),
        ("largest weight (mean 1)", number(found.largest, 2)),
    ]
    if found.power < 1:
        rows.append(("flattened", f"to the power {found.power:.3f}; the share was {found.raw_share:.3f}"))
    if not math.isnan(found.gap):
        rows.append(("certificate: largest gap of a moment", f"{found.gap:.1e}"))
    before, after, asked = found.prevalence
    if not math.isnan(asked):
        rows.append(("prevalence before, after, asked for", f"{before:.4f}, {after:.4f}, {asked:.4f}"))
    yield Table("weights that simulate the target", ("", ""), tuple(rows), found.notes)
    cells = tuple(
        (b.name, number(b.smd[0], 3), number(b.smd[1], 3), number(b.ks[0], 3), number(b.ks[1], 3))
        for b in found.balance
    )
    columns = ("column", "SMD before", "after", "KS before", "after")
    yield Table("distance to the target: standardised mean difference and Kolmogorov-Smirnov", columns, cells)
