"""The page to look at a batch of results: one file, no request leaves it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bonescint.files import written_beside
from bonescint.report.templating import page_environment
from bonescint.report.text import operating_point_text
from bonescint.scan import ParameterError

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = "results.html.jinja"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHeading:
    """What stands above the results.

    Attributes:
        title: of the page.
        notice: the sentence that must be read first (research use only, ...).
        created: when, as text.
        model_summary: the model in a line; what its card says unfolds below.
        model: label and value of what the model's card says.
        operating_point: the threshold on the probability.
        interrupted: whether the batch was stopped before its end.
        calls: how many scans were called what, in words; uncertain ones apart.
        evidence: what the model's maps are, in words.
    """

    title: str
    notice: str
    created: str
    model_summary: str
    model: tuple[tuple[str, str], ...]
    operating_point: float
    interrupted: bool = False
    calls: str = ""
    evidence: str = "activation map"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One scan of the page.

    Attributes:
        scan_id: identifier of the scan.
        source: where it came from, as the user gave it.
        views: names of the views that are present.
        mbd_probability: 0 to 1.
        positive: the call at the operating point.
        warnings: what limits the answer.
        thumbnail_webp: a small picture, a WebP file's content; empty if there is none.
        picture: path of the full picture relative to the page, or empty.
        uncertain: whether the probability lies in the model's uncertain band.
    """

    scan_id: str
    source: str
    views: tuple[str, ...]
    mbd_probability: float
    positive: bool
    warnings: tuple[str, ...] = ()
    thumbnail_webp: bytes = b""
    picture: str = ""
    uncertain: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.mbd_probability <= 1:
            raise ParameterError("mbd_probability", "ResultRow", "0 to 1", self.mbd_probability)

    @property
    def anchor(self) -> str:
        """A name for links inside the page, made of harmless letters only."""
        return "s-" + hashlib.sha256(self.scan_id.encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def thumbnail_uri(self) -> str:
        """The small picture as a data URI."""
        return "data:image/webp;base64," + base64.b64encode(self.thumbnail_webp).decode("ascii")

    @property
    def picture_link(self) -> str:
        """The full picture's path, quoted for an address."""
        return quote(self.picture)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A file or group of files that gave no result.

    Attributes:
        source: as the user gave it.
        reason: what is wrong and what to do.
    """

    source: str
    reason: str


def write_results_page(
    path: Path,
    heading: PageHeading,
    rows: Iterable[ResultRow],
    refused: Iterable[RefusedRow] = (),
) -> None:
    """Write a self-contained page of results.

    The page is written as a stream, beside its place, and renamed into it: memory does not
    grow with the list. Its content security policy forbids every request.

    Args:
        path: of the page.
        heading: what stands above the results.
        rows: the scans, in order. They are gone through twice (table, then pictures), so give
            a list, or an object that starts afresh each time, not a generator.
        refused: what gave no result.

    Raises:
        ParameterError: rows that can be gone through only once.
        OutputError: the page cannot be written.

    Examples:
        >>> import tempfile
        >>> heading = PageHeading(title="Results", notice="Research use only.", created="today",
        ...                       model_summary="Model vgg16-sim",
        ...                       model=(("Recipe", "body-root@1"),), operating_point=0.5)
        >>> row = ResultRow(scan_id="bs-1", source="<b>.dcm", views=("anterior",),
        ...                 mbd_probability=0.25, positive=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page = Path(folder) / "index.html"
        ...     write_results_page(page, heading, [row])
        ...     "&lt;b&gt;.dcm" in page.read_text(encoding="utf-8")
        True
    """
    from markupsafe import Markup

    if iter(rows) is rows:
        raise ParameterError("rows", "write_results_page", "iterable more than once", type(rows))
    style, script = _asset("results.css"), _asset("results.js")
    template = _environment().get_template(_TEMPLATE)
    with written_beside(path) as beside, beside.open("w", encoding="utf-8") as page:
        for piece in template.generate(
            heading=heading,
            rows=rows,
            refused=refused,
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
        ):
            page.write(piece)


def _asset(name: str) -> str:
    return resources.files("bonescint.report").joinpath("templates", name).read_text("utf-8")


def _csp_hash(text: str) -> str:
    """How a content security policy names an inline block that may stay."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _environment() -> Environment:
    from jinja2 import DictLoader

    environment = page_environment(DictLoader({_TEMPLATE: _asset(_TEMPLATE)}))
    environment.filters["operating_point"] = operating_point_text
    return environment
