from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SUPPORT = Path(__file__).parents[1] / "support"


@pytest.fixture(scope="session")
def hands() -> SimpleNamespace:
    """What a person does in a browser."""
    return SimpleNamespace(**runpy.run_path(str(SUPPORT / "study_browser.py")))


@pytest.fixture(scope="module")  # only one may be open in a process at a time
def playwright(hands: SimpleNamespace) -> Iterator[Any]:
    with hands.playwright(pytest.skip) as started:
        yield started


@pytest.fixture(scope="module")
def chromium(hands: SimpleNamespace, playwright: Any) -> Iterator[Any]:
    with hands.browser(playwright) as started:
        yield started
