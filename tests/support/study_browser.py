"""A real Chromium for tests of the reader study, or a reason to skip."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PASSWORD = "a browser's password"  # noqa: S105 - of a study that a test makes
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps",
)  # fmt: skip


def chromium() -> str | None:
    """The installed Chromium, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def playwright(skip: Callable[[str], Any]) -> Iterator[Any]:
    """Playwright, where it and a Chromium are installed; once a thread, it allows no more."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        skip("playwright is not installed")
        raise AssertionError from None
    if chromium() is None:
        skip("Chromium is not installed")
    with sync_playwright() as started:
        yield started


@contextmanager
def browser(started: Any, *more: str) -> Iterator[Any]:
    """Start Chromium without a window."""
    opened = started.chromium.launch(executable_path=chromium(), args=[*QUIET, *more])
    try:
        yield opened
    finally:
        opened.close()


def watch(page: Any) -> list[str]:
    """Collect what must not happen: errors, requests to another server, refusals by the policy."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))

    def said(message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            wrong.append(f"console: {message.text}")

    def asked(request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:")):
            wrong.append(f"asked {request.url}")

    page.on("console", said)
    page.on("request", asked)
    return wrong


def axe_violations(page: Any, axe: str) -> list[Any]:
    """What axe finds wrong by WCAG 2.1 and 2.2, A and AA, on a page without its policy."""
    page.evaluate(axe)
    found = page.evaluate(
        "() => axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })"
    )
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]


def accept(page: Any, address: str, link: str) -> None:
    """Open an invitation and choose a password."""
    page.goto(address + link)
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=again]", PASSWORD)
    page.click("button.main")


def enter_environment(page: Any) -> None:
    """Say where one reads, and wait for the first case."""
    page.wait_for_selector("#form [name=steps]")
    page.fill("[name=steps]", "16")
    page.fill("[name=monitor]", "Test monitor 27 inch")
    page.fill("[name=calibrated]", "never")
    page.check("[value=dim]")
    page.click("button.main")
    page.wait_for_selector("#reading[data-case]")


def answer_with_keys(page: Any, *, positive: bool, confidence: int, focus: bool = False) -> None:
    """Answer a case with the keyboard alone."""
    if focus:
        page.keyboard.press("v")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Alt+ArrowLeft")
        page.keyboard.press("Enter")
        page.keyboard.type("70")
        page.keyboard.press("Enter")
    else:
        page.keyboard.press("f")
    page.keyboard.press("y" if positive else "n")
    page.keyboard.press("c")
    page.keyboard.type(str(confidence))
    page.keyboard.press("Control+Enter")


def pass_feedback(page: Any) -> None:
    """Go on after a training case."""
    page.wait_for_selector("#feedback:not([hidden])")
    page.keyboard.press("Enter")
