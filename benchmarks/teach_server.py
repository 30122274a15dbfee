"""How long a learner waits: for the first case, for the feedback, for the next case.

    python benchmarks/teach_server.py --cases 30 --course solitary-lesions

Starts `bonescint teach` as a learner does, in a process of its own, with an empty folder for the
answers, and reads with a real Chromium through the pages themselves:

* from the start of the process to the pixels of the first case on the page,
* from submitting an answer to its feedback on the page,
* from the key to the next case on the page, after `--look-s` seconds of looking at the feedback.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def started(progress: Path, course: str, model: str) -> tuple[subprocess.Popen[str], str, float]:
    """The server, the address that it prints, and when it was started."""
    began = time.monotonic()
    command = [sys.executable, "-m", "bonescint", "teach", "--no-open", "--course", course]
    server = subprocess.Popen(
        [*command, "--progress", str(progress), "--model", model],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    for line in server.stderr or ():
        found = re.search(r"Learn to read: (http://[\d.]+:\d+)", line)
        if found:
            return server, found[1], began
    raise SystemExit("the server did not start")


def read_cases(page: Any, address: str, course: str, arguments: argparse.Namespace) -> dict:
    """Read the cases; all times in milliseconds."""
    page.goto(f"{address}/case/{course}")
    page.wait_for_selector("#reading[data-case]")
    first = time.monotonic()
    feedback, following = [], []
    for number in range(1, arguments.cases + 1):
        page.wait_for_timeout(1000 * arguments.read_s)
        page.keyboard.press("f")
        page.keyboard.press("n")
        page.keyboard.press("c")
        page.keyboard.type("20")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#reading[data-feedback]")
        feedback.append(float(page.get_attribute("#reading", "data-answer-ms")))
        page.wait_for_timeout(1000 * arguments.look_s)
        page.keyboard.press("Enter")
        page.wait_for_selector(f'#reading[data-number="{number + 1}"]:not([data-feedback])')
        following.append(float(page.get_attribute("#reading", "data-ready-ms")))
    return {"first": first, "feedback_ms": feedback, "next_ms": following}


def summary(times: list[float]) -> str:
    """Median, 95th percentile and greatest."""
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"median {statistics.median(times):.0f}, 95 % {high:.0f}, greatest {ordered[-1]:.0f} ms"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--course", default="solitary-lesions")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--read-s", type=float, default=4.0, help="seconds before an answer")
    parser.add_argument("--look-s", type=float, default=4.0, help="seconds before the next case")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(found for name in NAMES if (found := shutil.which(name)))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(600_000)
        progress = Path(folder) / "teach.sqlite"
        server, address, began = started(progress, arguments.course, arguments.model)
        listens = time.monotonic() - began
        try:
            found = read_cases(page, address, arguments.course, arguments)
        finally:
            server.terminate()
            server.wait()
            browser.close()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"from the start to the address: {listens:.2f} s")
    print(f"from the start to the first case: {found['first'] - began:.2f} s")
    print(f"feedback after the answer: {summary(found['feedback_ms'])}")
    print(f"next case after the key: {summary(found['next_ms'])}")
    print(f"{arguments.cases} cases, {os.cpu_count()} processors, load {load:.1f}")
    if arguments.json is not None:
        told = {**found, "first_s": found.pop("first") - began, "load": load}
        arguments.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
