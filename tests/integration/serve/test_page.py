"""The page of the service in a real Chromium: drop, see, download, with the keyboard, by WCAG."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from pydicom import dcmread

from bonescint.classify import demo_sources
from bonescint.serve.access import ServiceSettings
from bonescint.serve.http import running_service

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[3]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SCAN = next(path for path in demo_sources() if "several" in path.name)
TOKEN = "a-token-of-some-length"  # noqa: S105 - of a service that a test starts
DROP = """async ([base64, name]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  document.querySelector("#drop").dispatchEvent(
    new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""
INK = """() => [...document.querySelectorAll(".pane canvas")].map((canvas) => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let dark = 0, coloured = 0;
  for (let place = 0; place < data.length; place += 4) {
    const [red, green, blue] = data.slice(place, place + 3);
    if (red < 128) dark += 1;
    if (Math.abs(red - blue) > 40) coloured += 1;
  }
  return [dark, coloured];
})"""


@pytest.fixture(scope="module")
def chromium(hands: SimpleNamespace, playwright: Any) -> Iterator[Any]:
    # Without WebGL, as on many a workstation in a hospital.
    with hands.browser(playwright, "--disable-webgl", "--disable-3d-apis") as opened:
        yield opened


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_service(ServiceSettings(port=0)) as found:
        yield found


def shown(page: Any) -> None:
    page.wait_for_selector("main[data-phase=shown]", timeout=120_000)


def settled(page: Any) -> list[list[int]]:
    """Dark and coloured pixels of both panes, once they are painted."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    found: list[list[int]] = page.evaluate(INK)
    return found


def test_drop_see_download(chromium: Any, hands: SimpleNamespace, address: str) -> None:
    context = chromium.new_context(viewport={"width": 1600, "height": 1000}, accept_downloads=True)
    page = context.new_page()
    wrong = hands.watch(page)
    page.goto(address)
    assert "Research use only. Not a medical device." in page.inner_text(".tag")
    page.evaluate(DROP, [base64.b64encode(SCAN.read_bytes()).decode(), "scan.dcm"])
    shown(page)
    assert page.inner_text("#call").startswith("Positive: at or above the operating point")
    both = settled(page)
    assert all(dark > 1000 and coloured > 500 for dark, coloured in both), both
    count = page.locator("#foci li").count()
    assert count > 1

    page.keyboard.press("a")  # the map off
    page.keyboard.press("u")  # the outlines off
    assert page.get_attribute("#map", "aria-pressed") == "false"
    assert sum(coloured for _, coloured in settled(page)) == 0
    page.keyboard.press("u")
    assert sum(coloured for _, coloured in settled(page)) > 100
    before = settled(page)[0][0]
    page.keyboard.press("3")  # another window
    assert settled(page)[0][0] != before
    for _ in range(4):
        page.keyboard.press("+")
    assert page.inner_text("#zoom") == "244 %"
    page.keyboard.press("0")
    page.locator("#foci button").first.focus()
    page.keyboard.press("Enter")
    assert page.get_attribute("#foci button", "aria-pressed") == "true"

    def downloaded(kind: str) -> tuple[str, bytes]:
        with page.expect_download() as coming:
            page.click(f"[data-link={kind}]")
        return coming.value.suggested_filename, Path(coming.value.path()).read_bytes()

    name, content = downloaded("json")
    told = json.loads(content)
    assert name == f"{told['scan_id']}.json"
    assert f"{told['mbd_probability']:.2f}" == page.inner_text("#probability")
    assert len(told["foci"]) == count
    name, content = downloaded("image")
    assert Image.open(io.BytesIO(content)).format == "PNG"
    source = dcmread(SCAN)
    for kind in ("capture", "report", "outlines"):
        name, content = downloaded(kind)
        assert name.endswith(f"{kind}.dcm")
        assert dcmread(io.BytesIO(content)).StudyInstanceUID == source.StudyInstanceUID
    page.click("#forget")
    page.wait_for_selector("main[data-phase=empty]")
    assert page.is_visible("#drop")
    assert wrong == []
    context.close()


def test_what_is_no_scan_is_said_in_words(
    chromium: Any, hands: SimpleNamespace, address: str
) -> None:
    page = chromium.new_page()
    page.goto(address)
    page.set_input_files(
        "#files", {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"dear"}
    )
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem") == "None of these files is a bone scan that can be read."
    assert page.inner_text("#reasons li").startswith("letter.txt: is neither a DICOM file")
    page.set_input_files("#files", str(SCAN))
    shown(page)
    assert page.is_hidden("#problem")
    assert page.is_hidden("#refused")
    page.close()


def test_a_token_is_asked_for(chromium: Any, hands: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(TOKEN + "\n")
    with running_service(ServiceSettings(port=0, tokens=file)) as address:
        page = chromium.new_page()
        wrong = hands.watch(page)
        page.goto(address)
        page.set_input_files("#files", str(SCAN))
        page.wait_for_selector("#problem:not([hidden])")
        assert "A valid token is needed" in page.inner_text("#problem")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.set_input_files("#files", str(SCAN))
        shown(page)
        assert wrong == []
        page.close()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed")
def test_axe_finds_nothing(chromium: Any, hands: SimpleNamespace, address: str) -> None:
    context = chromium.new_context(bypass_csp=True, viewport={"width": 1600, "height": 1000})
    page = context.new_page()
    page.goto(address)
    axe = AXE.read_text()
    assert hands.axe_violations(page, axe) == []
    page.set_input_files("#files", str(SCAN))
    shown(page)
    assert hands.axe_violations(page, axe) == []
    page.keyboard.press("?")
    assert hands.axe_violations(page, axe) == []
    context.close()


@pytest.mark.parametrize("width", [1200, 1600, 2560])
def test_nothing_is_cut_off(chromium: Any, address: str, width: int) -> None:
    context = chromium.new_context(viewport={"width": width, "height": round(width * 0.62)})
    page = context.new_page()
    page.goto(address)
    page.set_input_files("#files", str(SCAN))
    shown(page)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    for pane in page.locator(".pane canvas").all():
        box = pane.bounding_box()
        assert box["width"] > 0.3 * width
        assert box["height"] > 300
    context.close()
