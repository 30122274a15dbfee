"""The report of a whole experiment: one self-contained page, also as a PDF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import bonescint
from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate
from bonescint.experiment.evaluation.data import read_maps
from bonescint.experiment.evaluation.results import NOTICE, read_result
from bonescint.experiment.paths import RunPaths, read_rows, write_rows
from bonescint.experiment.report.checklist import (
    Filler,
    checklist_names,
    read_checklist,
    read_metadata,
    score,
)
from bonescint.experiment.report.checklist_answers import checklist_answers
from bonescint.experiment.report.experiment_sections import (
    Results,
    calibration_section,
    comparisons_section,
    index_test_flow,
    performance_section,
    robustness_section,
    subgroups_section,
    uncertain_section,
)
from bonescint.experiment.report.figures import (
    FigureWriter,
    FlowRow,
    architecture_figures,
    flow_figure,
    input_figures,
)
from bonescint.experiment.report.model_report import few_cases, interval_text
from bonescint.experiment.report.published_comparison import published_sections
from bonescint.experiment.report.saliency_sections import explanation_section
from bonescint.experiment.spec import ExperimentSpec
from bonescint.model import ModelCard, ModelFolder
from bonescint.report.document_page import (
    Document,
    PageSection,
    PageTable,
    slug,
    write_document,
    write_pdf,
)
from bonescint.scan import MissingExtraError, Split

SIMULATED = (
    "Every scan of this experiment is simulated. Their difficulty was chosen (docs/simulator.md), "
    "so a result near the paper's is a matter of construction: this is not a reproduction of the "
    "paper's result."
)
_LONGEST_NAME = 60
_SPLIT_WORDS = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "test"}
_FILLED_BY = {
    None: "open",
    Filler.RUN: "this run",
    Filler.METADATA: "the experiment's metadata",
    Filler.PERSON: "its authors",
}


def write_experiment_report(
    spec: ExperimentSpec, paths: RunPaths, cohort: Manifest, seconds: Mapping[str, float]
) -> str:
    """Write `report.html`, its figures and tables, and `report.pdf` if WeasyPrint is installed.

    Args:
        spec: the experiment.
        paths: paths of the run folder.
        cohort: cohort of the experiment.
        seconds: seconds that training and prediction took, by step.

    Returns:
        Why there is no `report.pdf`; empty if there is one.

    Raises:
        InputError: a part of the run cannot be read.
        OutputError: the report cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    results = {
        name: read_result(paths.evaluation(name) / "evaluation.json") for name in spec.models
    }
    cards = {name: _folder(spec, paths, name) for name in spec.models}
    answers = {name: read_maps(paths.results(name) / "results.json") for name in spec.models}
    kept = FigureWriter(paths.figures)
    reading = _seconds_a_scan(spec, seconds, cohort)
    sections = [
        _about(spec, cards),
        _cohort_section(results, paths, cohort, kept),
        _networks(cards, cohort, kept),
        performance_section(spec, results, paths, kept),
        *published_sections(spec, results, cohort, reading, paths.report),
        comparisons_section(spec, results),
        calibration_section(results, paths),
        uncertain_section(cards, answers, cohort),
        subgroups_section(results, paths),
        explanation_section(spec, results, answers, paths, cohort),
        robustness_section(results, paths),
        _time(spec, seconds, reading, cohort),
        *_checklists(spec, results, cards, cohort),
        _model_cards(cards),
        _further(spec, paths),
    ]
    _write_tables(paths.tables, sections)
    test = cohort.split(Split.TEST)
    areas = {name: result.judgement.area for name, result in results.items()}
    best = max(areas, key=lambda name: areas[name].value)
    document = Document(
        title=f"Experiment {spec.name}",
        notice=NOTICE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        headlines=few_cases(len(test), sum(case.positive for case in test))
        or tuple(
            (f"AUC, {name}", *_headline(area, best=name == best)) for name, area in areas.items()
        ),
        facts=(
            ("Cohort", f"{len(cohort.cases)} scans, {paths.manifest.name}"),
            ("Operating point", spec.rule.words),
            ("Intervals", f"95 %; {spec.resamples} resamples where resampled"),
            ("Software", f"bonescint {bonescint.__version__}"),
        ),
        sections=tuple(sections),
    )
    write_document(paths.report, document)
    try:
        write_pdf(paths.report, paths.pdf)
    except MissingExtraError as error:
        paths.pdf.unlink(missing_ok=True)
        return str(error)
    return ""


def _write_tables(folder: Path, sections: Sequence[PageSection]) -> None:
    """Every table of the report as a file, numbered in its order."""
    for old in folder.glob("*.csv"):
        old.unlink()
    tables = [table for section in sections for table in section.tables]
    for number, table in enumerate(tables, 1):
        words = slug(table.caption)[:_LONGEST_NAME]
        write_rows(
            folder / f"{number:02d}-{words}.csv", list(table.columns), [list(r) for r in table.rows]
        )


def _further(spec: ExperimentSpec, paths: RunPaths) -> PageSection:
    """Where to find the files with details that are not on this page."""
    rows = [
        (f"evaluation/{name}/report.html", f"{name}: all metrics, subgroups, failures, every scan")
        for name in spec.models
    ]
    rows += [(f"predictions/{name}.csv", f"{name}: every probability") for name in spec.models]
    rows += [
        (f"{paths.check.name}/findings.csv", "what a check of the cohort found"),
        ("splits.csv", "which scan was in which split"),
        ("study.json", "the experiment, versions, and the hash of the manifest"),
        (f"{paths.figures.name}/, {paths.tables.name}/", "figures and tables of this page"),
    ]
    table = PageTable(caption="In the run folder", columns=("File", "What"), rows=tuple(rows))
    return PageSection(title="Further files", tables=(table,))


def _folder(spec: ExperimentSpec, paths: RunPaths, name: str) -> ModelFolder:
    given = spec.models[name].folder
    return ModelFolder.load(paths.model(name) if given is None else given)


def _headline(area: Estimate, *, best: bool) -> tuple[str, str]:
    said = (interval_text(area), "highest" if best else "")
    return f"{area.value:.3f}", "; ".join(text for text in said if text)


def _about(spec: ExperimentSpec, cards: Mapping[str, ModelFolder]) -> PageSection:
    rows = []
    for name, plan in spec.models.items():
        seed = str(cards[name].card.training.settings.get("seed", "not known"))
        rows.append((name, Path(plan.settings or str(plan.folder)).name, seed))
    columns = ("Model", "Settings or folder", "Seed")
    return PageSection(
        title="The experiment",
        paragraphs=(spec.about.strip(),) if spec.about.strip() else (),
        warnings=(SIMULATED,) if spec.cohort.protocol else (),
        tables=(PageTable(caption="Models", columns=columns, rows=tuple(rows)),),
    )


def _networks(
    cards: Mapping[str, ModelFolder], cohort: Manifest, kept: FigureWriter
) -> PageSection:
    """The networks' inputs and layers."""
    figures = [
        kept.figure(f"{name}-{number}", picture, caption, wide=name == "network")
        for name, drawn in (
            ("input", input_figures(cards, cohort)),
            ("network", architecture_figures(cards)),
        )
        for number, (caption, picture) in enumerate(drawn, 1)
    ]
    return PageSection(title="Input and networks", figures=tuple(figures))


def _cohort_section(
    results: Results, paths: RunPaths, cohort: Manifest, kept: FigureWriter
) -> PageSection:
    head, rows = read_rows(paths.check / "table1.csv")
    caption = "Flow of scans: centres, splits, and the reference standard."
    figures = [kept.figure("flow", flow_figure(_flow(cohort)), caption, wide=True)]
    for name, result in results.items():
        flow = flow_figure(index_test_flow(result, cohort), width=3.7)
        caption = f"{name}: the test split through the index test."
        figures.append(kept.figure(f"flow-{name}", flow, caption))
    return PageSection(
        title="Cohort",
        figures=tuple(figures),
        tables=(
            PageTable(
                caption="Table 1: the cohort",
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


def _seconds_a_scan(
    spec: ExperimentSpec, seconds: Mapping[str, float], cohort: Manifest
) -> dict[str, float]:
    read = len(cohort.split(Split.VALIDATION)) + len(cohort.split(Split.TEST))
    return {
        name: seconds[f"predict/{name}"] / max(read, 1)
        for name in spec.models
        if f"predict/{name}" in seconds
    }


def _time(
    spec: ExperimentSpec,
    seconds: Mapping[str, float],
    reading: Mapping[str, float],
    cohort: Manifest,
) -> PageSection:
    read = len(cohort.split(Split.VALIDATION)) + len(cohort.split(Split.TEST))
    rows = []
    for name in spec.models:
        training, one = seconds.get(f"train/{name}"), reading.get(name)
        rows.append(
            (
                name,
                "" if training is None else f"{training / 60:.1f} min",
                "" if one is None else f"{one * read:.0f} s",
                "" if one is None else f"{one:.2f} s",
            )
        )
    table = PageTable(
        caption="On this machine",
        columns=("Model", "Training (last part)", f"Reading {read} scans", "A scan"),
        rows=tuple(rows),
        numeric=(1, 2, 3),
        note="Reading includes decoding, maps and one picture per scan; a reading that was "
        "interrupted is not timed.",
    )
    return PageSection(title="Time", tables=(table,))


def _checklists(
    spec: ExperimentSpec,
    results: Results,
    cards: Mapping[str, ModelFolder],
    cohort: Manifest,
) -> Iterator[PageSection]:
    metadata = read_metadata(spec.metadata)
    facts = checklist_answers(spec, results, cards, cohort)
    for name in checklist_names():
        checklist = read_checklist(name)
        filled = checklist.filled(facts, metadata)
        count, of = score(filled)
        yield PageSection(
            title=checklist.name,
            paragraphs=(
                f"{checklist.title}. Items are abbreviated. Filled: {count} of {of}. "
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


def _model_cards(cards: Mapping[str, ModelFolder]) -> PageSection:
    """The card of each model, and its metrics."""
    tables = []
    for name, folder in cards.items():
        tables.append(
            PageTable(
                caption=f"Model card: {name}", columns=("", ""), rows=tuple(_card_rows(folder))
            )
        )
        if folder.card.metrics:
            tables.append(
                PageTable(
                    caption=f"Figures on the card of {name}",
                    columns=("", "Value", "Measured on"),
                    rows=tuple(
                        (metric.in_words, metric.value_text, metric.measured_on)
                        for metric in folder.card.metrics
                    ),
                    numeric=(1,),
                )
            )
    return PageSection(title="Model cards", tables=tuple(tables))


def _card_rows(folder: ModelFolder) -> Iterator[tuple[str, str]]:
    card, training = folder.card, folder.card.training
    band, detector = card.uncertain_band, folder.ood
    yield "Identifier", folder.model_id
    yield "Intended use", card.intended_use
    yield "Architecture", card.architecture
    yield "Preprocessing", f"{card.preprocessing.identifier}, {card.preprocessing.rows} rows"
    yield "Trained on", f"{training.origin}; {training.learnt_from}"
    yield "Initial weights", training.weights
    yield "Epochs", str(training.epochs)
    yield "Calibration", _calibration(card)
    yield "Operating point", _by_rule(f"{card.operating_point:.3f}", card.operating_point_rule)
    if band is not None:
        yield "Uncertain band", _by_rule(f"{band[0]:.3f} to {band[1]:.3f}", card.uncertain_rule)
    if detector is not None:
        yield (
            "Unlike the cohort",
            f"score above {detector.threshold:.1f}; at most "
            f"{100 * detector.false_alarm_rate:.3g} % of scans like the {detector.scans} of its "
            "validation",
        )
    yield "Limitations", " ".join(card.limitations)
    yield "Licence", card.licence
    yield "SHA-256", folder.sha256


def _calibration(card: ModelCard) -> str:
    line = f"slope {card.calibration.slope:.3f}, intercept {card.calibration.intercept:z.3f}"
    return line if card.calibrated_on is None else f"{line}; {card.calibrated_on.in_words}"


def _by_rule(figure: str, rule: str) -> str:
    """A figure and how it was chosen, if that is known."""
    return f"{figure}: {rule}" if rule else figure
