from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest

from bonescint.report import PageHeading, RefusedRow, ResultRow, write_results_page
from bonescint.scan import ParameterError

HEADING = PageHeading(
    title="Results",
    notice="Research use only.",
    created="today",
    model_summary="Model m@1",
    model=(("Model", "m@1"),),
    operating_point=0.5,
)


def _row(number: int = 1, *, source: str = "scan.dcm", thumbnail: bytes = b"webp") -> ResultRow:
    return ResultRow(
        scan_id=f"bs-{number}",
        source=source,
        views=("anterior", "posterior"),
        mbd_probability=0.75,
        positive=True,
        warnings=("<i>odd</i>",),
        thumbnail_webp=thumbnail,
        picture=f"pictures/bs-{number}.png",
    )


class _Collector(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "input", "rect"}:
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
    rows = [_row(1), _row(2, source='"><script>alert(1)</script>\u202e.dcm', thumbnail=b"")]
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
                assert target.startswith("data:image/webp;base64,")
        assert "style" not in attributes, "the policy forbids style attributes"


def test_the_policy_names_the_inline_blocks(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    policy = next(a["content"] for _, a in _parsed(page).tags if "http-equiv" in a) or ""
    assert policy.startswith("default-src 'none'")
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
    assert "Nothing was refused." in text


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
