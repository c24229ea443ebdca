"""Pages: whatever a file's text says stays text, equal pages have equal bytes, and a browser finds nothing amiss."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from radboost.errors import ExistsError, RadboostError, UserError
from radboost.report import page as pages
from radboost.report.page import (
    Facts,
    Figure,
    Gallery,
    Note,
    Number,
    Page,
    Picture,
    Section,
    Table,
    colour,
    draw,
    isolate,
    plain,
    render,
    slug,
    write_page,
)

HOSTILE = "<script>alert(1)</script> =1+1 \u202egnp.exe $x$ \u05d0\u05d1 ]]> --> &amp; \x00"
FORMULAS = ("=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1")


def png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)).save(out, "png")
    return out.getvalue()


def hostile_page(rows: int = 120) -> Page:
    def paint(axes) -> None:
        axes.plot([0, 1, 2], [1, 3, 2], label=HOSTILE, color=colour(1))
        axes.set_title(HOSTILE)
        axes.set_xticks([0, 1], [HOSTILE, "b"])
        axes.legend()

    picture = draw(paint)
    few = [(FORMULAS[0], 1, Number(0.5, 0.4, 0.6), "a"), (HOSTILE, 10, Number(float("nan")), None), ("c", 2, 0.25, "b")]
    many = [(HOSTILE if i == 70 else f"{i}", Number(float((i * 37) % rows))) for i in range(rows)]
    items = (
        Facts((("AUC", Number(0.81, 0.75, 0.86)), (HOSTILE, HOSTILE))),
        Figure(f"figure {HOSTILE}", f"It rises, then falls: {isolate(HOSTILE)}", f"A line. {HOSTILE}", picture),
        Figure("wide", "It rises, then falls", "A line", picture, wide=True),
        Gallery("crops", "Two ramps", (Picture(png(), "a ramp", isolate(HOSTILE)), Picture(png(), HOSTILE))),
        Table("few", f"Three rows {isolate(HOSTILE)}", (HOSTILE, "n", "score", "word"), few, (isolate(HOSTILE),)),
        Note(isolate(HOSTILE), warning=True),
        Section(f"Inner {isolate(HOSTILE)}", (Table("many", "Many rows", ("row", "value"), many),)),
    )
    sections = (Section(f"One {isolate(HOSTILE)}", items), Section("Two", (Note("text"),), isolate(HOSTILE)))
    data = {"auc": Number(0.8, 0.7, float("nan")), "rows": np.arange(3), HOSTILE: [float("nan"), None, True]}
    return Page(f"A page {isolate(HOSTILE)}", HOSTILE, sections, ((HOSTILE, HOSTILE), ("n", 3)), data)


def test_a_browser_finds_nothing_amiss_and_hostile_text_stays_text(tmp_path, check_page, browser):
    out = tmp_path / "page.html"
    write_page(hostile_page(), out)
    check_page(out)
    page = browser.new_page()
    page.goto(out.as_uri())
    # The rows beyond those in view come from data, by way of a script: sort them into view.
    page.click("#many th:first-child button")
    page.fill("#many input", "script")
    page.locator(".pager span", has_text="1–1 of 1").wait_for()
    shown = page.inner_text("body")
    page.close()
    assert shown.count("<script>alert(1)</script>") >= 12
    assert "\u202e" not in shown
    assert "\\u202egnp.exe" in shown


def test_a_long_table_is_turned_sorted_and_searched_in_the_browser(tmp_path, browser):
    out = tmp_path / "page.html"
    write_page(Page("t", "l", (Section("s", (hostile_page(54_706).items[0].items[-1].items[0],)),)), out)
    page = browser.new_page()
    page.goto(out.as_uri())
    count = "document.querySelectorAll('#many tbody tr').length"
    assert page.evaluate(count) == 50
    assert page.inner_text(".pager span") == "1–50 of 54,706"
    page.click("text=Next")
    assert page.inner_text("#many tbody tr:first-child th") == "50"
    page.click("#many thead th:last-child button")
    page.click("#many thead th:last-child button")
    assert page.inner_text("#many tbody tr:first-child td") == "54,705.000"
    # By keyboard alone: the first stop leads past the navigation, and a heading sorts.
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.focus("#many thead th:last-child button")
    page.keyboard.press("Enter")
    assert page.get_attribute("#many thead th:last-child", "aria-sort") == "ascending"
    assert "ascending" in page.inner_text("#status")
    page.close()


def test_the_check_of_pages_can_fail(tmp_path, check_page):
    out = tmp_path / "page.html"
    text = render(Page("t", "l", (Note("n"),)))
    for wrong in ('<img alt="" src="https://example.org/a.png">', "<script>alert(1)</script>", "<img src='data:,'>"):
        out.write_text(text.replace("</main>", f"{wrong}</main>"), "utf-8")
        with pytest.raises(AssertionError):
            check_page(out)


def test_every_text_is_escaped_and_no_address_is_in_the_page():
    text = render(hostile_page())
    assert "<script>alert" not in text
    assert text.count("<script") == 2  # ours, and the data of the long table
    assert "http" not in text.replace("http-equiv", "").replace("&#34;", "")
    assert "\u202e" not in text
    assert "\x00" not in text


def test_files_beside_the_page_hold_the_same(tmp_path):
    folder = write_page(hostile_page(), tmp_path / "page.html")
    listed = json.loads((folder / "page.json").read_text())["files"]
    assert sorted(p.name for p in folder.iterdir()) == sorted([*listed, "page.json", "metrics.json"])
    assert len(listed) == 2 + 4 + 2
    assert json.loads((folder / "metrics.json").read_text())["auc"] == {"value": 0.8, "low": 0.7, "high": None}
    rows = list(csv.reader((folder / "few.csv").read_text("utf-8").splitlines()))
    assert rows[0][2:5] == ["score", "score low", "score high"]
    assert rows[1] == ["'=1+1", "1", "0.5", "0.4", "0.6", "a"]
    assert rows[2][2:] == ["", "", "", ""]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_file_starts_a_formula(tmp_path, text):
    folder = write_page(Page("t", "l", (Table("a", "c", (text,), [(text,)]),)), tmp_path / "p.html")
    for row in csv.reader((folder / "a.csv").read_text("utf-8").splitlines()):
        assert row[0].startswith("'")


def test_equal_pages_have_equal_bytes(tmp_path):
    for name in ("a", "b"):
        folder = write_page(hostile_page(), tmp_path / name / "p.html")
        (folder / "page.json").unlink()
    one, two = (sorted((tmp_path / name).rglob("*.*")) for name in ("a", "b"))
    assert [p.read_bytes() for p in one if p.is_file()] == [p.read_bytes() for p in two if p.is_file()]


def test_figures_take_the_colours_of_the_page_and_ids_of_their_own():
    drawing = draw(lambda axes: axes.plot([0, 1], color=colour("c3")))
    first, second = drawing.inline(1), drawing.inline(2)
    assert "var(--c3)" in first
    assert colour("c3") in drawing.svg
    assert "var(" not in drawing.svg
    ids = [set(part.split('"')[0] for part in text.split(' id="')[1:]) for text in (first, second)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_page_is_not_replaced_unasked_nor_is_anything_else(tmp_path):
    out, page = tmp_path / "page.html", Page("t", "l", (Note("n"),))
    write_page(page, out)
    with pytest.raises(ExistsError):
        write_page(page, out)
    write_page(page, out, overwrite=True)
    with pytest.raises(UserError, match="HTML"):
        write_page(page, tmp_path / "page.pdf")
    other = tmp_path / "other-files"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is no page"):
        write_page(page, tmp_path / "other.html", overwrite=True)
    assert (other / "mine.txt").is_file()


def test_figures_say_what_to_conclude_and_rows_fit_their_columns():
    drawing = draw(lambda axes: axes.plot([0, 1]))
    for caption, alt in (("", "a"), ("c", " ")):
        with pytest.raises(RadboostError, match="caption"):
            Figure("f", caption, alt, drawing)
    with pytest.raises(RadboostError, match="columns"):
        Table("t", "c", ("a", "b"), [(1,)])


def test_names_of_files_are_plain_and_differ():
    taken: set[str] = set()
    assert [slug(n, taken) for n in ("A/b", "a b", "../..", "\u05d0")] == ["a-b", "a-b-2", "item", "item-2"]
    assert plain("a\u2066b\r") == "a\\u2066b\\r"


def test_the_wheel_holds_the_templates():
    project = Path(__file__).resolve().parents[2]
    globs = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    folder = Path(pages.__file__).parent
    files = [p.relative_to(folder).as_posix() for p in (folder / "templates").rglob("*") if p.is_file()]
    assert len(files) == 3
    assert all(any(fnmatch.fnmatch(file, glob) for glob in globs["radboost.report.page"]) for file in files)
