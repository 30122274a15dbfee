"""The report of a whole study: one page that needs nothing but itself, and the same on paper."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import bonescint
from bonescint.cohort import Manifest
from bonescint.experiment.checklist import (
    Filler,
    checklist_names,
    read_checklist,
    read_metadata,
    score,
)
from bonescint.experiment.evaluation_page import NOTICE
from bonescint.experiment.plan import Study
from bonescint.experiment.run_facts import run_facts
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.run_results import ModelResults
from bonescint.experiment.study_figures import FlowRow, flow_figure
from bonescint.experiment.study_sections import (
    calibration_section,
    comparisons_section,
    explanation_section,
    performance_section,
    published_sections,
    robustness_section,
)
from bonescint.model import ModelFolder
from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
    write_document,
)
from bonescint.report.paper import write_pdf
from bonescint.scan import MissingExtraError, Split

SIMULATED = (
    "Every scan of this study is simulated. How hard they are to read was chosen "
    "(docs/simulator.md), so a figure near the paper's is so by construction: this is no "
    "reproduction of its result."
)
_SPLIT_WORDS = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "test"}


def write_study_report(
    study: Study, paths: RunPaths, cohort: Manifest, seconds: Mapping[str, float]
) -> None:
    """Write `report.html` and, where WeasyPrint is installed, `report.pdf`.

    Args:
        study: what was done.
        paths: where its parts are.
        cohort: of the study.
        seconds: how long training and reading took, by step.

    Raises:
        InputError: a part of the run cannot be read.
        OutputError: the report cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    models = {name: ModelResults.read(name, paths.evaluation(name)) for name in study.models}
    cards = {name: _folder(study, paths, name) for name in study.models}
    simulated = bool(study.cohort.protocol)
    sections = [
        _about(study, simulated=simulated),
        _cohort_section(paths, cohort),
        performance_section(study, models),
        *published_sections(study, models),
        comparisons_section(study, models),
        calibration_section(models),
        explanation_section(study, models, paths),
        robustness_section(models),
        _time(study, seconds, cohort),
        *_checklists(study, models, cards, cohort),
        _cards(cards),
    ]
    best = max(models, key=lambda name: models[name].estimate("performance", "roc_auc_score").value)
    document = Document(
        title=f"Study {study.name}",
        notice=NOTICE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        headlines=tuple(
            (f"AUC, {name}", *_headline(results, best=name == best))
            for name, results in models.items()
        ),
        facts=(
            ("Cohort", f"{len(cohort.cases)} scans, {paths.manifest.name}"),
            ("Operating point", study.rule.words),
            ("Intervals", f"95 %; {study.resamples} resamples where resampled"),
            ("Software", f"bonescint {bonescint.__version__}"),
        ),
        sections=tuple(sections),
    )
    write_document(paths.report, document)
    try:
        write_pdf(paths.report, paths.pdf)
    except MissingExtraError:
        paths.pdf.unlink(missing_ok=True)


def _folder(study: Study, paths: RunPaths, name: str) -> ModelFolder:
    given = study.models[name].folder
    return ModelFolder.load(paths.model(name) if given is None else given)


def _headline(results: ModelResults, *, best: bool) -> tuple[str, str]:
    area = results.estimate("performance", "roc_auc_score")
    interval = f"95 % interval {area.low:.3f} to {area.high:.3f}"
    return f"{area.value:.3f}", f"{interval}; highest" if best else interval


def _about(study: Study, *, simulated: bool) -> PageSection:
    rows = tuple(
        (name, plan.settings or str(plan.folder), "" if plan.seed is None else str(plan.seed))
        for name, plan in study.models.items()
    )
    return PageSection(
        title="The study",
        paragraphs=(study.about.strip(),) if study.about.strip() else (),
        warnings=(SIMULATED,) if simulated else (),
        tables=(
            PageTable(caption="Models", columns=("Model", "Settings or folder", "Seed"), rows=rows),
        ),
    )


def _cohort_section(paths: RunPaths, cohort: Manifest) -> PageSection:
    with (paths.check / "table1.csv").open(newline="", encoding="utf-8") as stream:
        head, *rows = list(csv.reader(stream))
    flow = flow_figure(_flow(cohort))
    caption = "Flow of scans: centres, splits, and the reference standard."
    return PageSection(
        title="Cohort",
        figures=(PageFigure(caption=caption, content=flow.svg, alternative=caption, wide=True),),
        tables=(
            PageTable(
                caption="Table 1: who is in the cohort",
                columns=("Part", "", *head[2:]),
                rows=tuple(tuple(row) for row in rows),
                numeric=tuple(range(2, len(head))),
            ),
        ),
    )


def _flow(cohort: Manifest) -> list[FlowRow]:
    cases = cohort.cases
    centres = sorted({case.centre for case in cases})
    splits = [split for split in Split if cohort.split(split)]
    by_centre, by_split, by_label, sources = [], [], [], []
    for centre in centres:
        number = sum(case.centre == centre for case in cases)
        by_centre.append(f"centre {centre}\n{number} scans")
    for split in splits:
        part = cohort.split(split)
        patients = len({case.patient_id for case in part})
        by_split.append(f"{_SPLIT_WORDS[split]}\n{len(part)} scans of {patients} patients")
        there = {case.centre for case in part}
        sources.append(tuple(n for n, centre in enumerate(centres) if centre in there))
        positive = sum(case.positive for case in part)
        by_label.append(f"{positive} with disease\n{len(part) - positive} without")
    return [
        FlowRow(title="Scans", boxes=(f"{len(cases)} scans",), come_from=((),)),
        FlowRow(title="Centres", boxes=tuple(by_centre), come_from=((0,),) * len(centres)),
        FlowRow(title="Splits", boxes=tuple(by_split), come_from=tuple(sources)),
        FlowRow(
            title="Reference\nstandard",
            boxes=tuple(by_label),
            come_from=tuple((number,) for number in range(len(splits))),
        ),
    ]


def _time(study: Study, seconds: Mapping[str, float], cohort: Manifest) -> PageSection:
    read = len(cohort.split(Split.VALIDATION)) + len(cohort.split(Split.TEST))
    rows = []
    for name in study.models:
        training = seconds.get(f"train/{name}")
        reading = seconds.get(f"predict/{name}")
        rows.append(
            (
                name,
                "" if training is None else f"{training / 60:.1f} min",
                "" if reading is None else f"{reading:.0f} s",
                "" if reading is None else f"{134 * reading / max(read, 1):.0f} s",
            )
        )
    table = PageTable(
        caption="On this machine",
        columns=("Model", "Training (last part)", f"Reading {read} scans", "For 134 scans"),
        rows=tuple(rows),
        numeric=(1, 2, 3),
        note="Reading includes decoding, maps and a picture a scan.",
    )
    return PageSection(title="Time", tables=(table,))


def _checklists(
    study: Study,
    models: Mapping[str, ModelResults],
    cards: Mapping[str, ModelFolder],
    cohort: Manifest,
) -> Iterator[PageSection]:
    metadata = {} if study.metadata is None else read_metadata(study.metadata)
    facts = run_facts(study, models, cards, cohort)
    for name in checklist_names():
        checklist = read_checklist(name)
        filled = checklist.filled(facts, metadata)
        count, of = score(filled)
        yield PageSection(
            title=checklist.name,
            paragraphs=(
                f"{checklist.title}. Items in a few words. Filled: {count} of {of}. "
                f"{checklist.published}.",
            ),
            tables=(
                PageTable(
                    caption=f"{checklist.name}, item by item",
                    columns=("Item", "About", "Filled by", "With"),
                    rows=tuple(
                        (entry.item.item, entry.item.text, _FILLED_BY[entry.by], entry.content)
                        for entry in filled
                    ),
                ),
            ),
        )


_FILLED_BY = {
    None: "open",
    Filler.RUN: "this run",
    Filler.METADATA: "the study's metadata",
    Filler.PERSON: "its authors",
}


def _cards(cards: Mapping[str, ModelFolder]) -> PageSection:
    tables = []
    for name, folder in cards.items():
        card = folder.card
        training = card.training
        tables.append(
            PageTable(
                caption=f"Model card: {name}",
                columns=("", ""),
                rows=(
                    ("Identifier", folder.model_id),
                    ("Architecture", card.architecture),
                    ("Recipe", card.recipe.identifier),
                    ("Trained on", f"{training.origin}; "
                     + ", ".join(f"{n} {part}" for part, n in training.scans.items())),
                    ("Initial weights", training.weights),
                    ("Epochs", str(training.epochs)),
                    ("Temperature", f"{card.temperature:.3f}"),
                    ("Limitations", " ".join(card.limitations)),
                    ("SHA-256", folder.sha256),
                ),
            )
        )  # fmt: skip
    return PageSection(title="Model cards", tables=tuple(tables))
