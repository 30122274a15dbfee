"""What came of making a cohort: what is written beside the scans, and what is kept apart."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint import __version__
from bonescint.cohort.ingest import CohortFolders, IngestResult
from bonescint.cohort.labels import Collection, Labels, Layout
from bonescint.cohort.manifest import Manifest, write_manifest
from bonescint.cohort.matching import Labelled, LeftOut, Matching
from bonescint.cohort.splitting import DEFAULT_SHARES, SplitRule
from bonescint.files import write_table, write_whole
from bonescint.scan import NotABoneScanError

ABOUT = "cohort.json"
NOTICE = "Pseudonyms only. Research use only, not a medical device."
_HARMLESS = {"not a bone scan", "copy of a file", "same pixels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedCohort:
    """What `create_cohort` did.

    Attributes:
        manifest: the cohort.
        private: folder beside it with the key, what each scan was made from, and what was
            left out; it must not be handed on.
        left_out: everything that did not come in; paths stand here and in `private` only.
        notes: what was assumed or tolerated, with counts; safe to show.
    """

    manifest: Manifest
    private: Path
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]

    @property
    def left_out_counts(self) -> Mapping[str, int]:
        """How many were left out, by kind."""
        return Counter(one.kind for one in self.left_out)

    @property
    def complete(self) -> bool:
        """Whether every bone scan and every row of the labels came in."""
        return not set(self.left_out_counts) - _HARMLESS


def not_scans(collection: Collection) -> list[LeftOut]:
    """Files that are no bone scan; tables and texts beside the scans are nobody's loss."""
    kinds = []
    for error in collection.found.refused:
        strange = isinstance(error, NotABoneScanError) or "neither a DICOM" in error.problem
        kind = "not a bone scan" if strange else "not readable"
        if error.problem.startswith("is a copy of"):
            kind = "copy of a file"
        kinds.append(LeftOut(kind=kind, source=error.source, reason=str(error)))
    return kinds


def notes_of(
    collection: Collection, matching: Matching, kept: Sequence[tuple[Labelled, IngestResult]]
) -> tuple[str, ...]:
    """What was assumed, tolerated or done, with counts; nothing in it names a patient."""
    notes = [*collection.assumptions]
    notes += [f"Table of labels: {note}." for note in collection.labels.notes]
    alone = sum(one.patient_assumed for one, _ in kept)
    if alone:
        notes.append(
            f"{alone} scans name no patient: each was counted as a separate patient. If some are "
            f"of the same patient, give a column patient; otherwise splits leak."
        )
    if matching.doubted:
        notes.append(
            f"{matching.doubted} patients of the table share the header's Patient ID with another "
            f"one; the table was used."
        )
    counted = Counter(text for _, got in kept for text in (*got.warnings, *got.notes))
    notes += [f"{count} scans: {text}" for text, count in counted.most_common()]
    return tuple(notes)


def settings_of(
    layout: Layout, rule: SplitRule | None, labels: Labels, *, copy: bool
) -> dict[str, Any]:
    """How the cohort was made, JSON-ready."""
    rule = rule or SplitRule(shares=DEFAULT_SHARES)
    dealt = {
        "shares": {split.value: share for split, share in rule.shares.items()},
        "seed": rule.seed,
        "test_centres": list(rule.test_centres),
    }
    return {
        "bonescint": __version__,
        "layout": layout.value,
        "files": "copied without identity" if copy else "referred to where they are",
        "splits": "from the column split of the labels" if labels.has_split else dealt,
    }


def write_created(
    created: CreatedCohort,
    kept: Sequence[tuple[Labelled, IngestResult]],
    place: CohortFolders,
    settings: Mapping[str, Any],
) -> None:
    """The manifest, what may be told of how it came to be, and what may not."""
    cases = created.manifest.cases
    write_table(
        place.private / "sources.csv",
        ("scan_id", "patient_id", "labels_row", "source"),
        (
            (case.scan_id, case.patient_id, one.row.row, _text(one.study.source))
            for case, (one, _) in zip(cases, kept, strict=True)
        ),
    )
    write_table(
        place.private / "left-out.csv",
        ("kind", "source", "reason"),
        ((one.kind, _text(one.source), _text(one.reason)) for one in created.left_out),
    )
    write_manifest(cases, place.out / "manifest.csv")
    about = {
        "notice": NOTICE,
        "finished": True,
        **settings,
        "scans": len(cases),
        "patients": len({case.patient_id for case in cases}),
        "left_out": dict(created.left_out_counts),
        "notes": list(created.notes),
    }
    write_json(about, place.out / ABOUT)
    if not any((place.out / "masks").iterdir()):
        (place.out / "masks").rmdir()


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write JSON beside its place, then rename it.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(path, json.dumps(content, indent=2) + "\n")
