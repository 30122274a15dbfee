from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bonescint.report import PageHeading, PageLayers, RefusedRow, ResultRow, write_results_page
from bonescint.scan import ParameterError

HEADING = PageHeading(
    title="Results",
    notice="Research use only.",
    created="today",
    model_summary="Model m@1",
    model=(("Model", "m@1"),),
    operating_point=0.5,
)


def _layers(number: int, **other: Any) -> PageLayers:
    names = {"grey": f"pictures/bs-{number}.grey.webp", "evidence": f"pictures/bs-{number}.e.webp"}
    return PageLayers(**{**names, "width": 500, "height": 800, "pixel_mm": 2.0, **other})


def _row(number: int = 1, *, source: str = "scan.dcm", has_layers: bool = True) -> ResultRow:
    return ResultRow(
        scan_id=f"bs-{number}",
        source=source,
        views=("anterior", "posterior"),
        mbd_probability=0.75,
        positive=True,
        warnings=("<i>odd</i>",),
        layers=_layers(number) if has_layers else None,
        picture=f"pictures/bs-{number}.png",
    )


class _Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input", "rect", "line"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_says_what_the_maps_are(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    write_results_page(page, replace(HEADING, evidence="probability of each cell"), [_row()])
    assert "metastatic bone disease (probability of each cell)" in page.read_text("utf-8")


def _parsed(path: Path) -> _Collector:
    collector = _Collector()
    collector.feed(path.read_text(encoding="utf-8"))
    assert not collector.open
    return collector


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "index.html"
    rows = [_row(1), _row(2, source='"><script>alert(1)</script>\u202e.dcm', has_layers=False)]
    write_results_page(path, HEADING, rows, [RefusedRow(source="<b>.png", reason="a dog & cat")])
    return path


def test_nothing_hostile_becomes_markup(page: Path) -> None:
    tags = _parsed(page).tags
    assert sum(tag == "script" for tag, _ in tags) == 1
    assert not any(tag in {"i", "b"} for tag, _ in tags)
    assert "\u202e" not in page.read_text(encoding="utf-8")


def test_no_request_leaves_the_page(page: Path) -> None:
    for tag, attributes in _parsed(page).tags:
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert not re.match(r"(https?:)?//", target), (tag, target)
            if name == "src" and name in attributes:
                assert re.fullmatch(r"pictures/[\w.-]+\.webp", target)
        assert "style" not in attributes, "the policy forbids style attributes"


def test_the_policy_names_the_inline_blocks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    policy = next(a["content"] for _, a in _parsed(page).tags if "http-equiv" in a) or ""
    assert policy.startswith("default-src 'none'; img-src 'self' file:; style-src 'sha256-")
    for tag in ("style", "script"):
        block = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert block is not None
        digest = base64.b64encode(hashlib.sha256(block[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_it_is_accessible(page: Path) -> None:
    tags = _parsed(page).tags
    assert ("html", {"lang": "en"}) in tags
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")
    headings = [int(tag[1]) for tag, _ in tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_links_inside_the_page_lead_somewhere(page: Path) -> None:
    tags = _parsed(page).tags
    targets = {attributes["id"] for _, attributes in tags if "id" in attributes}
    links = [a["href"] or "" for tag, a in tags if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= targets
    assert "pictures/bs-1.png" in links


def test_an_empty_batch_says_so(tmp_path: Path) -> None:
    write_results_page(tmp_path / "index.html", HEADING, [])
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "No scan was classified." in text
    assert "No file was rejected." in text


def test_rows_may_be_a_stream_that_starts_afresh(tmp_path: Path) -> None:
    class Stream:
        begun = 0

        def __iter__(self) -> Iterator[ResultRow]:
            self.begun += 1
            return (_row(number) for number in range(3))

    stream = Stream()
    write_results_page(tmp_path / "index.html", HEADING, stream)
    assert stream.begun > 1
    assert (tmp_path / "index.html").read_text(encoding="utf-8").count("<article") == 3


def test_the_operating_point_is_as_exact_as_the_probabilities(tmp_path: Path) -> None:
    write_results_page(tmp_path / "p.html", replace(HEADING, operating_point=0.5013), [_row()])
    assert "Call at 0.501<" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_a_generator_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="more than once"):
        write_results_page(tmp_path / "index.html", HEADING, (_row(n) for n in range(2)))


def test_a_page_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    class Broken:
        def __iter__(self) -> Iterator[ResultRow]:
            yield _row()
            raise ValueError("stop")

    path = tmp_path / "index.html"
    path.write_text("old")
    with pytest.raises(ValueError, match="stop"):
        write_results_page(path, HEADING, Broken())
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["index.html"]


def test_a_probability_beyond_one_is_refused() -> None:
    with pytest.raises(ParameterError, match="mbd_probability"):
        ResultRow(scan_id="a", source="b", views=(), mbd_probability=1.5, positive=True)


def test_the_notice_stands_once(page: Path) -> None:
    assert page.read_text(encoding="utf-8").count("Research use only.") == 1


def test_a_picture_that_is_named_like_markup_stays_an_address(tmp_path: Path) -> None:
    layers = _layers(1, grey='pictures/a"><b>#?.webp', evidence="pictures/%2e.webp")
    write_results_page(tmp_path / "p.html", HEADING, [replace(_row(), layers=layers)])
    sources = [a["src"] for tag, a in _parsed(tmp_path / "p.html").tags if tag == "img"]
    assert sources == ["pictures/a%22%3E%3Cb%3E%23%3F.webp", "pictures/%252e.webp"]


def test_each_view_says_which_side_of_the_patient_is_where(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "<strong>R</strong> Anterior <strong>L</strong>" in text
    assert "<strong>L</strong> Posterior <strong>R</strong>" in text


@pytest.mark.parametrize(
    ("width", "pixel_mm", "share"),
    [(500, 2.0, 0.1), (500, None, 0.0), (500, 0.2, 0.0), (250, 1.6, 0.25)],
)
def test_ten_centimetres_take_their_share_of_the_width(
    tmp_path: Path, width: int, pixel_mm: float | None, share: float
) -> None:
    layers = _layers(1, width=width, pixel_mm=pixel_mm)
    assert layers.scale_share == share
    write_results_page(tmp_path / "p.html", HEADING, [replace(_row(), layers=layers)])
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert (f'x2="{100 * share:.2f}%" y1="10"' in text) is (share > 0)
    assert ("10 cm" in text) is (share > 0)


def test_no_evidence_is_no_picture(tmp_path: Path) -> None:
    write_results_page(
        tmp_path / "p.html", HEADING, [replace(_row(), layers=_layers(1, evidence=""))]
    )
    tags = _parsed(tmp_path / "p.html").tags
    assert [a["class"] for tag, a in tags if tag == "img"] == ["grey"]


@pytest.mark.parametrize(
    ("positive", "uncertain", "unlike", "category", "tone", "said"),
    [
        (True, False, False, "positive", "positive", '<span class="call">Positive</span>: at or'),
        (False, False, False, "negative", "negative", "Negative</span>: below the"),
        (True, True, False, "uncertain", "positive", "Positive, uncertain</span>: at or above"),
        (False, True, False, "uncertain", "negative", "Negative, uncertain</span>: below"),
        (
            True,
            False,
            True,
            "positive",
            "neutral",
            "Positive, unlike the training scans</span>:",
        ),
        (False, True, True, "uncertain", "neutral", "Negative, uncertain, unlike the training"),
        (None, False, True, "no-call", "neutral", "No call: unlike the scans this model knows; ad"),
    ],
)
def test_an_answer_has_its_words_and_its_colour(
    tmp_path: Path,
    positive: bool | None,
    uncertain: bool,
    unlike: bool,
    category: str,
    tone: str,
    said: str,
) -> None:
    row = replace(_row(), positive=positive, uncertain=uncertain, unlike=unlike)
    assert (row.category, row.tone) == (category, tone)
    write_results_page(tmp_path / "p.html", HEADING, [row])
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert said in text
    assert f'<article class="scan {tone}"' in text
    called = int(unlike and positive is not None)
    assert f'data-call="{category}" data-unlike="{called}" data-warned="1"' in text
    assert ("the operating point" in text) is (positive is not None)


def test_truth_is_escaped_and_shown_beside_the_answer(tmp_path: Path) -> None:
    write_results_page(tmp_path / "p.html", HEADING, [replace(_row(), truth="<b>one</b>")])
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "<strong>Truth:</strong> &lt;b&gt;one&lt;/b&gt;" in text


def test_paths_are_short_in_the_list_and_whole_beside_the_scan(tmp_path: Path) -> None:
    row = _row(source=r"C:\data\centre\a.dcm + /data/centre/b.dcm")
    assert row.short_source == "centre/a.dcm + centre/b.dcm"
    write_results_page(tmp_path / "p.html", HEADING, [row])
    assert r"C:\data\centre\a.dcm + /data" in (tmp_path / "p.html").read_text(encoding="utf-8")
