"""Self-contained HTML pages: a small model that commands fill, and one writer."""

from radboost.report.page.drawing import Drawing, colour, draw
from radboost.report.page.model import (
    Cell,
    Facts,
    Figure,
    Gallery,
    Item,
    Note,
    Number,
    Page,
    Picture,
    Section,
    Table,
)
from radboost.report.page.text import isolate, plain, slug
from radboost.report.page.write import files_folder, refuse_page, render, write_page

__all__ = [
    "Cell",
    "Drawing",
    "Facts",
    "Figure",
    "Gallery",
    "Item",
    "Note",
    "Number",
    "Page",
    "Picture",
    "Section",
    "Table",
    "colour",
    "draw",
    "files_folder",
    "isolate",
    "plain",
    "refuse_page",
    "render",
    "slug",
    "write_page",
]
