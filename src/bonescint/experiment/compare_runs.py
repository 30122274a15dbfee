"""Two runs side by side: the models of one less the models of the other, on the same scans."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path

import bonescint
from bonescint.cohort import Manifest, read_manifest
from bonescint.evaluate import Comparison, Resampling
from bonescint.experiment.evaluating import EvaluationSettings, compare_against
from bonescint.experiment.evaluation_page import NOTICE
from bonescint.experiment.joining import Joined, join, read_predictions
from bonescint.report.document_page import Document, PageSection, PageTable, write_document
from bonescint.scan import InputError, OutputError, os_reason


def compare_runs(first: Path | str, second: Path | str, out: Path | str) -> Path:
    """Compare every model of a run with every model of another, paired.

    The scans that both runs tested are compared, whatever else their cohorts hold.

    Args:
        first: run folder of `run_experiment`.
        second: another one.
        out: folder for `comparison.html`.

    Returns:
        The page.

    Raises:
        InputError: a folder that is no finished run, or no common test scans of both classes.
        OutputError: the page cannot be written.
    """
    one, other = Path(first), Path(second)
    sections = []
    settings = EvaluationSettings(resampling=Resampling(resamples=2000))
    for name, ours in _models(one).items():
        for other_name, theirs in _models(other).items():
            found = compare_against(ours, theirs, settings, name=other_name)
            sections.append(
                PageSection(
                    title=f"{one.name}: {name}, less {other.name}: {other_name}",
                    paragraphs=(f"{found.scans} test scans that both have read.",),
                    tables=(
                        _table("In closed form", found.closed),
                        _table("By resampling", found.resampled),
                    ),
                )
            )
    page = Path(out) / "comparison.html"
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({os_reason(error)}).") from error
    write_document(
        page,
        Document(
            title="Two runs side by side",
            notice=NOTICE,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            facts=(
                ("First", str(one)),
                ("Second", str(other)),
                ("Operating points", settings.rule.words + ", on each run's validation split"),
                ("Software", f"bonescint {bonescint.__version__}"),
            ),
            sections=tuple(sections),
        ),
    )
    return page


def _models(run: Path) -> dict[str, Joined]:
    """Predictions of every model of a run, joined with its cohort."""
    file = run / "study.json"
    try:
        study = json.loads(file.read_text(encoding="utf-8"))["study"]
        manifest = study["cohort"]["manifest"] or run / "cohort" / "manifest.csv"
        names = list(study["models"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"is no run folder ({type(error).__name__})"
        raise InputError(run, problem, "Give a folder of bonescint experiment run") from error
    cohort: Manifest = read_manifest(Path(manifest))
    found = {}
    for name in names:
        predictions = run / "predictions" / f"{name}.csv"
        if not predictions.is_file():
            raise InputError(predictions, "no such file", "Finish the run first")
        found[name] = join(read_predictions(predictions), cohort, source=predictions)
    return found


def _table(caption: str, found: tuple[Comparison, ...]) -> PageTable:
    return PageTable(
        caption=caption,
        columns=("", "First", "Second", "Difference", "p", "Test"),
        rows=tuple(
            (
                one.words,
                f"{one.first:.3f}",
                f"{one.second:.3f}",
                one.difference.text(),
                "" if math.isnan(one.p_value) else f"{one.p_value:.4f}",
                one.test,
            )
            for one in found
        ),
        numeric=(1, 2, 3, 4),
    )
