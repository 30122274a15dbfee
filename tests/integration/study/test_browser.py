"""The pages in a real Chromium: what a reader does, sees, and cannot lose."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sqlalchemy import select

from bonescint.study import StudyFolder, export_study, open_study
from bonescint.study.export.collecting import collect
from bonescint.study.serving import running_study
from bonescint.study.simulated import invitation_links
from bonescint.study.store.tables import Answer, Environment, Event, Mark

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
WITHOUT_WEBGL = ("--disable-3d-apis", "--disable-webgl", "--disable-software-rasterizer")


def begin(hands: SimpleNamespace, page: Any, study: StudyFolder, address: str, who: str) -> None:
    hands.accept(page, address, invitation_links(study)[who])
    hands.enter_environment(page)


def stored(study: StudyFolder, table: type[Any]) -> list[Any]:
    with study.open_store() as store, store.reading() as db:
        return list(db.scalars(select(table).order_by(table.id)))


def read_session(hands: SimpleNamespace, page: Any, cases: int, training: int = 2) -> None:
    for number in range(training + cases):
        page.wait_for_selector(f'#reading[data-position="{number}"]')
        hands.answer_with_keys(
            page, positive=number % 2 == 0, confidence=10 + number % 90, focus=number % 2 == 0
        )
        if number < training:
            hands.pass_feedback(page)
    page.wait_for_url("**/start")


@pytest.fixture(scope="module")
def read_with_keys(
    hands: SimpleNamespace,
    chromium: Any,
    pristine_study: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """A study whose first session was read with the keyboard alone, and its errors."""
    folder = tmp_path_factory.mktemp("keys") / "study"
    study = open_study(shutil.copytree(pristine_study, folder))
    with running_study(study) as address:
        context = chromium.new_context(viewport={"width": 1600, "height": 900})
        context.set_default_timeout(60_000)
        page = context.new_page()
        wrong = hands.watch(page)
        begin(hands, page, study, address, "r1")
        read_session(hands, page, 6)
        context.close()
    return SimpleNamespace(study=study, wrong=wrong)


def test_with_the_keyboard_alone_no_error_occurs(read_with_keys: SimpleNamespace) -> None:
    assert read_with_keys.wrong == []


def test_with_the_keyboard_alone_every_answer_and_mark_is_stored(
    read_with_keys: SimpleNamespace,
) -> None:
    answers = stored(read_with_keys.study, Answer)
    assert [answer.confidence for answer in answers] == [10 + n for n in range(8)]
    assert len(stored(read_with_keys.study, Mark)) == 4


def test_with_the_keyboard_alone_environment_and_events_are_stored(
    read_with_keys: SimpleNamespace,
) -> None:
    assert stored(read_with_keys.study, Environment)[0].body["window_width"] == 1600
    kinds = {event.kind for event in stored(read_with_keys.study, Event)}
    assert {"tab-opened", "shown", "mark-added", "decision", "confidence", "submit"} <= kinds


def test_with_the_keyboard_alone_reading_times_are_measured(
    read_with_keys: SimpleNamespace,
) -> None:
    study = read_with_keys.study
    with study.open_store() as store:
        reads = collect(study, store, radius_mm=15).reads
    assert len(reads) == 8
    assert all(row.gross_s is not None and row.gross_s > 0 for row in reads)


def test_without_webgl(
    hands: SimpleNamespace, playwright: Any, study: StudyFolder, address: str
) -> None:
    with hands.browser(playwright, *WITHOUT_WEBGL) as plain:
        page = plain.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(60_000)
        page.goto(address)
        assert page.evaluate("document.createElement('canvas').getContext('webgl')") is None
        wrong = hands.watch(page)
        begin(hands, page, study, address, "r1")
        assert ink_of(page, "anterior") > 0.01
        hands.answer_with_keys(page, positive=False, confidence=5)
        page.wait_for_selector("#feedback:not([hidden])")
        assert wrong == []
    assert len(stored(study, Answer)) == 1


def ink_of(page: Any, view: str) -> float:
    """The share of dark pixels of a pane."""
    grey = pane_pixels(page, view)
    return float((grey < 200).mean())


def pane_pixels(page: Any, view: str) -> np.ndarray:
    """A pane's canvas as the browser holds it, grey (rows, columns)."""
    script = """(view) => new Promise((resolve) => requestAnimationFrame(() => {
        const canvas = document.querySelector(`[data-view=${view}] canvas`);
        const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const grey = new Uint8Array(canvas.width * canvas.height);
        for (let n = 0; n < grey.length; n += 1) grey[n] = data[4 * n];
        let text = '';
        for (let n = 0; n < grey.length; n += 8192) {
            text += String.fromCharCode(...grey.subarray(n, n + 8192));
        }
        resolve([canvas.height, canvas.width, btoa(text)]);
    }))"""
    import base64

    rows, columns, text = page.evaluate(script, view)
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(rows, columns)


def expected_grey(counts: np.ndarray, low: float, high: float, curve: str) -> np.ndarray:
    """The table, computed apart from the page: inverted, 0 black to 255 white."""
    share = np.clip((counts.astype(np.float64) - low) / (high - low), 0, 1)
    shape = {
        "linear": lambda s: s,
        "root": np.sqrt,
        "logarithm": lambda s: np.log(1 + 99 * s) / np.log(100),
    }[curve]
    return 255 - 255 * shape(share)


def shown_case(study: StudyFolder, page: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Facts and pixels of the case on the screen, out of the study folder."""
    import gzip

    from bonescint.study.store.tables import Assignment, StudyCase
    from bonescint.viewer import unpacked

    token = page.get_attribute("#reading", "data-case")
    with study.open_store() as store, store.reading() as db:
        assignment = db.scalars(select(Assignment).where(Assignment.token == token)).one()
        case = db.get_one(StudyCase, assignment.case_id)
    content = gzip.decompress(study.image_file(case.token).read_bytes())
    views = unpacked(content, case.picture)
    return case.picture, {view.value: pixels for view, pixels in views.items()}


def test_grey_values_are_the_computed_tables_in_four_windows(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    begin(hands, page, study, address, "r1")
    facts, views = shown_case(study, page)
    page.keyboard.press("i")  # pixels as they are
    for key, curve in (("1", "linear"), ("2", "linear"), ("3", "root"), ("4", "logarithm")):
        page.keyboard.press(key)
        for view, counts in views.items():
            figures = facts["windows"][view]
            low, high = figures["low"], figures["high"]
            if key != "1":
                low, high = figures["min"], figures["max"]
            wanted = expected_grey(counts, low, high, curve)
            grey = pane_pixels(page, view)
            rows, columns = sampled_places(page, view, grey.shape, facts)
            inside = (rows >= 0)[:, None] & (columns >= 0)[None, :]
            error = np.abs(grey - wanted[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))])
            assert error[inside].max() <= 1, (key, view)
            assert inside.mean() > 0.2


def sampled_places(
    page: Any, view: str, shape: tuple[int, ...], facts: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """For each canvas row and column the image's, where the pixel's middle lies well inside."""
    script = """async (view) => {
        const { page } = await import('/static/reading.js');
        return page.viewer.panes.find((pane) => pane.view === view).geometry();
    }"""
    place = page.evaluate(script, view)

    def along(count: int, start: float, scale: float, size: int) -> np.ndarray:
        position = (np.arange(count) + 0.5 - start) / scale
        whole = np.floor(position).astype(int)
        # A pixel on the border of two may be either.
        near = np.minimum(position - whole, 1 - (position - whole)) < 0.02
        return np.where((whole < 0) | (whole >= size) | near, -1, whole)

    rows = along(shape[0], place["top"], place["down"], facts["rows"])
    return rows, along(shape[1], place["left"], place["across"], facts["columns"])


@pytest.mark.parametrize("ratio", [1, 1.25, 1.5, 2])
def test_clicks_hit_the_pixel_that_is_seen(
    hands: SimpleNamespace, chromium: Any, study: StudyFolder, address: str, ratio: float
) -> None:
    """Dots are painted at known pixels; each is clicked where the screen shows it."""
    import gzip

    from bonescint.study.store.tables import StudyCase
    from bonescint.viewer import Picture

    with study.open_store() as store, store.writing() as db:
        facts: dict[str, Any] = {}
        for case in db.query(StudyCase):
            facts = dict(case.picture)
            pixels = np.zeros((2, facts["rows"], facts["columns"]), dtype="<u2")
            pixels[:, 5::16, 3::8] = 60_000
            picture = Picture(content=pixels.tobytes(), facts=facts)
            study.image_file(case.token).write_bytes(gzip.compress(picture.content))
            case.image_sha256 = picture.sha256
            windows = {view: {"low": 0, "high": 100, "min": 0, "max": 60_000}
                       for view in facts["views"]}  # fmt: skip
            case.picture = {**facts, "windows": windows}
    context = chromium.new_context(
        viewport={"width": 1500, "height": 900}, device_scale_factor=ratio
    )
    page = context.new_page()
    page.set_default_timeout(60_000)
    begin(hands, page, study, address, "r1")
    page.keyboard.press("i")
    clicked: list[tuple[str, int, int]] = []
    for view, zooms in (("anterior", 3), ("posterior", 2)):
        box = page.locator(f"[data-view={view}] canvas").bounding_box()
        page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"])
        for _ in range(zooms):
            page.mouse.wheel(0, -250)
        page.mouse.down(button="right")
        page.mouse.move(box["x"] + 0.47 * box["width"], box["y"] + 0.41 * box["height"], steps=3)
        page.mouse.up(button="right")
        page.wait_for_timeout(150)
        shot = Image.open(io.BytesIO(page.screenshot(clip=box))).convert("L")
        dark = np.array(shot) < 60
        for row, column in dots(dark)[:7]:
            page.mouse.click(box["x"] + (column + 0.5) / ratio, box["y"] + (row + 0.5) / ratio)
            page.keyboard.type("50")
            page.keyboard.press("Enter")
            clicked.append((view, row, column))
    assert len(clicked) >= 6
    page.keyboard.press("y")
    page.keyboard.press("c")
    page.keyboard.type("50")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#feedback:not([hidden])")
    context.close()
    marks = stored(study, Mark)
    assert len(marks) == len(clicked)
    for mark in marks:
        row, column = round(mark.row_px), round(mark.column_px)
        assert (row % 16, column % 8) == (5, 3), (mark.view, mark.row_px, mark.column_px)


def dots(dark: np.ndarray) -> list[tuple[int, int]]:
    """The middles of dots that stand whole and apart from marks and borders."""
    from scipy.ndimage import find_objects, label

    labels, _ = label(dark)
    found = find_objects(labels)
    areas = [np.prod([part.stop - part.start for part in place]) for place in found]
    if not areas:
        return []
    usual = np.median(areas)
    whole = []
    for place, area in zip(found, areas, strict=True):
        middle = tuple((part.start + part.stop - 1) // 2 for part in place)
        inner = all(40 < at < size - 40 for at, size in zip(middle, dark.shape, strict=True))
        if inner and 0.6 * usual < area < 1.6 * usual:
            whole.append(middle)
    # Not neighbours: a mark's ring takes the clicks around it.
    apart: list[tuple[int, int]] = []
    for one in whole:
        if all(np.hypot(one[0] - two[0], one[1] - two[1]) > 45 for two in apart):
            apart.append(one)  # type: ignore[arg-type]
    return apart


def test_the_browser_killed_in_the_middle_loses_nothing(
    hands: SimpleNamespace, playwright: Any, study: StudyFolder, address: str, tmp_path: Path
) -> None:
    kill_while_reading(hands, playwright, study, address, tmp_path / "profile", times=2)


@pytest.mark.slow
def test_the_browser_killed_twenty_times_loses_nothing(
    hands: SimpleNamespace, playwright: Any, study: StudyFolder, address: str, tmp_path: Path
) -> None:
    kill_while_reading(hands, playwright, study, address, tmp_path / "profile", times=20)


def kill_while_reading(
    hands: SimpleNamespace,
    playwright: Any,
    study: StudyFolder,
    address: str,
    profile: Path,
    *,
    times: int,
) -> None:
    """Enter a draft, kill -9 the browser's processes, come back: it is all there."""
    import psutil

    for number in range(times + 1):
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=hands.chromium(), args=list(hands.QUIET),
            viewport={"width": 1600, "height": 900},
        )  # fmt: skip
        context.set_default_timeout(60_000)
        page = context.pages[0]
        if number == 0:
            begin(hands, page, study, address, "r1")
        else:
            come_back(hands, page, address)
            assert page.input_value("#comment") == f"Draft {number - 1}"
            assert page.input_value("#confidence") == str(number - 1)
        page.fill("#comment", f"Draft {number}")
        page.fill("#confidence", str(number))
        page.evaluate("import('/static/reading.js').then(({ page }) => page.drafting)")
        for process in psutil.process_iter(["cmdline"]):
            if f"--user-data-dir={profile}" in (process.info["cmdline"] or []):
                process.kill()
        with contextlib.suppress(Exception):  # it is dead, as it should be
            context.close()
        for lock in profile.glob("Singleton*"):
            lock.unlink()


def come_back(hands: SimpleNamespace, page: Any, address: str) -> None:
    """Open the study again after a crash, whatever is asked."""
    page.goto(address)
    if page.url.endswith("/sign-in"):  # a killed browser may forget a young cookie
        page.fill("[name=name]", "r1")
        page.fill("[name=password]", hands.PASSWORD)
        page.click("button.main")
    page.wait_for_selector("#reading[data-case], #stopped[open]")
    if page.locator("#stopped[open]").count():
        page.click("#stopped-do")
        page.wait_for_selector("#reading[data-case]")


def test_the_server_away_then_back_loses_nothing(
    hands: SimpleNamespace, page: Any, study: StudyFolder
) -> None:
    from bonescint.study.web.dependencies import ServeSettings

    with running_study(study) as address:
        begin(hands, page, study, address, "r1")
        port = int(address.rsplit(":", 1)[1])
    hands.answer_with_keys(page, positive=True, confidence=77, focus=True)
    page.wait_for_selector("#reading[data-waiting]")
    assert "kept in this browser" in page.inner_text("#problem")
    with running_study(study, ServeSettings(port=port)):
        page.wait_for_selector("#feedback:not([hidden])")
    (answer,) = stored(study, Answer)
    assert answer.confidence == 77


def test_a_second_tab_takes_over_and_the_first_says_so(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    begin(hands, page, study, address, "r1")
    page.fill("#comment", "typed in the first tab")
    page.wait_for_selector("#kept:text-is('Draft kept')")
    second = page.context.new_page()
    second.goto(f"{address}/read")
    second.wait_for_selector("#stopped[open]")
    assert "open in another tab" in second.inner_text("#stopped")
    second.click("#stopped-do")
    second.wait_for_selector("#reading[data-case]")
    assert second.input_value("#comment") == "typed in the first tab"
    page.fill("#comment", "typed too late")
    page.wait_for_selector("#reading[data-stopped=other-tab]")
    hands.answer_with_keys(second, positive=False, confidence=9)
    second.wait_for_selector("#feedback:not([hidden])")
    assert len(stored(study, Answer)) == 1


def test_signed_out_in_the_middle_of_a_case(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    begin(hands, page, study, address, "r1")
    page.fill("#comment", "half a thought")
    page.wait_for_selector("#kept:text-is('Draft kept')")
    page.context.clear_cookies()
    page.fill("#comment", "half a thought more")
    page.wait_for_selector("#reading[data-stopped=signed-out]")
    page.click("#stopped-do")
    page.fill("[name=name]", "r1")
    page.fill("[name=password]", hands.PASSWORD)
    page.click("button.main")
    page.wait_for_selector("#reading[data-case]")
    assert page.input_value("#comment") == "half a thought more"


def test_a_small_window_is_refused(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    page.set_viewport_size({"width": 1000, "height": 900})
    hands.accept(page, address, invitation_links(study)["r1"])
    page.wait_for_selector("#problem:not([hidden])")
    assert "1000" in page.inner_text("#problem")
    assert page.is_disabled("#form button")
    page.set_viewport_size({"width": 1200, "height": 800})
    hands.enter_environment(page)
    page.set_viewport_size({"width": 1100, "height": 800})
    page.wait_for_selector("#stopped[open]")
    page.set_viewport_size({"width": 1200, "height": 800})
    page.wait_for_selector("#stopped:not([open])", state="attached")


def test_nothing_is_chosen_before_the_reader_chooses(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    begin(hands, page, study, address, "r1")
    assert page.input_value("#confidence") == ""
    assert page.is_hidden("#thumb")
    assert not page.is_checked("#yes")
    assert not page.is_checked("#no")
    missing = []
    for act in (lambda: None, lambda: page.keyboard.press("f"), lambda: page.keyboard.press("n")):
        page.keyboard.press("Escape")
        act()
        page.keyboard.press("Control+Enter")
        missing.append(page.inner_text("#problem"))
    assert [text.split(" ")[0] for text in missing] == ["Mark", "Answer", "Enter"]
    assert stored(study, Answer) == []


def test_the_drags_speed_does_not_follow_a_hot_spot(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    """A bladder of 100 times the bone's counts must not make the window jump."""
    script = """async (most) => {
        const { draggedWindow } = await import('/viewer/static/grey.js');
        const figures = { low: 0, high: 40, min: 0, max: most };
        return draggedWindow({ low: 0, high: 40, curve: 'linear' }, 0, 50, figures).high;
    }"""
    begin(hands, page, study, address, "r1")
    usual, hot = (page.evaluate(script, most) for most in (60, 6000))
    assert usual == hot == pytest.approx(48)


def test_pause_stops_the_clock_and_the_model_waits_for_the_first_answer(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str, tmp_path: Path
) -> None:
    wrong = hands.watch(page)
    begin(hands, page, study, address, "r2")
    page.keyboard.press("p")
    page.wait_for_selector("#paused[open]")
    page.wait_for_timeout(1500)
    page.click("#resume")
    read_session(hands, page, 6)
    hands.enter_environment(page)
    assert page.is_hidden("#model")
    hands.answer_with_keys(page, positive=False, confidence=20, focus=True)
    page.wait_for_selector("#reading[data-stage=aided]")
    assert "Probability of metastatic bone disease" in page.inner_text("#model")
    assert page.input_value("#confidence") == ""
    assert page.locator("#marks li").count() == 1
    page.keyboard.press("a")
    page.keyboard.press("n")
    page.keyboard.press("c")
    page.keyboard.type("30")
    page.keyboard.press("Control+Enter")
    hands.pass_feedback(page)
    page.wait_for_selector('#reading[data-position="1"][data-stage=unaided]')
    assert wrong == []
    kinds = [event.kind for event in stored(study, Event)]
    assert {"pause", "resume", "map-shown", "map-hidden"} <= set(kinds)
    export_study(study, tmp_path / "export")
    rows = (tmp_path / "export/reads.csv").read_text().splitlines()
    first = rows[1].split(",")
    assert float(first[17]) - float(first[18]) > 1.4  # gross less active: the pause


@pytest.mark.parametrize("width", [1200, 1600, 2560])
def test_axe_finds_nothing(
    hands: SimpleNamespace, chromium: Any, study: StudyFolder, address: str, width: int
) -> None:
    """WCAG 2.1 and 2.2, levels A and AA, on every page."""
    axe = Path(__file__).parents[3] / "node_modules/axe-core/axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed (tools/install-test-packages)")
    # axe is put into the page by the test: the policy would refuse it otherwise.
    context = chromium.new_context(viewport={"width": width, "height": 900}, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(60_000)

    def check(where: str) -> None:
        told = hands.axe_violations(page, axe.read_text(encoding="utf-8"))
        assert told == [], (where, width)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (where, "scrolls sideways")

    page.goto(f"{address}/sign-in")
    check("sign-in")
    page.goto(address + invitation_links(study)["r1"])
    check("invitation")
    hands.accept(page, address, invitation_links(study)["r1"])
    page.wait_for_selector("#steps")
    check("environment")
    hands.enter_environment(page)
    check("reading")
    box = page.locator("[data-view=anterior] canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    check("reading with a mark")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    check("keys")
    page.keyboard.press("Escape")
    page.keyboard.press("p")
    check("paused")
    page.keyboard.press("Escape")
    page.click("text=Sign out")
    page.wait_for_url("**/sign-in")
    hands.accept(page, address, invitation_links(study)["admin"])
    page.wait_for_url("**/progress")
    check("progress")
    page.goto(f"{address}/invitation/wrong")
    check("problem")
    context.close()


@pytest.fixture(scope="module", params=[(), WITHOUT_WEBGL], ids=["webgl", "no-webgl"])
def read_134(
    request: pytest.FixtureRequest,
    hands: SimpleNamespace,
    world: SimpleNamespace,
    playwright: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """134 cases read in a browser: the study, errors, milliseconds until a case is ready."""
    folder = tmp_path_factory.mktemp("read-134")
    cohort = world.write_cohort(folder / "cohort", 140)
    study = world.make_study(folder / "study", cohort, readers=1, sample=134, split=None)
    ready_ms: list[float] = []
    with hands.browser(playwright, *request.param) as opened, running_study(study) as address:
        page = opened.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(60_000)
        webgl = page.evaluate("document.createElement('canvas').getContext('webgl') !== null")
        assert not (request.param and webgl)
        wrong = hands.watch(page)
        begin(hands, page, study, address, "r1")
        for number in range(136):
            page.wait_for_selector(f'#reading[data-position="{number}"]')
            took = page.get_attribute("#reading", "data-ready-ms")
            if took and number > 2:
                ready_ms.append(float(took))
            hands.answer_with_keys(
                page, positive=number % 3 == 0, confidence=number % 101, focus=number % 3 == 0
            )
            if number < 2:
                hands.pass_feedback(page)
        page.wait_for_url("**/finished")
    return SimpleNamespace(study=study, wrong=wrong, ready_ms=ready_ms)


@pytest.mark.slow
def test_134_cases_are_read_without_an_error(read_134: SimpleNamespace) -> None:
    assert read_134.wrong == []


@pytest.mark.slow
def test_134_cases_are_all_stored(read_134: SimpleNamespace) -> None:
    assert len(stored(read_134.study, Answer)) == 136


@pytest.mark.slow
def test_134_cases_are_all_exported(read_134: SimpleNamespace, tmp_path: Path) -> None:
    export_study(read_134.study, tmp_path / "export")
    assert len((tmp_path / "export/reads.csv").read_text().splitlines()) == 137


@pytest.mark.slow
def test_134_cases_the_next_one_is_ready_in_time(read_134: SimpleNamespace) -> None:
    assert float(np.median(read_134.ready_ms)) < 300, "case ready after 'next'"
