"""A page of ours on paper: PDF made by WeasyPrint."""

from __future__ import annotations

import logging
from pathlib import Path

from bonescint.files import written_beside
from bonescint.scan import MissingExtraError

_PAPER = """
@page { size: A4; margin: 16mm 14mm; @bottom-center { content: counter(page) " / " counter(pages);
        font: 8pt sans-serif; color: #6b7178; } }
html { color-scheme: light; font-size: 10pt; }
body { font-size: 9pt !important; }
"""  # the layout is the page's own, for print


def write_pdf(page: Path, target: Path) -> None:
    """Lay out a self-contained page for paper.

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
