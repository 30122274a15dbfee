"""`bonescint experiment`."""

from __future__ import annotations

from pathlib import Path

from bonescint.cli.console import clear_failures, messages_console, progress_shown
from bonescint.files import require_new, write_whole
from bonescint.report import displayable
from bonescint.scan import InputError


def run_study(
    study: str,
    out: Path | None,
    *,
    weights: Path | None,
    device: str,
    workers: int | None,
    external_uses: Path | None,
    tracking: str,
) -> None:
    """Run a study and say where its report is."""
    with clear_failures():
        from bonescint.experiment import read_experiment, run_experiment

        if weights is not None and not weights.exists():
            raise InputError(weights, "no such file or folder", "Check the path")
        console = messages_console()
        plan = read_experiment(study)
        with progress_shown() as shown:
            paths = run_experiment(
                plan,
                Path("runs") / plan.name if out is None else out,
                weights=weights,
                device=device,
                workers=workers,
                external_uses=external_uses,
                tracking=tracking,
                tell=shown.tell,
                progress=shown.progress,
            )
        console.print(displayable(f"The report is {paths.report}."), soft_wrap=True)


def write_metadata_template(out: Path) -> None:
    """Write a file to be filled, never over one that is there."""
    with clear_failures():
        from bonescint.experiment import metadata_template

        require_new(out)
        write_whole(out, metadata_template())
        messages_console().print(displayable(f"Fill in {out}."), soft_wrap=True)


def run_comparison(first: Path, second: Path, out: Path) -> None:
    """Compare two runs and say where the page is."""
    with clear_failures():
        from bonescint.experiment import compare_runs

        page = compare_runs(first, second, out)
        messages_console().print(displayable(f"The comparison is {page}."), soft_wrap=True)
