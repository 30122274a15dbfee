"""Figures of a study: in its page, and as files beside it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bonescint.files import make_folder
from bonescint.plotting import RenderedFigure
from bonescint.report.document_page import PageFigure


@dataclass(frozen=True, slots=True)
class FigureWriter:
    """Where figures are kept as PNG and SVG.

    Attributes:
        folder: made if it is not there.
    """

    folder: Path

    def figure(
        self, name: str, picture: RenderedFigure, caption: str, *, wide: bool = False
    ) -> PageFigure:
        """Write both files, and give what goes into the page.

        Args:
            name: of the files.
            picture: drawn.
            caption: below it; it also says what is shown to those who do not see it.
            wide: whether it takes the page's whole width.

        Raises:
            OutputError: they cannot be written.

        Examples:
            >>> import tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     kept = FigureWriter(Path(folder) / "figures")
            ...     shown = kept.figure("roc", RenderedFigure(png=b"a", svg=b"b"), "ROC curves.")
            ...     shown.content, sorted(file.name for file in kept.folder.iterdir())
            (b'b', ['roc.png', 'roc.svg'])
        """
        make_folder(self.folder)
        picture.write(self.folder, name)
        return PageFigure(caption=caption, content=picture.svg, alternative=caption, wide=wide)
