"""The pages in a real Chromium: read with the keyboard alone, in a light and in a dark room."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
AXE = Path(__file__).parents[3] / "node_modules/axe-core/axe.min.js"


def open_page(chromium: Any, width: int = 1600, **options: Any) -> Any:
    context = chromium.new_context(viewport={"width": width, "height": 900}, **options)
    context.set_default_timeout(60_000)
    return context.new_page()


def answer_with_keys(page: Any) -> None:
    page.wait_for_selector("#reading[data-case]")
    page.keyboard.press("v")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.keyboard.press("m")  # to its name
    page.keyboard.type("rib fr")
    page.keyboard.press("Escape")
    page.keyboard.press("y")
    page.keyboard.press("c")
    page.keyboard.type("80")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#reading[data-feedback]")


def test_cases_are_read_with_the_keyboard_alone(
    hands: SimpleNamespace, chromium: Any, learning: Any
) -> None:
    page = open_page(chromium)
    wrong = hands.watch(page)
    page.goto(f"{learning.address}/")
    page.keyboard.press("Tab")  # to the bar, then on to the course
    page.get_by_role("link", name="Your cohort").focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Begin").focus()
    page.keyboard.press("Enter")
    for number in ("1", "2"):
        page.wait_for_selector(f'#reading[data-number="{number}"]:not([data-feedback])')
        answer_with_keys(page)
        assert "metastatic bone disease" in page.inner_text("#verdict")
        assert "you said rib fracture" in page.inner_text("#your-marks")
        page.keyboard.press("Enter")
    page.wait_for_selector('#reading[data-number="3"]')
    assert wrong == []
    page.context.close()


def test_the_truth_is_drawn_where_it_is(
    hands: SimpleNamespace, chromium: Any, learning: Any
) -> None:
    """The outline's pixels lie around the metastasis, in both views."""
    page = open_page(chromium)
    page.goto(f"{learning.address}/case/cohort")
    while True:
        page.wait_for_selector("#reading[data-case]:not([data-feedback])")
        page.keyboard.press("f")
        page.keyboard.press("n")
        page.keyboard.press("c")
        page.keyboard.type("10")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#reading[data-feedback]")
        if page.locator("#metastases li").count():
            break
        page.keyboard.press("Enter")
        page.wait_for_selector("#reading:not([data-feedback])")
    script = """() => import('/static/reading.js').then(({ page }) => page.viewer.panes
        .filter((pane) => pane.holder.dataset.shows === 'truth')
        .map((pane) => {
            const { row, column, outline } = pane.findings[0];
            const middle = pane.toCanvas(row, column);
            const edge = pane.toCanvas(outline[0][0], outline[0][1]);
            const reach = 1.6 * Math.hypot(edge.x - middle.x, edge.y - middle.y);
            const { width: across, height } = pane.canvas;
            const { data, width } = pane.context.getImageData(0, 0, across, height);
            let inside = 0; let all = 0;
            for (let place = 0; place < data.length; place += 4) {
                const [red, green, blue] = data.slice(place, place + 3);
                if (red > 150 && green < 110 && blue < 60) {
                    const x = (place / 4) % width; const y = Math.floor(place / 4 / width);
                    all += 1;
                    if (Math.hypot(x - middle.x, y - middle.y) < Math.max(reach, 60)) inside += 1;
                }
            }
            return [inside, all];
        }))"""
    page.wait_for_timeout(300)
    for inside, drawn in page.evaluate(script):
        assert drawn > 20
        assert inside == drawn
    page.context.close()


def test_the_place_under_the_pointer_is_shown_in_the_other_view(
    chromium: Any, learning: Any
) -> None:
    page = open_page(chromium)
    page.goto(f"{learning.address}/case/cohort")
    page.wait_for_selector("#reading[data-case]")
    box = page.locator("[data-view=anterior] canvas").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2 - 20, box["y"] + box["height"] / 3)
    script = """() => import('/static/reading.js').then(({ page }) => page.viewer.panes
        .map((pane) => pane.pointed && [pane.pointed.row, pane.pointed.column]))"""
    here, behind, *_ = page.evaluate(script)
    facts = page.evaluate(
        "() => import('/static/reading.js').then(({ page }) => page.viewer.picture.columns)"
    )
    assert here is None
    assert 0 < behind[1] < facts
    assert behind[1] > facts / 2, "left of the middle in front is right of it behind"
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 2560])
def test_axe_finds_nothing(
    hands: SimpleNamespace, chromium: Any, serve: Any, cohort: Path, width: int, scheme: str
) -> None:
    """WCAG 2.1 and 2.2, levels A and AA, on every page, in a light and in a dark room."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (tools/install-test-packages)")
    axe = AXE.read_text(encoding="utf-8")
    page = open_page(chromium, width, bypass_csp=True, color_scheme=scheme)

    def check(where: str) -> None:
        assert hands.axe_violations(page, axe) == [], (where, width, scheme)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (where, "scrolls sideways")

    with serve(cohort=cohort, classroom=True) as learning:
        page.goto(f"{learning.address}/sign-in")
        check("sign-in")
        hands.accept(page, learning.address, learning.teaching.classroom.teacher_link().path)
        page.goto(f"{learning.address}/classroom")
        page.fill("[name=count]", "2")
        page.click("text=Add students")
        page.wait_for_selector(".link code")
        check("classroom")
        link = page.inner_text(".link code")
        page.click("text=Sign out")
        hands.accept(page, "", link)
        for path in ("/", "/course/cohort"):
            page.goto(learning.address + path)
            check(path)
        page.goto(f"{learning.address}/case/cohort")
        page.wait_for_selector("#reading[data-case]")
        check("case")
        answer_with_keys(page)
        check("answer")
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        check("keys")
        for path in ("/progress", "/certificate"):
            page.goto(learning.address + path)
            check(path)
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_of_a_course(
    hands: SimpleNamespace, chromium: Any, serve: Any, scheme: str
) -> None:
    """With its examples and the texts of its findings, all of them open."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed (tools/install-test-packages)")
    page = open_page(chromium, 1200, bypass_csp=True, color_scheme=scheme)
    with serve() as learning:
        page.goto(f"{learning.address}/course/rib-fractures")
        summaries = page.locator("details.kind summary")
        assert summaries.count() == 7
        for number in range(7):
            summaries.nth(number).focus()
            page.keyboard.press("Enter")
        page.wait_for_function("[...document.images].every((one) => one.naturalWidth > 0)")
        assert hands.axe_violations(page, AXE.read_text(encoding="utf-8")) == []
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.context.close()
