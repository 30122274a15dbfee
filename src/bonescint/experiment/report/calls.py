"""What became of every test scan: read or not, called what, uncertain, unlike the cohort."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bonescint.cohort import Manifest
from bonescint.evaluate import share
from bonescint.experiment.evaluation.results import ModelResults
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.figures import FlowRow
from bonescint.files import json_in
from bonescint.model import ModelFolder
from bonescint.report.document_page import PageSection, PageTable
from bonescint.scan import InputError, Split


def index_test_flow(results: ModelResults, cohort: Manifest) -> list[FlowRow]:
    """The flow of the test split through the index test, a model, as STARD asks for.

    Args:
        results: of the model.
        cohort: of the study.
    """
    scans = len(cohort.split(Split.TEST))
    outcomes = [row["outcome"] for row in results.rows("cases")]
    read = len(outcomes)
    counts = {
        name: outcomes.count(name)
        for name in ("true positive", "false positive", "true negative", "false negative")
    }
    positive = counts["true positive"] + counts["false positive"]
    return [
        FlowRow(title="Test split", boxes=(f"{scans} scans",), come_from=((),)),
        FlowRow(
            title="Index test\ndone",
            boxes=(f"{read} scans read", f"{scans - read} without a prediction"),
            come_from=((0,), (0,)),
        ),
        FlowRow(
            title="Index test\nresult",
            boxes=(f"positive\n{positive} scans", f"negative\n{read - positive} scans"),
            come_from=((0,), (0,)),
        ),
        FlowRow(
            title="Reference\nstandard",
            boxes=(
                f"{counts['true positive']} with disease\n{counts['false positive']} without",
                f"{counts['false negative']} with disease\n{counts['true negative']} without",
            ),
            come_from=((0,), (1,)),
        ),
    ]


def uncertain_section(
    cards: Mapping[str, ModelFolder], paths: RunPaths, cohort: Manifest
) -> PageSection:
    """Calls with the uncertain ones counted apart, and scans unlike the training cohort.

    Args:
        cards: the model folders.
        paths: where their answers are.
        cohort: of the study.

    Raises:
        InputError: answers that cannot be read.
    """
    test = {case.scan_id: case.positive for case in cohort.split(Split.TEST)}
    calls, unlike = [], []
    for name, folder in cards.items():
        answers = [row for row in _answers(paths.results(name)) if row["scan_id"] in test]
        calls += _calls_of(name, folder, answers, test)
        if folder.ood is not None:
            above = sum(
                row.get("ood_score", row.get("unlike_score", 0.0)) > folder.ood.threshold
                for row in answers  # release 0.1 called it unlike_score
            )
            unlike.append(
                (
                    name,
                    f"{folder.ood.threshold:.1f}",
                    f"{100 * folder.ood.false_alarm_rate:.3g} %",
                    f"{above} of {len(answers)}",
                    share(above, len(answers)).text(),
                )
            )
    tables = [
        PageTable(
            caption="Calls of the model folders, with uncertain calls counted separately",
            columns=("Model", "Call", "With disease", "Without disease", "Share of all"),
            rows=tuple(calls),
            numeric=(2, 3, 4),
            note="At the operating point of each model's own card, around which its uncertain "
            "band lies; the section on performance uses the study's operating point.",
        )
    ]
    if unlike:
        tables.append(
            PageTable(
                caption="Test scans that are unlike the training cohort",
                columns=("Model", "Score above", "False alarms, as stated", "Scans", "Share"),
                rows=tuple(unlike),
                numeric=(1, 2, 3, 4),
                note="Scans of another centre may well be unlike. All were called here; "
                "bonescint classify calls such scans on demand only.",
            )
        )
    return PageSection(title="Uncertain and unlike", tables=tuple(tables))


def _calls_of(
    name: str, folder: ModelFolder, answers: list[dict[str, Any]], positive: Mapping[str, bool]
) -> list[tuple[str, ...]]:
    """Rows of the table of one model; the calls are those that were given, not made anew."""
    band = folder.card.uncertain_band
    groups: dict[str, list[str]] = {"positive": [], "negative": []}
    if band is not None:
        groups[f"uncertain ({band[0]:.3f} to {band[1]:.3f})"] = []
    *_, last = groups
    for row in answers:
        call = last if row["uncertain"] else "positive" if row["positive"] else "negative"
        groups[call].append(row["scan_id"])
    rows: list[tuple[str, ...]] = []
    for call, scans in groups.items():
        ill = sum(positive[scan] for scan in scans)
        part = f"{100 * len(scans) / max(len(answers), 1):.1f} %"
        rows.append((name, call, str(ill), str(len(scans) - ill), part))
    return rows


def _answers(folder: Path) -> list[dict[str, Any]]:
    """What `classify` said of each scan, at full precision: its CSV file is rounded."""
    file = folder / "results.json"
    try:
        found: list[dict[str, Any]] = json_in(file.read_text(encoding="utf-8"))["results"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = f"no readable answers ({type(error).__name__})"
        raise InputError(file, problem, "Run the experiment again") from error
    return found
