"""The page of results in a real Chromium, opened as a file: what a physician sees and does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bonescint.classify.results import CallCounts, ClassifiedScan
from bonescint.report import PageHeading, PageLayers, RefusedRow, ResultRow, write_results_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
NOTICE = "Research use only. Not a medical device. Model trained on simulated scans only."
WIDTH, HEIGHT = 480, 800


def row(number: int, **other: Any) -> ResultRow:
    probability = (number * 37 % 100) / 100
    settings: dict[str, Any] = {
        "scan_id": f"bs-{number:016x}",
        "source": f"centre-{number % 3}/study-{number:05d}/IM0001.dcm",
        "views": ("anterior", "posterior"),
        "mbd_probability": probability,
        "positive": None if number % 14 == 7 else probability >= 0.4,
        "uncertain": number % 14 != 7 and 0.35 <= probability < 0.45,
        "unlike": number % 7 == 0,
        "warnings": ("unlike the training scans: score 8.1",) if number % 7 == 0 else (),
        "layers": PageLayers(
            grey=f"pictures/{number}.grey.webp",
            evidence=f"pictures/{number}.evidence.webp",
            width=WIDTH,
            height=HEIGHT,
            pixel_mm=2.5,
        ),
    }
    return ResultRow(**{**settings, **other})


def counted(rows: list[ResultRow]) -> CallCounts:
    """Counted as `classify` counts."""
    return CallCounts.of(
        [
            ClassifiedScan(
                scan_id=one.scan_id, source=one.source, views=one.views,
                mbd_probability=one.mbd_probability, positive=one.positive,
                warnings=one.warnings, picture="", uncertain=one.uncertain, unlike=one.unlike,
            )
            for one in rows
        ],
        has_band=True,
    )  # fmt: skip


def written(folder: Path, rows: list[ResultRow]) -> str:
    """A page with its pictures: black evidence-free counts, red opaque evidence."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for number in range(len(rows)):
        Image.new("RGB", (WIDTH, HEIGHT), (number % 200, 0, 0)).save(
            pictures / f"{number}.grey.webp"
        )
        Image.new("RGBA", (WIDTH // 2, HEIGHT // 2), (0, 200, 0, 255)).save(
            pictures / f"{number}.evidence.webp"
        )
    heading = PageHeading(
        title="Bone scans: results", notice=NOTICE, created="today", model_summary="Model m@1",
        model=(("Preprocessing", "r@1"),), operating_point=0.4, calls=counted(rows).in_words(),
    )  # fmt: skip
    refused = [RefusedRow(source="dog.png", reason="is a dog.")]
    write_results_page(folder / "index.html", heading, rows, refused)
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def rows() -> list[ResultRow]:
    return [row(number) for number in range(20)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, rows: list[ResultRow]) -> str:
    return written(tmp_path_factory.mktemp("results"), rows)


def opened(chromium: Any, address: str, *, width: int = 1400, height: int = 900) -> Any:
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(60_000)
    page.wrong = []
    page.on("pageerror", lambda error: page.wrong.append(f"error: {error}"))
    page.on("console", lambda said: page.wrong.append(said.text))
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.wait_for_selector(".scan.shown")
    return page


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    found = opened(chromium, address)
    yield found
    assert found.wrong == []
    found.close()


def shown(page: Any) -> str:
    name: str = page.inner_text(".scan.shown h3")
    return name


def wait_until(page: Any, condition: str) -> None:
    """`page.wait_for_function` evaluates its condition in a way that the page's policy forbids."""
    for _ in range(300):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"not within 30 s: {condition}")


def names(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#scans tbody tr:not([hidden]) a", "links => links.map(link => link.textContent)"
    )
    return found


def test_pictures_beside_the_page_are_shown_and_nothing_else_is_asked_for(
    page: Any, address: str
) -> None:
    wait_until(
        page,
        "Array.from(document.querySelectorAll('.scan.shown img'))"
        ".every(image => image.complete && image.naturalWidth > 0)",
    )
    folder = address.rsplit("/", 1)[0]
    assert page.asked
    assert all(url.startswith(f"{folder}/") for url in page.asked)
    # The scan that is shown and its neighbour, not all twenty.
    assert 2 <= sum("/pictures/" in url for url in page.asked) <= 4


@pytest.mark.parametrize(("width", "least"), [(1400, 350), (1920, 350), (900, 350), (400, 170)])
def test_each_view_is_large_and_nothing_sticks_out(
    chromium: Any, address: str, width: int, least: int
) -> None:
    page = opened(chromium, address, width=width)
    box = page.locator(".scan.shown img.grey").bounding_box()
    assert box["width"] / 2 >= least
    assert box["height"] / box["width"] == pytest.approx(HEIGHT / WIDTH, abs=0.02)
    over = page.locator(".scan.shown img.evidence").bounding_box()
    assert over == pytest.approx(box, abs=0.5)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    scale = "document.querySelector('.scan.shown .scale line')"
    long = page.evaluate(f"{scale}.x2.baseVal.value - {scale}.x1.baseVal.value")
    assert long / box["width"] == pytest.approx(100 / (WIDTH * 2.5), abs=0.002)
    page.close()


def test_the_slider_fades_the_map(page: Any) -> None:
    opacity = "getComputedStyle(document.querySelector('.scan.shown .evidence')).opacity"
    assert page.evaluate(opacity) == "1"
    place = page.locator(".scan.shown .layers").bounding_box()

    def colour() -> list[int]:
        clip = {"x": place["x"] + 100, "y": place["y"] + 100, "width": 4, "height": 4}
        path = Path(page.screenshot_folder) / "clip.png"
        page.screenshot(path=path, clip=clip)
        with Image.open(path) as picture:
            return [int(level) for level in np.asarray(picture.convert("RGB"))[2, 2]]

    page.screenshot_folder = Path(page.url.removeprefix("file://")).parent
    wait_until(page, "document.querySelector('.scan.shown .evidence').complete")
    assert colour()[1] > 180
    page.focus("#opacity")
    page.keyboard.press("Home")
    assert page.inner_text("#opacity-said") == "0 %"
    assert page.evaluate(opacity) == "0"
    assert colour()[1] < 20
    page.keyboard.press("ArrowRight")  # moves the slider, not the list
    assert page.inner_text("#opacity-said") == "5 %"
    assert shown(page) == "bs-0000000000000000"


def test_arrow_keys_go_through_the_list_as_it_is_sorted_and_filtered(
    page: Any, rows: list[ResultRow]
) -> None:
    assert shown(page) == rows[0].scan_id
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert shown(page) == rows[2].scan_id
    page.keyboard.press("ArrowUp")
    assert shown(page) == rows[1].scan_id
    page.click("#next")
    assert shown(page) == rows[2].scan_id
    assert page.url.endswith(rows[2].anchor)
    page.get_by_role("button", name="Probability").click()
    assert page.get_attribute("th:has-text('Probability')", "aria-sort") == "ascending"
    assert page.eval_on_selector_all("[aria-sort]", "found => found.length") == 1
    order = sorted(rows, key=lambda one: one.mbd_probability)
    assert names(page) == [one.scan_id for one in order]
    page.get_by_role("button", name="Probability").click()
    order = order[::-1]
    assert names(page) == [one.scan_id for one in order]
    page.locator("#scans tbody a").first.click()
    page.keyboard.press("ArrowDown")
    assert shown(page) == order[1].scan_id
    assert page.evaluate("document.activeElement.textContent") == order[1].scan_id
    assert page.inner_text("#position") == "Scan 2 of 20"
    page.check("[value=negative]", force=True)
    wanted = [one.scan_id for one in order if one.category == "negative"]
    assert names(page) == wanted
    assert shown(page) in wanted
    page.locator("#scans tbody tr:not([hidden]) a").last.click()
    assert page.is_disabled("#next")
    page.keyboard.press("ArrowDown")
    assert shown(page) == wanted[-1]


def test_counts_behind_filters_are_those_of_the_page(page: Any, rows: list[ResultRow]) -> None:
    calls = counted(rows)
    assert page.inner_text(".calls") == calls.in_words()
    wanted = {
        "all": len(rows), "positive": calls.positive, "negative": calls.negative,
        "uncertain": calls.uncertain, "no-call": calls.no_call, "unlike": calls.unlike,
        "warned": calls.no_call + calls.unlike,
    }  # fmt: skip
    assert calls.uncertain
    assert calls.no_call
    for value, count in wanted.items():
        choice = page.locator(f"label:has([value={value}])")
        assert choice.inner_text().endswith(f" {count}")
        page.check(f"[value={value}]", force=True)
        assert len(names(page)) == count
        assert page.inner_text("#shown") == f"{count} of {len(rows)} scans"
    page.check("[value=all]", force=True)
    page.fill("#filter", "score 8.1")  # a warning, which stands beside the scan alone
    assert len(names(page)) == calls.no_call + calls.unlike
    page.fill("#filter", "no such scan")
    assert names(page) == []
    assert page.inner_text("#position") == "Not among those shown"


def test_a_link_opens_its_scan(chromium: Any, address: str, rows: list[ResultRow]) -> None:
    page = opened(chromium, f"{address}#{rows[7].anchor}")
    assert shown(page) == rows[7].scan_id
    assert page.get_attribute("#scans tr.chosen a", "aria-current") == "true"
    page.close()


def test_the_notice_is_visible_once_wherever_one_scrolls(page: Any) -> None:
    assert page.get_by_text(NOTICE).count() == 1
    page.mouse.wheel(0, 900)
    wait_until(page, "scrollY > 0")
    assert page.locator(".notice").bounding_box()["y"] == 0


def test_a_scan_unlike_the_training_scans_is_not_red(page: Any, rows: list[ResultRow]) -> None:
    colour = "getComputedStyle(document.querySelector('.scan.shown .answer .number')).color"
    assert rows[14].unlike
    assert not rows[12].unlike
    neutral = page.evaluate("getComputedStyle(document.body).color")
    for number, same in ((14, True), (12, False)):
        page.click(f"#scans a[href='#{rows[number].anchor}']")
        assert (page.evaluate(colour) == neutral) is same


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 400])
def test_axe_finds_nothing(
    hands: SimpleNamespace, chromium: Any, address: str, width: int, scheme: str
) -> None:
    axe = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed (tools/install-test-packages)")
    # axe is put into the page by the test: the policy would refuse it otherwise.
    context = chromium.new_context(
        bypass_csp=True, viewport={"width": width, "height": 900}, color_scheme=scheme
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(address)
    page.wait_for_selector(".scan.shown")
    assert hands.axe_violations(page, axe.read_text(encoding="utf-8")) == []
    context.close()


def test_without_scripts_every_scan_is_there(chromium: Any, address: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert page.locator("article.scan:visible").count() == 20
    assert page.locator("#tools:visible, #steps:visible").count() == 0
    context.close()


def test_it_prints_a_page_for_each_scan_that_is_shown(page: Any) -> None:
    page.check("[value=negative]", force=True)
    wanted = names(page)
    content = page.pdf(format="A4")
    # The list, the scans, what was refused: none runs over its page.
    assert len(re.findall(rb"/Type /Page\b", content)) == 1 + len(wanted) + 1
    # Two pictures for each scan, those that were never shown on the screen, too.
    pictures = {url for url in page.asked if "/pictures/" in url}
    assert len(pictures) >= 2 * len(wanted)


def test_two_thousand_scans_stay_light(chromium: Any, tmp_path: Path) -> None:
    """Only the chosen scan is laid out and only its pictures and its neighbours' are loaded."""
    many = [row(number) for number in range(2000)]
    address = written(tmp_path / "few", many[:30])
    heading = PageHeading(
        title="t", notice=NOTICE, created="c", model_summary="m", model=(), operating_point=0.4
    )
    write_results_page(tmp_path / "few" / "index.html", heading, many)
    page = opened(chromium, address)
    assert page.inner_text("#position") == "Scan 1 of 2000"
    list_height = page.locator("#list-scroll").bounding_box()["height"]
    assert list_height < 900
    for _ in range(10):
        page.keyboard.press("ArrowDown")
    assert page.inner_text("#position") == "Scan 11 of 2000"
    chosen, scroll = (
        page.locator(place).bounding_box() for place in ("#scans tr.chosen", "#list-scroll")
    )
    assert scroll["y"] <= chosen["y"] <= scroll["y"] + scroll["height"] - chosen["height"] + 1
    assert page.locator("article.scan:visible").count() == 1
    assert len({url for url in page.asked if "/pictures/" in url}) <= 2 * 12
    page.get_by_role("button", name="Probability").click()
    page.fill("#filter", "study-01999")
    assert shown(page) == many[1999].scan_id
    page.close()
