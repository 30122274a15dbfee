from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
    write_document,
)
from bonescint.scan import OutputError, ParameterError


def _document(text: str) -> Document:
    table = PageTable(caption=text, columns=("a", text), rows=((text, text),), note=text,
                      numeric=(1,))  # fmt: skip
    figure = PageFigure(caption=text, content=b"<svg/>", alternative=text)
    section = PageSection(title=text, paragraphs=(text,), warnings=(text,), figures=(figure,),
                          tables=(table,))  # fmt: skip
    return Document(title=text, notice="Research use only.", created="today",
                    facts=((text, text),), headlines=((text, text, text),),
                    sections=(section,))  # fmt: skip


def test_all_text_is_escaped_and_nothing_is_fetched(tmp_path: Path) -> None:
    write_document(tmp_path / "report.html", _document("<script>alert(1)</script>\u202e"))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page
    assert page.count("Research use only.") == 2
    assert "data:image/svg+xml;base64,PHN2Zy8+" in page
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        write_document(tmp_path / "nowhere" / "report.html", _document("x"))
    with pytest.raises(ParameterError, match="cells wide"):
        PageTable(caption="x", columns=("a", "b"), rows=(("1",),))
