"""The report of a whole study: one page that needs nothing but itself, and the same on paper."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

import bonescint
from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate
from bonescint.experiment.checklist import (
    Filler,
    checklist_names,
    read_checklist,
    read_metadata,
    score,
)
from bonescint.experiment.plan import Study
from bonescint.experiment.published import read_published
from bonescint.experiment.run_facts import run_facts
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.run_results import ModelResults, paired_share
from bonescint.experiment.study_figures import FlowRow, curves_figure, flow_figure
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

NOTICE = "Research use only. Not a medical device: no diagnosis may rest on these figures."
SIMULATED = (
    "Every scan of this study is simulated. How hard they are to read was chosen "
    "(docs/simulator.md), so a figure near the paper's is so by construction: this is no "
    "reproduction of its result."
)
_MEASURES = (
    ("roc_auc_score", "Area under the ROC curve"),
    ("sensitivity_score", "Sensitivity"),
    ("specificity_score", "Specificity"),
    ("positive_predictive_value_score", "Positive predictive value"),
    ("negative_predictive_value_score", "Negative predictive value"),
    ("f1_score", "F1"),
)
_EXAMPLES = 2
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
        _performance(study, models),
        *_published(study, models),
        _comparisons(study, models),
        _calibration(models),
        _explanation(study, models, paths),
        _robustness(models),
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


def _performance(study: Study, models: Mapping[str, ModelResults]) -> PageSection:
    curves, points, labels = {}, {}, {}
    for name, results in models.items():
        rows = results.rows("roc_curve")
        curves[name] = [(1 - row["specificity"], row["sensitivity"]) for row in rows]
        area = results.estimate("performance", "roc_auc_score")
        labels[name] = f"{name} {area.text()}"
        points[name] = (
            1 - results.estimate("performance", "specificity_score").value,
            results.estimate("performance", "sensitivity_score").value,
        )
    figure = curves_figure(curves, labels, points)
    figures = [
        PageFigure(
            caption="ROC curves of the test split; dots are the operating points.",
            content=figure.svg,
            alternative="ROC curves of all models",
        )
    ]
    for name, results in models.items():
        content = results.picture("confusion")
        if content is not None:
            caption = f"{name}: confusion matrix at the operating point."
            figures.append(PageFigure(caption=caption, content=content, alternative=caption))
    return PageSection(
        title="Performance on the test split",
        paragraphs=(f"Operating point: {study.rule.words}, on the validation split only.",),
        figures=tuple(figures),
        tables=(
            _measures(models, "performance", "At the operating point"),
            _measures(models, "performance_at_half", "At 0.5"),
        ),
    )


def _measures(models: Mapping[str, ModelResults], table: str, caption: str) -> PageTable:
    rows = []
    for measure, words in _MEASURES:
        estimates = [results.estimate(table, measure) for results in models.values()]
        if any(estimate.defined for estimate in estimates):
            rows.append((words, *(estimate.text() for estimate in estimates)))
    return PageTable(
        caption=caption,
        columns=("", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
    )


def _published(study: Study, models: Mapping[str, ModelResults]) -> Iterator[PageSection]:
    if not study.published:
        return
    paper = read_published(study.published)
    tables = []
    for table, caption in (("performance", "At the operating point"),
                           ("performance_at_half", "At 0.5")):  # fmt: skip
        rows = [
            (figure.words, figure.text, *(_beside(results, table, figure.measure)
                                          for results in models.values()))
            for figure in paper.figures
        ]  # fmt: skip
        tables.append(
            PageTable(
                caption=caption,
                columns=("", f"{paper.name}, as published", *models),
                rows=tuple(rows),
                numeric=tuple(range(1, len(models) + 2)),
            )
        )
    yield PageSection(
        title="Beside the published figures",
        paragraphs=(f"{paper.source}. Ours are of other scans; no test between the two is made.",),
        tables=tuple(tables),
    )


_COMPLEMENTS = {
    "false_positive_rate": "specificity_score",
    "false_negative_rate": "sensitivity_score",
}


def _beside(results: ModelResults, table: str, measure: str) -> str:
    if measure in _COMPLEMENTS:
        found = results.estimate(table, _COMPLEMENTS[measure])
        found = Estimate(value=1 - found.value, low=1 - found.high, high=1 - found.low)
    else:
        found = results.estimate("performance" if measure == "roc_auc_score" else table, measure)
    if measure == "roc_auc_score":
        return found.text()
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _comparisons(study: Study, models: Mapping[str, ModelResults]) -> PageSection:
    tables = []
    reference = study.compared_with
    for name, results in models.items():
        rows = [
            (
                row["in_words"],
                f"{row['first']:.3f}",
                f"{row['second']:.3f}",
                Estimate(value=row["difference"], low=row["low"], high=row["high"]).text(),
                _p(row["p_value"]),
                row["test"],
            )
            for row in results.rows("comparison")
            if row["difference"] is not None and row["low"] is not None
        ]
        if rows:
            tables.append(
                PageTable(
                    caption=f"{name} less {reference}",
                    columns=("", name, reference, "Difference", "p", "Test"),
                    rows=tuple(rows),
                    numeric=(1, 2, 3, 4),
                )
            )
    text = "Paired, on the same scans." if tables else "There is one model only."
    return PageSection(title="Models compared", paragraphs=(text,), tables=tuple(tables))


def _p(value: float | None) -> str:
    if value is None or math.isnan(value):
        return ""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _calibration(models: Mapping[str, ModelResults]) -> PageSection:
    measures = (
        ("calibration_slope", "Slope"),
        ("calibration_intercept", "Intercept"),
        ("brier_error", "Brier score"),
    )
    rows = []
    for measure, words in measures:
        estimates = [results.estimate("calibration", measure) for results in models.values()]
        if any(estimate.defined for estimate in estimates):
            rows.append((words, *(estimate.text() for estimate in estimates)))
    figures = []
    for name, results in models.items():
        content = results.picture("calibration")
        if content is not None:
            caption = f"{name}: reliability curve."
            figures.append(PageFigure(caption=caption, content=content, alternative=caption))
    table = PageTable(
        caption="Probabilities as the model folder gives them (temperature from validation)",
        columns=("", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
    )
    return PageSection(title="Calibration", figures=tuple(figures), tables=(table,))


def _explanation(study: Study, models: Mapping[str, ModelResults], paths: RunPaths) -> PageSection:
    tables = []
    words: dict[str, str] = {}
    for results in models.values():
        for row in results.rows("localisation"):
            words.setdefault(row["measure"], row["in_words"])
    rows = [
        (text, *(results.estimate("localisation", measure).text() for results in models.values()))
        for measure, text in words.items()
    ]
    if rows:
        tables.append(
            PageTable(
                caption="Maps of true positives against lesion masks",
                columns=("", *models),
                rows=tuple(rows),
                numeric=tuple(range(1, len(models) + 1)),
            )
        )
        tables.append(_pointing(study, models))
    for name, results in models.items():
        places = results.rows("false_evidence")
        if places:
            tables.append(
                PageTable(
                    caption=f"{name}: where the highest evidence of false positives lies",
                    columns=("Place", "Scans", "Share of false positives"),
                    rows=tuple(
                        (row["place"], f"{row['scans_with_highest']} of {row['scans']}",
                         Estimate(value=row["share"], low=row["low"], high=row["high"]).text())
                        for row in places
                    ),
                    numeric=(1, 2),
                )
            )  # fmt: skip
    return PageSection(
        title="Explanation, measured",
        paragraphs=(
            "A map shows what moved the answer. How far that lies on disease is measured against "
            "lesion masks, where there are some.",
        ),
        figures=tuple(_examples(models, paths)),
        tables=tuple(tables),
    )


def _pointing(study: Study, models: Mapping[str, ModelResults]) -> PageTable:
    reference = models[study.compared_with]
    rows = []
    for name, results in models.items():
        if name == study.compared_with:
            continue
        count, change = paired_share(
            results.pointing(), reference.pointing(), resamples=study.resamples
        )
        rows.append((f"{name} less {study.compared_with}", str(count), change.text()))
    return PageTable(
        caption="Pointing game, paired over positive scans that both models' tables have",
        columns=("", "Scans", "Difference"),
        rows=tuple(rows),
        numeric=(1, 2),
    )


def _examples(models: Mapping[str, ModelResults], paths: RunPaths) -> Iterator[PageFigure]:
    """As the paper's Figures 5 and 6: true positives under their map, the surest ones."""
    for name, results in models.items():
        cases = [row for row in results.rows("cases") if row["label"] == 1]
        cases.sort(key=lambda row: -row["mbd_probability"])
        shown = 0
        for row in cases[len(cases) // 4 :]:  # the very surest are superscans
            picture = paths.results(name) / "pictures" / f"{row['scan_id']}.png"
            if picture.is_file():
                yield PageFigure(
                    caption=f"{name}: a true positive, probability {row['mbd_probability']:.2f}.",
                    content=picture.read_bytes(),
                    alternative="AP and PA beside the same under the evidence",
                    media_type="image/png",
                    wide=True,
                )
                shown += 1
            if shown == _EXAMPLES:
                break


def _robustness(models: Mapping[str, ModelResults]) -> PageSection:
    by_model = {name: results.robustness() for name, results in models.items()}
    conditions = list(dict.fromkeys(row["condition"] for rows in by_model.values() for row in rows))
    rows = []
    for condition in conditions:
        cells = []
        for found in by_model.values():
            row = next((row for row in found if row["condition"] == condition), None)
            cells.append("" if row is None else _area_of(row))
        rows.append((condition, *cells))
    scans = next((rows[0]["scans"] for rows in by_model.values() if rows), "0")
    table = PageTable(
        caption=f"Area under the ROC curve on {scans} test scans, both classes alike",
        columns=("Scans", *models),
        rows=tuple(rows),
        numeric=tuple(range(1, len(models) + 1)),
        note="DeLong's intervals.",
    )
    return PageSection(title="Worse scans", tables=(table,))


def _area_of(row: Mapping[str, str]) -> str:
    return Estimate(
        value=float(row["roc_auc"]), low=float(row["low"]), high=float(row["high"])
    ).text()


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
