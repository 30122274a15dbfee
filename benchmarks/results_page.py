"""How smoothly the results page of 2000 scans scrolls and steps, in a Chromium without a window.

    python benchmarks/results_page.py [--count 2000]

The list is scrolled from its top to its end in 200 turns of the wheel, then 100 scans are
stepped through with the arrow key, one every tenth of a second. Printed are the times between
frames: 16.7 ms is every frame of a screen of 60 Hz; the page is drawn by the processor.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))

from study_browser import browser, playwright

from bonescint.report import PageHeading, PageLayers, ResultRow, write_results_page

WIDTH, HEIGHT, PICTURES = 480, 800, 60
RECORD = """() => {
    window.frames_ms = []; let before = performance.now();
    const note = now => { frames_ms.push(now - before); before = now; requestAnimationFrame(note) };
    requestAnimationFrame(note)
}"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name, playwright(sys.exit) as started:
        folder = Path(name)
        _write(folder, count)
        with browser(started) as opened:
            page = opened.new_page(viewport={"width": 1400, "height": 900})
            began = time.perf_counter()
            page.goto((folder / "index.html").as_uri())
            page.wait_for_selector(".scan.shown")
            print(f"{count} scans opened in {time.perf_counter() - began:.1f} s")
            _scroll(page)
            _step(page)


def _write(folder: Path, count: int) -> None:
    """A page of `count` scans, which share 60 pairs of pictures."""
    (folder / "pictures").mkdir()
    rng = np.random.default_rng(1)
    for number in range(PICTURES):
        grey = rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(grey).save(folder / "pictures" / f"{number}.grey.webp", quality=50)
        evidence = rng.integers(0, 256, (HEIGHT // 2, WIDTH // 2, 4), dtype=np.uint8)
        Image.fromarray(evidence).save(folder / "pictures" / f"{number}.evidence.webp", quality=50)
    rows = [
        ResultRow(
            scan_id=f"bs-{number:016x}", source=f"study-{number:05d}/IM0001.dcm",
            views=("anterior", "posterior"), mbd_probability=number % 100 / 100,
            positive=number % 100 >= 40, uncertain=False, unlike=False, warnings=(),
            layers=PageLayers(
                grey=f"pictures/{number % PICTURES}.grey.webp",
                evidence=f"pictures/{number % PICTURES}.evidence.webp",
                width=WIDTH, height=HEIGHT, pixel_mm=2.5,
            ),
        )
        for number in range(count)
    ]  # fmt: skip
    heading = PageHeading(
        title="t", notice="n", created="c", model_summary="m", model=(), operating_point=0.4
    )
    write_results_page(folder / "index.html", heading, rows)


def _scroll(page: Any) -> None:
    box = page.locator("#list-scroll").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    whole = page.eval_on_selector("#list-scroll", "list => list.scrollHeight")
    page.evaluate(RECORD)
    for _ in range(200):
        page.mouse.wheel(0, whole / 200)
        page.wait_for_timeout(16)
    _print("scrolled", page)
    left = page.eval_on_selector(
        "#list-scroll", "list => list.scrollHeight - list.scrollTop - list.clientHeight"
    )
    if left >= 10:
        sys.exit("the end of the list was not reached")


def _step(page: Any) -> None:
    page.evaluate("window.frames_ms.length = 0")
    for _ in range(100):
        page.keyboard.press("ArrowDown")
        page.wait_for_timeout(100)
    _print("stepped", page)


def _print(what: str, page: Any) -> None:
    frames = page.evaluate("frames_ms")
    late = sum(one > 50 for one in frames) / len(frames)
    cuts = statistics.quantiles(frames, n=100)
    print(
        f"{what}: {len(frames)} frames, median {cuts[49]:.1f} ms, 95th percentile {cuts[94]:.1f} "
        f"ms, slowest {max(frames):.0f} ms, {late:.1%} of them over 50 ms"
    )


if __name__ == "__main__":
    main()
