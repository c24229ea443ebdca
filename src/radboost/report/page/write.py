"""Pages as files: one HTML file that asks for nothing else, and a folder of the same numbers and figures beside it."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from radboost import __version__
from radboost.data.folder import new_folder, refuse_existing, write_header, write_json, write_text
from radboost.errors import ExistsError, RadboostError, UserError
from radboost.report.page.drawing import PALETTE
from radboost.report.page.model import Cell, Figure, Gallery, Item, Number, Page, Picture, Section, Table
from radboost.report.page.text import composed, csv_text, plain, slug

__all__ = ["SHOWN", "files_folder", "refuse_page", "render", "write_page"]

FORMAT = 1
SHOWN = 50
"""Rows of a table in view; of a longer one the rest lies in the page as data, and is shown page by page."""


def files_folder(out: Path) -> Path:
    """Name the folder beside a page that holds its numbers and figures as files."""
    return out.with_name(f"{out.stem}-files")


def refuse_page(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a place where a page cannot go, before any work is done.

    Raises
    ------
    ExistsError
        It is there and `overwrite` is off.
    UserError
        It does not end in .html, or is a folder.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError("a page is an HTML file", where=out, got=out.suffix or "no ending", do="Write --out PAGE.html")
    if out.is_dir():
        raise UserError("is a folder", where=out, do="Choose another --out")
    if out.exists() and not overwrite:
        raise ExistsError("already exists", where=out, do="Choose another --out, or give --overwrite to replace it")
    refuse_existing(files_folder(out), "page", overwrite)


def write_page(page: Page, out: Path, *, overwrite: bool = False) -> Path:
    """Write a page, and beside it ``NAME-files`` with metrics.json, tables as CSV, figures as SVG and PNG.

    The page needs none of these files. Equal pages give equal bytes.

    Parameters
    ----------
    page
        What it holds.
    out
        The HTML file.
    overwrite
        Whether an existing page is replaced.

    Returns
    -------
    Path
        The folder beside it.

    Raises
    ------
    UserError
        As `refuse_page`, or it cannot be written.
    """
    refuse_page(out, overwrite=overwrite)
    text = render(page)
    folder = files_folder(out)
    with new_folder(folder, "page", overwrite=overwrite) as temporary:
        names = list(_write_files(page, temporary))
        if page.data:
            write_json(temporary / "metrics.json", _jsonable(page.data))
        write_header(temporary, "page", FORMAT, {"title": composed(page.title), "files": sorted(names)})
    try:
        write_text(out, text)
    except OSError as error:
        raise UserError("cannot be written", where=out, got=error.strerror, do="Choose another --out") from error
    return folder


def render(page: Page) -> str:
    """Give a page as HTML: every text escaped, one script and one style sheet of ours, no address in it."""
    script, style = _source("page.js"), _palette() + _source("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        _templates()
        .get_template("page.html")
        .render(page=page, script=Markup(script), style=Markup(style), digest=digest, version=__version__, view=_View())
    )


@cache
def _loader() -> PackageLoader:
    return PackageLoader("radboost.report.page")


@cache
def _templates() -> Environment:
    made = Environment(
        loader=_loader(),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["plain"] = plain
    made.filters["say"] = composed
    return made


def _source(name: str) -> str:
    return _loader().get_source(_templates(), name)[0]


def _palette() -> str:
    light, dark = ("".join(f"--{name}:{pair[k]};" for name, pair in PALETTE.items()) for k in (0, 1))
    return (
        f":root{{color-scheme:light;{light}}}\n"
        f"@media screen{{:root[data-theme=dark]{{color-scheme:dark;{dark}}}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
    )


@dataclass
class _View:
    """What the template asks for: kinds of items, and names that are used once."""

    taken: set[str] = field(default_factory=lambda: {"main", "contents", "theme", "made-from", "status"})
    figures: int = 0
    anchors: dict[int, str] = field(default_factory=dict)

    def kind(self, item: Item) -> str:
        return type(item).__name__

    def runs(self, items: Iterable[Item]) -> list[list[Item]]:
        """Put figures that follow each other, and are not wide, into one row."""
        runs: list[list[Item]] = []
        for item in items:
            beside = isinstance(item, Figure) and not item.wide
            last = runs[-1][-1] if runs else None
            if beside and isinstance(last, Figure) and not last.wide:
                runs[-1].append(item)
            else:
                runs.append([item])
        return runs

    def anchor(self, item: Section) -> str:
        """Give a section its id, the same whenever it is asked for."""
        if id(item) not in self.anchors:
            self.anchors[id(item)] = slug(item.title, self.taken)
        return self.anchors[id(item)]

    def svg(self, figure: Figure) -> Markup:
        self.figures += 1
        # Written by matplotlib and then by an XML writer: every text in it is escaped.
        return Markup(figure.drawing.inline(self.figures))

    def data_uri(self, picture: Picture) -> str:
        return "data:image/png;base64," + base64.b64encode(picture.png).decode()

    def unique(self, name: str) -> str:
        return slug(name, self.taken)

    def numeric(self, table: Table) -> list[bool]:
        """Tell which columns hold numbers."""
        return [
            any(not isinstance(row[k], str | None) for row in table.rows)
            and not any(isinstance(row[k], str) for row in table.rows)
            for k in range(len(table.columns))
        ]

    def shown(self, table: Table) -> list[tuple[Cell, ...]]:
        return list(table.rows[:SHOWN])

    def paged(self, table: Table) -> list[list[object]] | None:
        """Give all rows as data where there are more than are in view: text alone, or text and what it is sorted by."""
        if len(table.rows) <= SHOWN:
            return None
        return [
            [_text(cell) if isinstance(cell, str | None) else [_text(cell), _key(cell)] for cell in row]
            for row in table.rows
        ]

    def text(self, cell: Cell) -> str:
        return _text(cell)

    def parts(self, cell: Cell) -> tuple[str, str]:
        """Part a number from its interval, which may stand on a line of its own."""
        if not isinstance(cell, Number):
            return _text(cell), ""
        shown, opening, interval = cell.text.partition(" [")
        return shown, opening.strip() + interval

    def key(self, cell: Cell) -> float | None:
        return _key(cell)


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool | str):
        return plain(cell)
    if isinstance(cell, int):
        return f"{cell:,}"
    return (Number(cell) if isinstance(cell, float) else cell).text


def _key(cell: Cell) -> float | None:
    if isinstance(cell, str | None):
        return None
    value = float(cell.value if isinstance(cell, Number) else cell)
    return None if math.isnan(value) else value


# --- files beside the page --------------------------------------------------------------------------------------------


def _items(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        if isinstance(item, Section):
            yield from _items(item.items)


def _write_files(page: Page, folder: Path) -> Iterator[str]:
    taken: set[str] = {"page", "metrics"}
    for item in _items(page.items):
        match item:
            case Table():
                name = f"{slug(item.name, taken)}.csv"
                write_text(folder / name, _csv(item))
                yield name
            case Figure():
                name = slug(item.name, taken)
                write_text(folder / f"{name}.svg", item.drawing.svg)
                (folder / f"{name}.png").write_bytes(item.drawing.png)
                yield from (f"{name}.svg", f"{name}.png")
            case Gallery():
                for number, picture in enumerate(item.pictures, start=1):
                    name = f"{slug(f'{item.name}-{number}', taken)}.png"
                    (folder / name).write_bytes(picture.png)
                    yield name
            case _:
                pass


def _csv(table: Table) -> str:
    """Give a table as CSV in full precision, an interval in two columns of its own."""
    wide = [any(_has_interval(row[k]) for row in table.rows) for k in range(len(table.columns))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    heading: list[str] = []
    for name, broad in zip(table.columns, wide, strict=True):
        shown = csv_text(name)
        heading += [shown, f"{shown} low", f"{shown} high"] if broad else [shown]
    writer.writerow(heading)
    for row in table.rows:
        writer.writerow([part for cell, broad in zip(row, wide, strict=True) for part in _csv_cells(cell, broad)])
    return text.getvalue()


def _has_interval(cell: Cell) -> bool:
    return isinstance(cell, Number) and cell.has_interval


def _csv_cells(cell: Cell, broad: bool) -> list[object]:
    if isinstance(cell, Number):
        values = [cell.value, cell.low, cell.high] if broad else [cell.value]
        return ["" if math.isnan(value) else repr(float(value)) for value in values]
    own = csv_text(cell) if isinstance(cell, str) else "" if cell is None else repr(cell)
    return [own, "", ""] if broad else [own]


def _jsonable(value: object) -> object:
    """Turn nested values into what JSON knows; what is not defined becomes null."""
    match value:
        case Number():
            return {"value": _jsonable(value.value), "low": _jsonable(value.low), "high": _jsonable(value.high)}
        case dict():
            return {str(key): _jsonable(one) for key, one in value.items()}
        case list() | tuple():
            return [_jsonable(one) for one in value]
        case bool() | int() | str() | None:
            return value
        case float():
            return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):
        return _jsonable(value.tolist())
    raise RadboostError("does not go into metrics.json", got=type(value).__name__)
