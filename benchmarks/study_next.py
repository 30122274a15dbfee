"""Reading in a real Chromium: how soon after "next" the next case is ready to be read.

    python benchmarks/study_next.py --cases 134

One reader answers by keyboard, as a test does, cases of usual size (1024 x 256, two views, 1 MB).
"Ready" is the moment at which the page has drawn the case and takes input, on the page's own
clock, from the moment at which the answer to the case before was submitted. Browser and server
share this machine.
"""

from __future__ import annotations

import argparse
import os
import runpy
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from bonescint.study.serving import running_study
from bonescint.study.simulated import invitation_links

SUPPORT = Path(__file__).parents[1] / "tests" / "support"


def main() -> None:
    """Read the command line, make a study, read it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=134)
    cases = parser.parse_args().cases
    world, hands = (
        SimpleNamespace(**runpy.run_path(str(SUPPORT / name)))
        for name in ("study_world.py", "study_browser.py")
    )
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        cohort = world.write_cohort(home / "cohort", cases + 2 + cases % 2, finer=4)
        study = world.make_study(home / "study", cohort, readers=1, sample=cases, balanced=False)
        ready = np.array(read(hands, study, cases))
    print(
        f"{ready.size} cases after 'next': median {np.median(ready):.0f} ms, 90 % "
        f"{np.quantile(ready, 0.9):.0f} ms, longest {ready.max():.0f} ms; load of the machine "
        f"{os.getloadavg()[0]:.1f}"
    )


def read(hands: SimpleNamespace, study: object, cases: int) -> list[float]:
    """Milliseconds from each answer to the next case."""
    found: list[float] = []
    with (
        running_study(study) as address,  # type: ignore[arg-type]
        hands.playwright(lambda reason: exit(reason)) as playwright,
        hands.browser(playwright) as browser,
    ):
        page = browser.new_page(viewport={"width": 1600, "height": 900})
        page.set_default_timeout(120_000)
        hands.accept(page, address, invitation_links(study)["r1"])  # type: ignore[arg-type]
        hands.enter_environment(page)
        for number in range(2 + cases):
            page.wait_for_selector(f'#reading[data-position="{number}"]')
            took = page.get_attribute("#reading", "data-ready-ms")
            if took and number > 2:  # before, a reader looks at the feedback of training
                found.append(float(took))
            hands.answer_with_keys(
                page, positive=number % 2 == 0, confidence=number % 101, focus=number % 2 == 0
            )
            if number < 2:
                hands.pass_feedback(page)
        page.wait_for_url("**/finished")
    return found


if __name__ == "__main__":
    main()
