"""`bonescint cohort compare`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bonescint.cli.console import (
    NOTHING_DONE,
    SOME_FAILED,
    clear_failures,
    messages_console,
    progress_shown,
    say_error,
)
from bonescint.report import displayable

if TYPE_CHECKING:
    from bonescint.cohort.compare import CohortComparison, Scorer

_MOST_LISTED = 20
_NOTICE = "Research use only. Not a medical device."


def run_cohort_compare(
    first: Path,
    second: Path | None,
    out: Path | None,
    *,
    label: bool | None,
    model: Path | None,
    save: Path | None,
    workers: int | None,
) -> None:
    """Compare two cohorts and say what was found, or keep a normal database."""
    if wrong := _wrong(second, out, model=model, save=save):
        say_error(wrong)
        raise typer.Exit(NOTHING_DONE)
    with clear_failures():
        from bonescint.cohort.compare import compare_cohorts
        from bonescint.parallel import usual_workers

        with _scorer(model) as scorer, progress_shown() as shown:
            found = compare_cohorts(
                first,
                second,
                out,
                label=label,
                save=save,
                scorer=scorer,
                workers=usual_workers(workers),
                progress=shown.progress,
            )
        if save is not None:
            _report_saved(save)
        if found is not None:
            _report(found)
            _say(f"Look at {Path(str(out)) / 'report.html'}. {_NOTICE}")
            if any(side.omitted for side in found.sides):
                raise typer.Exit(SOME_FAILED)


def _wrong(second: Path | None, out: Path | None, *, model: Path | None, save: Path | None) -> str:
    """What is wrong with what was asked for, or nothing."""
    if second is None and save is None:
        return "There is nothing to compare A with. Give B and --out, or --save."
    if (second is None) != (out is None):
        missing = "--out, the folder of the report" if out is None else "B, or leave --out out"
        return f"A comparison needs both B and --out. Give {missing}."
    if second is None and model is not None:
        return "A normal database holds no scores. Leave --model out, or give B and --out."
    return ""


@contextmanager
def _scorer(model: Path | None) -> Iterator[Scorer | None]:
    """An open model as a comparison takes it."""
    if model is None:
        yield None
        return
    from bonescint.cohort.compare import Scorer
    from bonescint.model import Classifier, ModelFolder

    # Shares of calls are of all scans, unlike ones, too.
    with Classifier(ModelFolder.load(model), call_anyway=True) as classifier:
        yield Scorer(
            model_id=classifier.model_id,
            preprocessing=classifier.folder.card.preprocessing,
            predict=classifier.predict_prepared,
        )


def _report_saved(save: Path) -> None:
    from bonescint.cohort.compare import read_normal_database

    kept = read_normal_database(save)
    _say(f"Normal database of {kept.maps.scans} scans of {kept.patients} patients: {save}")
    if kept.unlabelled:
        _say(f"Warning: {kept.unlabelled} of these scans have no label: they were taken as normal")
    _say(_NOTICE)


def _report(found: CohortComparison) -> None:
    for side in found.sides:
        letter = side.side.letter
        scans, patients = side.averages.maps.scans, side.averages.patients
        _say(
            f"{letter}: {scans} scans of {patients} patients"
            if scans
            else f"{letter}: maps of a number of scans that is not known"
        )
        for one in side.omitted[:_MOST_LISTED]:
            _say(f"{letter}: left out {one.source}: {one.reason}")
        more = len(side.omitted) - _MOST_LISTED
        if more > 0:
            _say(f"{letter}: {more} more were left out: tables/left_out.csv")
        for note in side.notes:
            _say(f"{letter}: {note}")
    for warning in found.warnings:
        _say(f"Warning: {warning}")
    if found.separation is None:
        _say(f"Told apart: not available: {found.why_not_separated}")
    else:
        _say(f"Told apart: area {found.separation.area.text()}; 0.5 is alike, 1 always")
    for view, agreed in found.agreement.items():
        _say(
            f"{view.value}: correlation of the mean maps {agreed.mean:.3f}, of spread "
            f"{agreed.sd:.3f}, of asymmetry {agreed.asymmetry_sd:.3f}; mean difference "
            f"{agreed.mean_difference:.3f}"
        )


def _say(text: str) -> None:
    messages_console().print(displayable(text), soft_wrap=True)
