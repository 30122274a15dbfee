"""What maps of a study are worth, and what they look like: the paper's Figures 5 and 6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bonescint.classify.earlier import picture_name
from bonescint.evaluate import Estimate
from bonescint.experiment.plan import Study
from bonescint.experiment.run_paths import RunPaths
from bonescint.experiment.run_results import ModelResults, paired_share
from bonescint.experiment.small_picture import small_picture
from bonescint.experiment.study_sections import pictures_of
from bonescint.report.document_page import PageFigure, PageSection, PageTable

_EXAMPLES = 2


def explanation_section(
    study: Study, models: Mapping[str, ModelResults], paths: RunPaths
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
    sanity = {name: results.table_file("map_sanity") for name, results in models.items()}
    if any(sanity.values()):
        tables.append(_sanity(sanity))
    return PageSection(
        title="Explanation, measured",
        paragraphs=(
            "A map shows what moved the answer. How far that lies on disease is measured against "
            "lesion masks, where there are some.",
        ),
        figures=(
            *_examples(models, paths),
            *pictures_of(models, "free_response", "free response"),
            *pictures_of(models, "lesions_hit", "lesions found, by contrast and size"),
        ),
        tables=tuple(tables),
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
        caption=f"Sanity check: rank correlation with the map of random layers, {scans} scans",
        columns=("Random", *by_model),
        rows=tuple(
            (level, *(found.get((name, level), "") for name in by_model)) for level in levels
        ),
        numeric=tuple(range(1, len(by_model) + 1)),
        note="Adebayo et al., NeurIPS 2018. A map that stays near 1 explains the picture, "
        "not what the network has learnt.",
    )


def _pointing(study: Study, models: Mapping[str, ModelResults]) -> PageTable:
    """The pointing game less the reference's, over the scans that both call positive, and all."""
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
            rows.append((f"{name} less {study.compared_with}", words, str(count), change.text()))
    return PageTable(
        caption="Pointing game, paired",
        columns=("", "Scans with masks", "Scans", "Difference"),
        rows=tuple(rows),
        numeric=(2, 3),
    )


def _examples(models: Mapping[str, ModelResults], paths: RunPaths) -> Iterator[PageFigure]:
    """Calls under their map: right ones as in the paper's Figure 5, wrong ones as in Figure 6."""
    for name, results in models.items():
        cases = sorted(results.rows("cases"), key=lambda row: -row["mbd_probability"])
        right = [row for row in cases if row["outcome"] == "true positive"]
        false = [row for row in cases if row["outcome"] == "false positive"]
        missed = [row for row in reversed(cases) if row["outcome"] == "false negative"]
        # The very surest positives are superscans, whose map is everywhere.
        yield from _pictured(name, right[len(right) // 4 :], paths, _EXAMPLES)
        yield from _pictured(name, false, paths, _EXAMPLES // 2)
        yield from _pictured(name, missed, paths, _EXAMPLES // 2)


def _pictured(
    name: str, cases: list[dict[str, Any]], paths: RunPaths, most: int
) -> Iterator[PageFigure]:
    shown = 0
    for row in cases:
        content = small_picture(paths.results(name) / "pictures" / picture_name(row["scan_id"]))
        if content is not None:
            yield PageFigure(
                caption=f"{name}: {row['outcome']}, probability {row['mbd_probability']:.2f}.",
                content=content,
                alternative="AP and PA beside the same under the evidence",
                media_type="image/webp",
                wide=True,
            )
            shown += 1
        if shown == most:
            return
