"""The page to look at a batch of results: one file beside its pictures, and no network."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from bonescint.files import written_beside
from bonescint.report.text import (
    call_in_words,
    operating_point_text,
    page_environment,
    probability_texts,
)
from bonescint.scan import Call, ParameterError

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATE = "results.html.jinja"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageHeading:
    """What stands above the results.

    Attributes:
        title: title of the page.
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
class PageLayers:
    """The two pictures of a scan that the page lays over each other.

    Attributes:
        grey: path of the views in inverted grey, relative to the page.
        evidence: path of the evidence over them, or empty if there is none.
        width: width of the grey picture, in pixels.
        height: height of the grey picture, in pixels.
        pixel_mm: how long one of its pixels is on the patient, or `None` if that is unknown.
    """

    grey: str
    evidence: str
    width: int
    height: int
    pixel_mm: float | None = None

    @property
    def scale_share(self) -> float:
        """The part of the width that 10 cm take; 0 if unknown or more than all of it."""
        share = 100 / (self.width * self.pixel_mm) if self.pixel_mm else 0.0
        return share if share < 1 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRow:
    """One scan of the page.

    Attributes:
        scan_id: identifier of the scan.
        source: where it came from, as the user gave it.
        views: names of the views that are present.
        mbd_probability: 0 to 1.
        positive: the call at the operating point; `None` if there is none.
        warnings: reasons to trust the answer less.
        layers: the pictures that the page shows, or `None` if there are none.
        picture: path of the full picture relative to the page, or empty.
        uncertain: whether the probability lies in the model's uncertain band.
        unlike: whether it is unlike the scans that the model was trained on.
        truth: what is known of the scan, in words, or empty.
        rank: where its score lies among local normal patients, in words, or empty.
    """

    scan_id: str
    source: str
    views: tuple[str, ...]
    mbd_probability: float
    positive: bool | None
    warnings: tuple[str, ...] = ()
    layers: PageLayers | None = None
    picture: str = ""
    uncertain: bool = False
    unlike: bool = False
    truth: str = ""
    rank: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.mbd_probability <= 1:
            raise ParameterError("mbd_probability", "ResultRow", "0 to 1", self.mbd_probability)

    @property
    def anchor(self) -> str:
        """A name for links inside the page, made of harmless letters only."""
        return "s-" + hashlib.sha256(self.scan_id.encode("utf-8", "replace")).hexdigest()[:16]

    @property
    def category(self) -> str:
        """Under which call it is counted: uncertain ones and those without a call apart."""
        if self.positive is None:
            return "no-call"
        if self.uncertain:
            return "uncertain"
        return "positive" if self.positive else "negative"

    @property
    def short_call(self) -> str:
        """The call alone."""
        return Call.of(self.positive).value

    @property
    def tone(self) -> str:
        """The colour of its answer: that of its call, or neutral if it may mean nothing."""
        if self.unlike:
            return "neutral"
        return "positive" if self.positive else "negative"

    @property
    def in_words(self) -> str:
        """Such as `"positive, uncertain"`."""
        return call_in_words(positive=self.positive, uncertain=self.uncertain, unlike=self.unlike)

    @property
    def short_source(self) -> str:
        """The last two parts of its paths, for a list.

        Examples:
            >>> row = ResultRow(scan_id="a", source="/a/b/c.dcm + /a/b/d.dcm", views=(),
            ...                 mbd_probability=0.5, positive=True)
            >>> row.short_source
            'b/c.dcm + b/d.dcm'
        """
        paths = (re.split(r"[/\\]", path)[-2:] for path in self.source.split(" + "))
        return " + ".join("/".join(part for part in parts if part) for parts in paths)

    def texts(self, operating_point: float) -> tuple[str, str]:
        """The probability and the operating point, told apart."""
        return probability_texts(self.mbd_probability, operating_point)

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
    refused: Sequence[RefusedRow] = (),
) -> None:
    """Write a page of results: a list beside one scan, with a slider for its map.

    The page needs nothing but the pictures that its rows name. It is written as a stream and
    atomically, so memory does not grow with the list. Its content security policy forbids all
    requests except for pictures in its own folder.

    Args:
        path: path of the page.
        heading: the heading above the results.
        rows: the scans, in order. They are iterated twice (table, then pictures), so give a list
            or another reusable iterable, not a generator.
        refused: the inputs that gave no result.

    Raises:
        ParameterError: rows that can be iterated only once.
        OutputError: the page cannot be written.

    Examples:
        >>> import tempfile
        >>> heading = PageHeading(title="Results", notice="Research use only.", created="today",
        ...                       model_summary="Model vgg16-sim",
        ...                       model=(("Preprocessing", "body-root@1"),), operating_point=0.5)
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
            any_refused=bool(refused),
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
    environment.filters["address"] = quote
    return environment
