"""Figures by matplotlib, as SVG that a page can recolour: drawn in the light palette, shown in the reader's."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from radboost.report.page.text import plain

__all__ = ["PALETTE", "Drawing", "colour", "draw"]

PALETTE = {
    "paper": ("#ffffff", "#14181d"),
    "ink": ("#1b1f24", "#e6e9ed"),
    "soft": ("#59636e", "#a7b1bb"),
    "line": ("#d4dae0", "#39424c"),
    "c1": ("#1f6fb4", "#6db3f2"),
    "c2": ("#b9540b", "#f0a35e"),
    "c3": ("#1a7a48", "#62cb93"),
    "c4": ("#7a46b0", "#c3a0ee"),
    "c5": ("#b3261e", "#f28b82"),
    "c6": ("#0e7480", "#5cc8d1"),
    "c7": ("#8a6100", "#d9b648"),
    "c8": ("#a8327b", "#ee94c8"),
}
"""Each colour in light and in dark; text in any of them on paper has a contrast of at least 4.5 (WCAG 2.2, 1.4.3)."""

SERIES = ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8")


def colour(name: str | int) -> str:
    """Give a colour of the palette to draw with: by name, or the series of that number, round and round.

    >>> colour("ink"), colour(0) == colour("c1") == colour(8)
    ('#1b1f24', True)
    """
    return PALETTE[SERIES[name % len(SERIES)] if isinstance(name, int) else name][0]


STYLE: dict[Any, Any] = {
    "svg.hashsalt": "radboost",
    # Text stays text: it can be searched, takes the page's font, and costs a tenth of its outlines.
    "svg.fonttype": "none",
    # A name is text as it stands: a dollar sign in it starts no formula.
    "text.parse_math": False,
    "text.usetex": False,
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.labelsize": 9.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "figure.facecolor": colour("paper"),
    "axes.facecolor": colour("paper"),
    "savefig.facecolor": colour("paper"),
    "text.color": colour("ink"),
    "axes.labelcolor": colour("ink"),
    "axes.titlecolor": colour("ink"),
    "axes.edgecolor": colour("soft"),
    "xtick.color": colour("soft"),
    "ytick.color": colour("soft"),
    "xtick.labelcolor": colour("ink"),
    "ytick.labelcolor": colour("ink"),
    "grid.color": colour("line"),
    "grid.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.prop_cycle": cycler(color=[colour(k) for k in range(len(SERIES))]),
    "lines.linewidth": 1.6,
    "figure.constrained_layout.use": True,
}
DPI = 200
_VARIABLES = {light: f"var(--{name})" for name, (light, _) in PALETTE.items()}
_HEX = re.compile(r"(?<=[:\s])#[0-9a-f]{6}\b")
_LOCAL = re.compile(r"url\(#([^)]+)\)")


@dataclass(frozen=True)
class Drawing:
    """A finished drawing.

    Attributes
    ----------
    svg
        A file of its own, in the light palette.
    png
        The same as pixels, 200 an inch.
    """

    svg: str
    png: bytes

    def inline(self, number: int) -> str:
        """Give the SVG as it stands in a page: colours as the page's variables, ids of its own.

        Parameters
        ----------
        number
            Of the figure in its page.
        """
        root = ElementTree.fromstring(self.svg)
        for parent in root.iter():
            for child in list(parent):
                if child.tag.endswith(("}metadata", "}style")):
                    parent.remove(child)
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
            element.attrib = {key.rpartition("}")[2]: _own(value, key, number) for key, value in element.items()}
        keep = {"viewBox": root.get("viewBox", ""), "focusable": "false"}
        root.attrib = keep
        return ElementTree.tostring(root, encoding="unicode")


def _own(value: str, key: str, number: int) -> str:
    if key == "id":
        return f"f{number}-{value}"
    if key.endswith("href") and value.startswith("#"):
        return f"#f{number}-{value[1:]}"
    if key.endswith("style"):
        value = _HEX.sub(lambda found: _VARIABLES.get(found[0], found[0]), value)
    return _LOCAL.sub(rf"url(#f{number}-\1)", value)


def draw(paint: Callable[[Axes], None], *, width: float = 4.6, height: float = 3.4) -> Drawing:
    """Draw one figure; equal calls give equal bytes.

    Parameters
    ----------
    paint
        Draws on the axes that it is given (`axes.figure` has the rest), with `colour` for all colours. Names that came
        from files are safe in any text.
    width, height
        Inches. A figure of 4.6 is read without turning a phone.
    """
    with mpl.rc_context(STYLE):
        # Without pyplot there is no global state, and no window system is asked for.
        canvas = Canvas(figsize=(width, height))
        paint(canvas.add_subplot())
        svg, png = io.StringIO(), io.BytesIO()
        with warnings.catch_warnings():
            # A name in a script that matplotlib's font lacks is a matter for the reader's fonts.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
            # No date and no library version in the files.
            canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
            # Laid out once: the picture has the drawing's places.
            canvas.set_layout_engine("none")
            canvas.savefig(png, format="png", dpi=DPI, metadata={"Software": None})
    # Controls in a name would turn the text round them, or make the file no XML at all.
    return Drawing(plain(svg.getvalue(), keep="\n\t"), png.getvalue())
