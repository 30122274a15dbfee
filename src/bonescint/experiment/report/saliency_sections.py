"""What maps of a study are worth, and what they look like: the paper's Figures 5 and 6."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate
from bonescint.experiment.evaluation.maps import read_maps
from bonescint.experiment.evaluation.results import ModelResults, paired_share, written_rows
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.call_pictures import PANELS, drawn_calls
from bonescint.experiment.report.experiment_sections import pictures_of
from bonescint.experiment.spec import ExperimentSpec
from bonescint.report.document_page import PageFigure, PageSection, PageTable

_RIGHT, _WRONG = 2, 1


def explanation_section(
    study: ExperimentSpec, models: Mapping[str, ModelResults], paths: RunPaths, cohort: Manifest
) -> PageSection:
    """Maps against lesion masks, false evidence, examples."""
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
    places = {name: results.rows("false_evidence") for name, results in models.items()}
    if any(places.values()):
        tables.append(_false_evidence(places))
    sanity = {name: written_rows(paths.map_sanity(name)) for name in models}
    if any(sanity.values()):
        tables.append(_sanity(sanity))
    return PageSection(
        title="Explanation, measured",
        paragraphs=(
            "A map shows what influenced the prediction. Whether that is disease is measured "
            "against lesion masks, if there are any.",
            f"Examples of calls. {PANELS} Blue outlines: lesions, where the truth is known.",
        ),
        figures=(
            *_examples(models, paths, cohort),
            *pictures_of(models, "free_response", "free response"),
            *pictures_of(models, "lesions_hit", "lesions found, by contrast and size", wide=True),
        ),
        tables=tuple(tables),
    )


def _false_evidence(by_model: Mapping[str, Sequence[Mapping[str, Any]]]) -> PageTable:
    """Where the highest evidence of false positives lies; the most frequent places first."""
    counts: Counter[str] = Counter()
    for rows in by_model.values():
        for row in rows:
            counts[row["place"]] += row["scans_with_highest"]
    found = {(name, row["place"]): row for name, rows in by_model.items() for row in rows}

    def cell(name: str, place: str) -> str:
        row = found.get((name, place))
        if row is None or not row["scans_with_highest"]:
            return "0"
        share = Estimate(value=row["share"], low=row["low"], high=row["high"])
        return f"{row['scans_with_highest']}: {share.text()}"

    heads = [f"{name} ({rows[0]['scans'] if rows else 0})" for name, rows in by_model.items()]
    nowhere = [place for place, count in counts.items() if not count]
    return PageTable(
        caption="Where the highest evidence of false positives lies",
        columns=("Place", *heads),
        rows=tuple(
            (place, *(cell(name, place) for name in by_model))
            for place, count in counts.most_common()
            if count
        ),
        numeric=tuple(range(1, len(by_model) + 1)),
        note="In brackets: number of false positives of the model. In the cells: scans, and their "
        "share of these. " + (f"In no scan of any model: {', '.join(nowhere)}." if nowhere else ""),
    )


def _sanity(by_model: Mapping[str, list[dict[str, str]]]) -> PageTable:
    """Agreement of maps with those of random layers."""
    levels = list(dict.fromkeys(row["random_layers"] for rows in by_model.values() for row in rows))
    found = {
        (name, row["random_layers"]): Estimate(
            value=float(row["agreement"]), low=float(row["low"]), high=float(row["high"])
        ).text()
        for name, rows in by_model.items()
        for row in rows
    }
    scans = next(rows[0]["scans"] for rows in by_model.values() if rows)
    return PageTable(
        caption=f"Sanity check: rank correlation with the map of randomised layers, {scans} scans",
        columns=("Random", *by_model),
        rows=tuple(
            (level, *(found.get((name, level), "") for name in by_model)) for level in levels
        ),
        numeric=tuple(range(1, len(by_model) + 1)),
        note="Adebayo et al., NeurIPS 2018. A map whose correlation stays near 1 reflects the "
        "picture, not what the network has learned.",
    )


def _pointing(study: ExperimentSpec, models: Mapping[str, ModelResults]) -> PageTable:
    """The pointing game minus the reference's, over the scans that both call positive, and all."""
    reference = models[study.compared_with]
    rows = []
    for name, results in models.items():
        if name == study.compared_with:
            continue
        for words, called in (("true positives of both", True), ("all positive scans", False)):
            count, change = paired_share(
                results.pointing(called=called),
                reference.pointing(called=called),
                resamples=study.resamples,
            )
            rows.append((f"{name} minus {study.compared_with}", words, str(count), change.text()))
    return PageTable(
        caption="Pointing game, paired",
        columns=("", "Scans with masks", "Scans", "Difference"),
        rows=tuple(rows),
        numeric=(2, 3),
    )


def _examples(
    models: Mapping[str, ModelResults], paths: RunPaths, cohort: Manifest
) -> Iterator[PageFigure]:
    """Calls under their map: right ones as in the paper's Figure 5, wrong ones as in Figure 6."""
    by_name = {case.scan_id: case for case in cohort.cases}
    for name, results in models.items():
        maps = read_maps(paths.results(name) / "results.json")
        rows = sorted(results.rows("cases"), key=lambda row: -row["mbd_probability"])
        calls = {
            outcome: [
                (by_name[row["scan_id"]], float(row["mbd_probability"]))
                for row in rows
                if row["outcome"] == outcome and row["scan_id"] in maps
            ]
            for outcome in ("true positive", "false positive", "false negative")
        }
        right = calls["true positive"]
        # The very surest positives are superscans, whose map is everywhere.
        calls["true positive"] = right[len(right) // 4 :]
        calls["false negative"].reverse()
        for outcome, found in calls.items():
            most = _RIGHT if outcome == "true positive" else _WRONG
            drawn = drawn_calls(cohort, found, maps, results.threshold, outlined=True)
            for _, probability, content in islice(drawn, most):
                yield PageFigure(
                    caption=f"{name}: {outcome}, probability {probability:.2f}.",
                    content=content,
                    alternative=PANELS,
                    media_type="image/webp",
                )
