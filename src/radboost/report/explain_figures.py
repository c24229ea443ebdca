"""Figures of an explanation: a frame under its map, and bars of shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from radboost.pipeline.explain.frames import Frame
from radboost.pipeline.explain.where import CropMap
from radboost.pipeline.explain.why import Why
from radboost.report.page import Drawing, colour, draw, plain

__all__ = ["block_name", "map_drawing", "shares_drawing"]

COLOURS = "RdBu_r"
BARS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Lengths of a scale bar, millimetres."""
FAINT, STRONG = 0.15, 0.62
"""Of the scale's end: effects below the first leave the frame as it is; opacity at the end."""
ROWS = 12
OVERLAY = 1024
"""Longest side of a map, pixels: it is smooth, and full frames are large."""


def map_drawing(frame: Frame, found: CropMap, top: float) -> Drawing:
    """Draw a map on its whole frame, as the frame is stored, with a scale of effects and one of millimetres.

    Parameters
    ----------
    frame
        What lies below.
    found
        The map.
    top
        End of the scale, nats: the largest effect of the unit, so that its maps can be compared.
    """
    tall = frame.shape[0] * (frame.spacing[0] if frame.spacing else 1.0)
    wide = frame.shape[1] * (frame.spacing[1] if frame.spacing else 1.0)
    overlay = _overlay(found, frame, top)

    def paint(axes: Axes) -> None:
        rows, columns = frame.shape
        # Edges of pixels, so that what was made smaller still lies in pixels of the frame.
        extent = (0.0, float(columns), float(rows), 0.0)
        axes.imshow(frame.shown, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="none", aspect="auto")
        axes.imshow(overlay, extent=extent, interpolation="none", aspect="auto")
        if found.drawn.max() > 0:
            x, y = found.hottest
            axes.plot([x], [y], marker="+", markersize=11, markeredgewidth=1.4, color=colour("paper"))
            axes.plot([x], [y], marker="+", markersize=10, markeredgewidth=0.8, color=colour("ink"))
        axes.set(xlim=(0, columns), ylim=(rows, 0), xticks=[], yticks=[])
        axes.set_box_aspect(tall / wide)
        axes.grid(visible=False)
        _scale_bar(axes, frame)
        bar = axes.figure.colorbar(ScalarMappable(Normalize(-top, top), COLOURS), ax=axes, shrink=0.75)
        bar.set_label("log odds lost without the window (nats)")

    width = 4.6
    return draw(paint, width=width, height=min(7.0, 0.4 + 0.74 * width * tall / wide))


def _overlay(found: CropMap, frame: Frame, top: float) -> npt.NDArray[np.uint8]:
    """Colours with opacity, with the pixels of the frame that is shown or fewer."""
    less = max(1.0, max(frame.shown.shape) / OVERLAY)
    rows, columns = (max(1, round(side / less)) for side in frame.shown.shape)
    heat = found.on_frame[
        np.ix_(
            ((np.arange(rows) + 0.5) * frame.shape[0] / rows).astype(int),
            ((np.arange(columns) + 0.5) * frame.shape[1] / columns).astype(int),
        )
    ]
    share = np.nan_to_num(heat) / top
    shown = colormaps[COLOURS]((share + 1) / 2)
    shown[..., 3] = np.where(np.abs(share) < FAINT, 0.0, STRONG * np.minimum(1.0, np.abs(share)))
    return np.round(255 * shown).astype(np.uint8)


def _scale_bar(axes: Axes, frame: Frame) -> None:
    if frame.spacing is None:
        return
    across = frame.spacing[1]
    length = max([b for b in BARS if b / across <= frame.shape[1] / 3] or [BARS[0]])
    rows, columns = frame.shape
    left, low = 0.04 * columns, 0.97 * rows
    for thick, name in ((4.0, "ink"), (2.0, "paper")):
        axes.plot([left, left + length / across], [low, low], color=colour(name), linewidth=thick)
    style = {"facecolor": colour("ink"), "edgecolor": "none", "pad": 1.5}
    axes.text(left, 0.955 * rows, f"{length} mm", color=colour("paper"), va="bottom", fontsize=8, bbox=style)


def shares_drawing(why: Why) -> Drawing:
    """Draw the largest shares as bars, and all others as one."""
    names = [block_name(block, why) for block in why.blocks]
    values = list(why.shares)
    if len(values) > ROWS:
        names, values = [*names[:ROWS], "all others"], [*values[:ROWS], sum(values[ROWS:])]

    def paint(axes: Axes) -> None:
        places = np.arange(len(values))[::-1]
        axes.barh(places, values, color=[colour(1) if v > 0 else colour(0) for v in values])
        axes.set_yticks(places, [plain(name)[:48] for name in names])
        axes.axvline(0, color=colour("ink"), linewidth=0.8)
        unit = "nats of log odds" if why.space == "logit" else "probability"
        axes.set_xlabel(f"share, {unit}")
        axes.grid(visible=False, axis="y")

    return draw(paint, width=7.2, height=1.0 + 0.26 * max(1, len(values)))


KINDS = {
    "own": "{name}",
    "difference": "{name}, left\N{EN DASH}right difference",
    "neighbours": "neighbours of {name}",
    "neighbour-difference": "{name} against its neighbours",
    "missing": "which views are there",
    "metadata": "{name} (metadata)",
}


def block_name(block: tuple[str, str, str], why: Why) -> str:
    """Name a block for readers; store and pooling only where several are told apart."""
    kind, source, name = block
    text = KINDS.get(kind, f"{kind} {{name}}").format(name=name)
    sources = sorted({b.source for b in why.blocks if b.source})
    if not source or len(sources) < 2:
        return text
    # The store's fingerprint only where stores are told apart, else what was pooled how.
    one_store = len({each.partition("/")[0] for each in sources}) == 1
    return f"{text} [{source.partition('/')[2] if one_store else source}]"
