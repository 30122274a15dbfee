"""A page of sections with text, tables and figures, as one HTML file and as a PDF."""

from __future__ import annotations

import base64
import logging
import re
from dataclasses import dataclass
from pathlib import Path

from bonescint.files import write_whole, written_beside
from bonescint.report.results_page import _asset, _csp_hash
from bonescint.report.text import page_environment
from bonescint.scan import MissingExtraError, ParameterError

_TEMPLATE = "document.html.jinja"


def slug(text: str) -> str:
    """A text as part of a link or of a file's name.

    Examples:
        >>> slug("Figures at 0.5, by model")
        'figures-at-0-5-by-model'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageTable:
    """A table of text.

    Attributes:
        caption: text above it.
        columns: headings.
        rows: cells; the first of each row names it.
        note: text below it, or empty.
        numeric: indices of right-aligned columns.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    numeric: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                requirement = f"{len(self.columns)} cells wide"
                raise ParameterError("rows", f"PageTable {self.caption}", requirement, len(row))


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFigure:
    """A picture that goes into the page.

    Attributes:
        caption: text below it.
        content: content of the file.
        media_type: `"image/svg+xml"`, `"image/png"` or `"image/webp"`.
        alternative: alternative text; the caption if not given.
        wide: whether it takes the whole width.
    """

    caption: str
    content: bytes
    alternative: str = ""
    media_type: str = "image/svg+xml"
    wide: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "alternative", self.alternative or self.caption)

    @property
    def uri(self) -> str:
        """The picture as a data URI."""
        return f"data:{self.media_type};base64," + base64.b64encode(self.content).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSection:
    """A part of the page, in the order paragraphs, figures, tables, links.

    Attributes:
        title: title of the section.
        paragraphs: paragraphs of text.
        warnings: highlighted paragraphs.
        figures: side by side where they fit.
        tables: below each other.
        links: other pages, each with its words and its address.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    figures: tuple[PageFigure, ...] = ()
    tables: tuple[PageTable, ...] = ()
    links: tuple[tuple[str, str], ...] = ()

    @property
    def anchor(self) -> str:
        """A name for links inside the page."""
        return slug(self.title) or "section"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The content of a page.

    Attributes:
        title: title of the page.
        notice: the sentence at the top (research use only, ...).
        created: time of creation, as text.
        facts: labels and values that describe the subject, such as the model.
        headlines: the main figures, each with a label and a line below it.
        sections: the sections.
    """

    title: str
    notice: str
    created: str
    facts: tuple[tuple[str, str], ...] = ()
    headlines: tuple[tuple[str, str, str], ...] = ()
    sections: tuple[PageSection, ...] = ()


def write_document(path: Path, document: Document) -> None:
    """Write a self-contained page, atomically.

    Its content security policy forbids every request; all text is escaped.

    Args:
        path: path of the page; its folder must exist.
        document: content of the page.

    Raises:
        OutputError: it cannot be written.

    Examples:
        >>> import tempfile
        >>> table = PageTable(caption="Counts", columns=("truth", "n"), rows=(("<ill>", "3"),))
        >>> page = Document(title="Evaluation", notice="Research use only.", created="today",
        ...                 sections=(PageSection(title="Flow", tables=(table,)),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_document(Path(folder) / "report.html", page)
        ...     "&lt;ill&gt;" in (Path(folder) / "report.html").read_text(encoding="utf-8")
        True
    """
    write_whole(path, document_text(document))


def document_text(document: Document) -> str:
    """The page that `write_document` writes."""
    from jinja2 import DictLoader
    from markupsafe import Markup

    style = _asset("results.css") + _asset("document.css")
    return (
        page_environment(DictLoader({_TEMPLATE: _asset(_TEMPLATE)}))
        .get_template(_TEMPLATE)
        .render(
            document=document,
            style=Markup(style),  # noqa: S704 - our own file
            style_hash=_csp_hash(style),
        )
    )


_PAPER = """
@page { size: A4; margin: 16mm 14mm; @bottom-center { content: counter(page) " / " counter(pages);
        font: 8pt sans-serif; color: #6b7178; } }
html { color-scheme: light; font-size: 10pt; }
body { font-size: 9pt !important; }
"""  # the layout is the page's own, for print


def write_pdf(page: Path, target: Path) -> None:
    """Render a self-contained page as a PDF.

    Args:
        page: HTML file of `write_document`.
        target: the PDF file.

    Raises:
        MissingExtraError: WeasyPrint, or the library Pango that it needs, is not installed.
        OutputError: it cannot be written.
    """
    try:
        import weasyprint
    except (ImportError, OSError) as error:
        raise MissingExtraError("weasyprint", "evaluate") from error
    loggers = [logging.getLogger(name) for name in ("weasyprint", "fontTools")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        # A page of ours holds its pictures and asks for nothing else.
        inside = weasyprint.urls.URLFetcher(allowed_protocols=("data",))
        text = page.read_text(encoding="utf-8")
        document = weasyprint.HTML(string=text, url_fetcher=inside)
        style = weasyprint.CSS(string=_PAPER)
        with written_beside(target) as beside:
            document.write_pdf(str(beside), stylesheets=[style])
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
