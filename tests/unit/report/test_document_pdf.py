"""A page on paper, as WeasyPrint lays it out."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
    write_document,
    write_pdf,
)

try:
    import weasyprint
except (ImportError, OSError):
    pytest.skip("needs WeasyPrint and the library Pango", allow_module_level=True)

_SQUARE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"><rect width="900" '
    b'height="300"/></svg>'
)


def _page(folder: Path, *, wide: int = 0, count: int = 5, rows: int = 120) -> Path:
    figures = tuple(
        PageFigure(caption=f"Figure {n}", content=_SQUARE, alternative="", wide=n == wide)
        for n in range(count)
    )
    table = PageTable(caption="Long", columns=("n", "n again"),
                      rows=tuple((str(n), str(n)) for n in range(rows)))  # fmt: skip
    section = PageSection(title="Section", figures=figures, tables=(table,))
    document = Document(title="On paper", notice="Research use only.", created="today",
                        sections=(section,))  # fmt: skip
    write_document(folder / "report.html", document)
    return folder / "report.html"


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("wide", [0, 1, 2, 9])
def test_figures_stay_on_the_page(tmp_path: Path, wide: int, count: int) -> None:
    page = _page(tmp_path, wide=wide, count=count, rows=1)
    laid_out = weasyprint.HTML(string=page.read_text(encoding="utf-8")).render()
    most = laid_out.pages[0].width - 12 * 96 / 25.4
    figures = [
        box
        for sheet in laid_out.pages
        for box in sheet._page_box.descendants()
        if box.element_tag == "figure"
    ]
    assert len(figures) == count
    assert all(box.position_x + box.margin_width() <= most + 1 for box in figures)


def test_figures_have_room_and_a_long_table_begins_below_its_caption(tmp_path: Path) -> None:
    page = _page(tmp_path)
    laid_out = weasyprint.HTML(string=page.read_text(encoding="utf-8")).render()
    places = [
        (number, box)
        for number, sheet in enumerate(laid_out.pages)
        for box in sheet._page_box.descendants()
    ]
    usable = laid_out.pages[0].width - 2 * 12 * 96 / 25.4  # margins of 12 mm on both sides
    widths = [box.width for _, box in places if box.element_tag == "img"]
    assert len(widths) == 5
    assert widths[0] > 0.8 * usable
    assert all(0.35 * usable < width < 0.5 * usable for width in widths[1:])
    caption = next(number for number, box in places if box.element_tag == "caption")
    first_row = next(number for number, box in places if box.element_tag == "td")
    assert caption == first_row
    assert len(laid_out.pages) > first_row + 1  # a table may go on over the page


def test_words_of_a_table_are_whole_and_no_paragraph_is_cut(tmp_path: Path) -> None:
    words = "Negative predictive value", "percentile bootstrap of scans, 300 resamples"
    table = PageTable(caption="Figures", columns=("", "Counted", "Value (interval)", "Interval by"),
                      rows=((words[0], "3/3", "1.000 (0.439 to 1.000)", words[1]),) * 30,
                      numeric=(1, 2))  # fmt: skip
    text = "A paragraph that is as long as four lines of a page. " * 8
    sections = tuple(
        PageSection(title=f"Section {n}", paragraphs=(text,) * 7, tables=(table,)) for n in range(2)
    )
    document = Document(title="On paper", notice="Research use only.", created="today",
                        sections=sections)  # fmt: skip
    write_document(tmp_path / "report.html", document)
    laid_out = weasyprint.HTML(string=(tmp_path / "report.html").read_text()).render()
    lines: list[str] = []
    paragraphs = 0
    for sheet in laid_out.pages:
        for box in sheet._page_box.descendants():
            block = type(box).__name__ == "BlockBox" and box.element_tag == "p"
            paragraphs += block and "prose" in box.element.get("class", "")
            if box.element_tag == "th" and hasattr(box, "text"):
                lines.append(box.text)
    assert paragraphs == 14  # a cut one would be counted on two pages
    assert lines.count(words[0]) == 60  # none is broken into lines


def test_a_page_becomes_a_pdf(tmp_path: Path) -> None:
    page = _page(tmp_path)
    write_pdf(page, tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.pdf"]
