"""`bonescint experiment`."""

from __future__ import annotations

from pathlib import Path

from bonescint.cli.console import clear_failures, messages_console
from bonescint.report import displayable
from bonescint.scan import InputError


def run_study(
    study: str,
    out: Path,
    *,
    weights: Path | None,
    device: str,
    workers: int | None,
    external_uses: Path | None,
) -> None:
    """Run a study and say where its report is."""
    with clear_failures():
        from bonescint.experiment import read_study, run_experiment

        if weights is not None and not weights.exists():
            raise InputError(weights, "no such file or folder", "Check the path")
        console = messages_console()
        paths = run_experiment(
            read_study(study),
            out,
            weights=weights,
            device=device,
            workers=workers,
            external_uses=external_uses,
            tell=lambda text: console.print(displayable(f"{text} ..."), soft_wrap=True),
        )
        console.print(displayable(f"The report is {paths.report}."), soft_wrap=True)


def run_comparison(first: Path, second: Path, out: Path) -> None:
    """Compare two runs and say where the page is."""
    with clear_failures():
        from bonescint.experiment import compare_runs

        page = compare_runs(first, second, out)
        messages_console().print(displayable(f"The comparison is {page}."), soft_wrap=True)
