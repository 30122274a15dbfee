"""`bonescint simulate`."""

from __future__ import annotations

from pathlib import Path

from bonescint.cli.console import clear_failures, messages_console, progress_bar
from bonescint.report import displayable


def run_simulate_cohort(out: Path, *, count: int, seed: int, workers: int | None) -> None:
    """Simulate a cohort on disk and say where its manifest is."""
    with clear_failures():
        from bonescint.cohort import simulate_cohort

        with progress_bar() as bar:
            task = bar.add_task("Simulating", total=count)
            simulate_cohort(
                out,
                count=count,
                seed=seed,
                workers=workers,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        messages_console().print(
            f"{count} studies of patients that never lived; manifest: "
            + displayable(out / "manifest.csv"),
            soft_wrap=True,
        )
