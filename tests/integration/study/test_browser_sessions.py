"""Breaks, changed answers, what a full browser or server does to them: in a real Chromium."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select

from bonescint.study import StudyFolder
from bonescint.study.serving import running_study
from bonescint.study.simulated import invitation_links
from bonescint.study.store.tables import Answer, Event

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def begin(hands: SimpleNamespace, page: Any, study: StudyFolder, address: str) -> None:
    hands.accept(page, address, invitation_links(study)["r1"])
    hands.enter_environment(page)


def stored(study: StudyFolder, table: type[Any]) -> list[Any]:
    with study.open_store() as store, store.reading() as db:
        return list(db.scalars(select(table).order_by(table.id)))


@pytest.fixture
def changeable(world: SimpleNamespace, cohort: Path, tmp_path: Path) -> StudyFolder:
    """Two cases, no training, answers may be changed."""
    made: StudyFolder = world.make_study(
        tmp_path / "study", cohort, readers=1, sample=2, training=0, revisions=True
    )
    return made


def read_both(hands: SimpleNamespace, page: Any) -> None:
    hands.answer_with_keys(page, positive=True, confidence=33, focus=True)
    page.wait_for_selector('#reading[data-position="1"]')
    hands.answer_with_keys(page, positive=False, confidence=44)
    page.wait_for_selector("#reading[data-phase=review]")


def test_a_break_is_suggested_after_a_while_and_between_cases_only(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    begin(hands, page, study, address)
    hands.answer_with_keys(page, positive=False, confidence=5)
    hands.pass_feedback(page)
    page.wait_for_selector('#reading[data-position="1"]')
    hands.answer_with_keys(page, positive=False, confidence=5)
    hands.pass_feedback(page)
    page.wait_for_selector('#reading[data-position="2"]')
    assert page.is_hidden("#paused")
    # Forty-six minutes pass on the tab's own clock.
    page.evaluate("""() => {
        const now = performance.now.bind(performance);
        performance.now = () => now() + 46 * 60000;
    }""")
    page.keyboard.press("f")
    assert page.is_hidden("#paused"), "in the middle of a case"
    page.keyboard.press("f")
    hands.answer_with_keys(page, positive=False, confidence=7)
    page.wait_for_selector("#paused[open]")
    assert "break" in page.inner_text("#paused-title")
    assert "46 minutes" in page.inner_text("#paused p")
    page.keyboard.press("Escape")
    page.wait_for_selector('#reading[data-position="3"]')
    hands.answer_with_keys(page, positive=False, confidence=7)
    page.wait_for_selector('#reading[data-position="4"]')
    assert page.is_hidden("#paused"), "the next one comes as late again"
    kinds = [event.kind for event in stored(study, Event)]
    assert kinds.count("break-suggested") == kinds.count("pause") == kinds.count("resume") == 1


def test_an_earlier_answer_is_changed_and_both_versions_are_kept(
    hands: SimpleNamespace, page: Any, changeable: StudyFolder
) -> None:
    wrong = hands.watch(page)
    with running_study(changeable) as address:
        begin(hands, page, changeable, address)
        read_both(hands, page)
        assert "no longer be changed" in page.inner_text("#review-says")
        page.select_option("#earlier-case", label="Case 1")
        page.wait_for_selector('#reading[data-position="0"]:not([data-phase])')
        assert "changing your answer" in page.inner_text("#where")
        assert page.is_hidden("#finish")
        assert page.input_value("#confidence") == "33"
        assert page.is_checked("#yes")
        assert page.locator("#marks li").count() == 1
        page.fill("#confidence", "66")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#reading[data-phase=review]")
        page.select_option("#earlier-case", label="Case 1")
        page.wait_for_selector('#reading[data-position="0"]:not([data-phase])')
        assert page.input_value("#confidence") == "66"
        page.fill("#confidence", "99")
        page.select_option("#earlier-case", label="Leave it as it is")
        page.wait_for_selector("#reading[data-phase=review]")
        page.click("#finish")
        page.wait_for_url("**/finished")
    assert wrong == []
    assert [(a.revision, a.confidence) for a in stored(changeable, Answer)] == [
        (1, 33), (1, 44), (2, 66),
    ]  # fmt: skip


def test_a_change_that_is_not_submitted_yet_comes_back(
    hands: SimpleNamespace, page: Any, changeable: StudyFolder
) -> None:
    with running_study(changeable) as address:
        begin(hands, page, changeable, address)
        read_both(hands, page)
        page.select_option("#earlier-case", label="Case 1")
        page.wait_for_selector('#reading[data-position="0"]:not([data-phase])')
        page.fill("#comment", "second thoughts")
        page.evaluate("import('/static/reading.js').then(({ page }) => page.drafting)")
        page.reload()
        page.wait_for_selector("#reading[data-phase=review]")
        page.select_option("#earlier-case", label="Case 1")
        page.wait_for_selector('#reading[data-position="0"]:not([data-phase])')
        assert page.input_value("#comment") == "second thoughts"
    assert len(stored(changeable, Answer)) == 2


def test_a_changed_answer_waits_for_a_server_that_cannot_store_it(
    hands: SimpleNamespace, page: Any, changeable: StudyFolder
) -> None:
    """The page is loaded again in between: the change must not be forgotten."""
    failing = [True]

    def fail(route: Any) -> None:
        if failing[0]:
            told = '{"problem": "disk-full", "message": "The server\'s disk is full."}'
            route.fulfill(status=507, content_type="application/json", body=told)
        else:
            route.continue_()

    with running_study(changeable) as address:
        begin(hands, page, changeable, address)
        read_both(hands, page)
        page.route("**/api/submit", fail)
        page.select_option("#earlier-case", label="Case 1")
        page.wait_for_selector('#reading[data-position="0"]:not([data-phase])')
        page.fill("#confidence", "66")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#reading[data-waiting]")
        assert "disk is full" in page.inner_text("#problem")
        page.reload()
        page.wait_for_selector("#problem:has-text('kept in this browser')")
        assert len(stored(changeable, Answer)) == 2
        failing[0] = False
        page.wait_for_selector("#reading[data-phase=review]")
    assert [(a.revision, a.confidence) for a in stored(changeable, Answer)][-1] == (2, 66)


def test_a_browser_that_keeps_nothing_reads_all_the_same(
    hands: SimpleNamespace, page: Any, study: StudyFolder, address: str
) -> None:
    """IndexedDB refuses every write, as on a full disk: answers arrive, nothing hangs."""
    page.add_init_script("""
        IDBObjectStore.prototype.put = () => {
            throw new DOMException('full', 'QuotaExceededError');
        };
        IDBObjectStore.prototype.delete = IDBObjectStore.prototype.put;
    """)
    begin(hands, page, study, address)
    hands.answer_with_keys(page, positive=True, confidence=61, focus=True)
    hands.pass_feedback(page)
    page.wait_for_selector('#reading[data-position="1"]')
    (answer,) = stored(study, Answer)
    assert (answer.confidence, answer.positive) == (61, True)


def test_axe_finds_nothing_where_answers_are_shown_again(
    hands: SimpleNamespace, world: SimpleNamespace, chromium: Any, cohort: Path, tmp_path: Path
) -> None:
    """Feedback, break, review, a changed answer."""
    axe = Path(__file__).parents[3] / "node_modules/axe-core/axe.min.js"
    if not axe.is_file():
        pytest.skip("axe-core is not installed (tools/install-test-packages)")
    study = world.make_study(
        tmp_path / "study", cohort, readers=1, sample=2, training=1, revisions=True
    )
    context = chromium.new_context(viewport={"width": 1200, "height": 800}, bypass_csp=True)
    context.set_default_timeout(60_000)
    page = context.new_page()

    def check(where: str) -> None:
        assert hands.axe_violations(page, axe.read_text(encoding="utf-8")) == [], where
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, (where, "scrolls sideways")

    with running_study(study) as address:
        begin(hands, page, study, address)
        hands.answer_with_keys(page, positive=True, confidence=33, focus=True)
        page.wait_for_selector("#feedback:not([hidden])")
        check("feedback")
        hands.pass_feedback(page)
        page.wait_for_selector('#reading[data-position="1"]')
        page.evaluate("import('/static/reading.js').then(({ page }) => { page.lastBreak = -1e8; })")
        hands.answer_with_keys(page, positive=True, confidence=33, focus=True)
        page.wait_for_selector("#paused[open]")
        check("break")
        page.keyboard.press("Escape")
        page.wait_for_selector('#reading[data-position="2"]')
        check("an answer that can be changed")
        hands.answer_with_keys(page, positive=False, confidence=44)
        page.wait_for_selector("#reading[data-phase=review]")
        check("review")
        page.select_option("#earlier-case", label="Case 1")
        page.wait_for_selector('#reading[data-position="1"]:not([data-phase])')
        check("changing")
    context.close()
