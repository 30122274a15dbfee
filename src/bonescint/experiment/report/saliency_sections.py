"""How the maps of an experiment's models agree with lesions, and what they look like.

The pictures of calls are those of the paper's Figures 5 and 6.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np

from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate, Resampling
from bonescint.evaluate.false_evidence import PlaceRow
from bonescint.evaluate.map_metrics import ratio_over_scans
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.evaluation.data import MappedScan
from bonescint.experiment.evaluation.map_sanity import SanityRow, read_map_sanity
from bonescint.experiment.evaluation.results import (
    FALSE_NEGATIVE,
    FALSE_POSITIVE,
    TRUE_NEGATIVE,
    TRUE_POSITIVE,
    EvaluationResult,
    estimate_of,
)
from bonescint.experiment.paths import RunPaths
from bonescint.experiment.report.experiment_sections import Results, model_pictures, model_table
from bonescint.experiment.report.figures import PANELS, drawn_calls
from bonescint.experiment.spec import ExperimentSpec
from bonescint.report.document_page import PageFigure, PageSection, PageTable

_RIGHT, _WRONG = 2, 1


def explanation_section(
    spec: ExperimentSpec,
    results: Results,
    maps: Mapping[str, Mapping[str, MappedScan]],
    paths: RunPaths,
    cohort: Manifest,
) -> PageSection:
    """Maps against lesion masks, false evidence, examples.

    Args:
        spec: what was done.
        results: results of every model.
        maps: maps of every model, by scan.
        paths: where the parts of the run are.
        cohort: cohort of the experiment.
    """
    measures = {
        name: result.saliency.measures if result.saliency else ()
        for name, result in results.items()
    }
    words: dict[str, str] = {}
    for one in (one for found in measures.values() for one in found):
        words.setdefault(one.name, one.words.strip())
    tables = []
    if words:
        rows = (
            (text, *(estimate_of(found, name).text() for found in measures.values()))
            for name, text in words.items()
        )
        tables.append(model_table("Maps of true positives against lesion masks", results, rows))
        tables.append(_pointing(spec, results))
    places = {
        name: result.saliency.false_positives if result.saliency else ()
        for name, result in results.items()
    }
    if any(places.values()):
        tables.append(_false_evidence(places))
    sanity = {name: read_map_sanity(paths.map_sanity(name)) for name in results}
    if any(sanity.values()):
        tables.append(_sanity(sanity))
    hit = "lesions found, by contrast and size"
    return PageSection(
        title="Explanation, measured",
        paragraphs=(
            "A map shows what influenced the prediction. Whether that is disease is measured "
            "against lesion masks, if there are any.",
            f"Examples of calls. {PANELS} Blue outlines: lesions, where the truth is known.",
        ),
        figures=(
            *_examples(results, maps, cohort),
            *model_pictures(results, paths, "free_response", "free response"),
            *model_pictures(results, paths, "lesions_hit", hit, wide=True),
        ),
        tables=tuple(tables),
    )


def _false_evidence(by_model: Mapping[str, Sequence[PlaceRow]]) -> PageTable:
    """Where the highest evidence of false positives lies; the most frequent places first."""
    counts: Counter[str] = Counter()
    for rows in by_model.values():
        for row in rows:
            counts[row.name] += row.scans
    found = {(name, row.name): row for name, rows in by_model.items() for row in rows}

    def cell(name: str, place: str) -> str:
        row = found.get((name, place))
        if row is None or not row.scans:
            return "0"
        return f"{row.scans}: {row.highest.text()}"

    nowhere = [place for place, count in counts.items() if not count]
    return model_table(
        "Where the highest evidence of false positives lies",
        (f"{name} ({rows[0].of if rows else 0})" for name, rows in by_model.items()),
        (
            (place, *(cell(name, place) for name in by_model))
            for place, count in counts.most_common()
            if count
        ),
        head="Place",
        note="In brackets: number of false positives of the model. In the cells: scans, and their "
        "share of these. " + (f"In no scan of any model: {', '.join(nowhere)}." if nowhere else ""),
    )


def _sanity(by_model: Mapping[str, Sequence[SanityRow]]) -> PageTable:
    """Agreement of maps with those of random layers."""
    levels = dict.fromkeys(row.words for rows in by_model.values() for row in rows)
    found = {
        (name, row.words): row.agreement.text() for name, rows in by_model.items() for row in rows
    }
    scans = next(rows[0].scans for rows in by_model.values() if rows)
    return model_table(
        f"Sanity check: rank correlation with the map of randomised layers, {scans} scans",
        by_model,
        ((level, *(found.get((name, level), "") for name in by_model)) for level in levels),
        head="Random",
        note="Adebayo et al., NeurIPS 2018. A map whose correlation stays near 1 reflects the "
        "picture, not what the network has learned.",
    )


def _pointing(spec: ExperimentSpec, results: Results) -> PageTable:
    """The pointing game minus the reference's, over the scans that both call positive, and all."""
    reference = results[spec.compared_with]
    patients = {scan.scan_id: scan.patient for scan in reference.scans}
    rows = []
    for name, result in results.items():
        if name == spec.compared_with:
            continue
        for words, called in (("true positives of both", True), ("all positive scans", False)):
            count, change = paired_share(
                _pointed(result, called=called),
                _pointed(reference, called=called),
                patients,
                resamples=spec.resamples,
            )
            rows.append((f"{name} minus {spec.compared_with}", words, str(count), change.text()))
    return PageTable(
        caption="Pointing game, paired",
        columns=("", "Scans with masks", "Scans", "Difference"),
        rows=tuple(rows),
        numeric=(2, 3),
    )


def _pointed(result: EvaluationResult, *, called: bool) -> dict[str, float]:
    """By positive scan with masks: whether the map's highest value lies on a lesion.

    Args:
        result: result of the model.
        called: only true positives, else all.
    """
    return {
        scan.scan_id: scan.pointing_game
        for scan in (result.saliency.scans if result.saliency else ())
        if not math.isnan(scan.pointing_game) and (scan.positive_call or not called)
    }


def paired_share(
    first: Mapping[str, float],
    second: Mapping[str, float],
    patients: Mapping[str, int],
    *,
    resamples: int,
) -> tuple[int, Estimate]:
    """Difference of two shares over the scans that both have, first minus second.

    Args:
        first: 0 or 1 by scan.
        second: the same of the other model.
        patients: number of the patient by scan; patients are drawn, with all their scans.
        resamples: number of resamples of the percentile bootstrap.

    Returns:
        Number of common scans, and the difference with its 95 % interval.

    Examples:
        >>> count, difference = paired_share(
        ...     {"a": 1, "b": 1}, {"a": 0, "b": 1}, {"a": 0, "b": 1}, resamples=500)
        >>> count, difference.value
        (2, 0.5)
    """
    common = sorted(first.keys() & second.keys())
    return len(common), ratio_over_scans(
        [first[scan] - second[scan] for scan in common],
        np.ones(len(common)),
        Resampling(resamples=resamples),
        patients=patient_numbers([patients[scan] for scan in common]),
    )


def _examples(
    results: Results, answers: Mapping[str, Mapping[str, MappedScan]], cohort: Manifest
) -> Iterator[PageFigure]:
    """Calls under their map: right ones as in the paper's Figure 5, wrong ones as in Figure 6."""
    cases = {case.scan_id: case for case in cohort.cases}
    for name, result in results.items():
        maps = answers[name]
        scans = sorted(result.scans, key=lambda scan: -scan.probability)
        calls = {
            outcome: [
                (cases[scan.scan_id], scan.probability)
                for scan in scans
                if result.outcome(scan) == outcome and scan.scan_id in maps
            ]
            for outcome in (TRUE_POSITIVE, TRUE_NEGATIVE, FALSE_POSITIVE, FALSE_NEGATIVE)
        }
        right = calls[TRUE_POSITIVE]
        # The very surest positives are superscans, whose map is everywhere.
        calls[TRUE_POSITIVE] = right[len(right) // 4 :]
        ordinary = calls[TRUE_NEGATIVE]
        calls[TRUE_NEGATIVE] = ordinary[len(ordinary) // 2 :]
        calls[FALSE_NEGATIVE].reverse()
        for outcome, found in calls.items():
            most = _RIGHT if outcome == TRUE_POSITIVE else _WRONG
            drawn = drawn_calls(cohort, found, maps, result.threshold, outlined=True)
            for _, probability, content in islice(drawn, most):
                yield PageFigure(
                    caption=f"{name}: {outcome}, probability {probability:.2f}.",
                    content=content,
                    alternative=PANELS,
                    media_type="image/webp",
                )
