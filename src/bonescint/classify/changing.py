"""Quantify a series of scans of one patient, and write what has changed between them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bonescint.buckets import require_local
from bonescint.classify.classify import cell_model
from bonescint.classify.quantified_page import index_text
from bonescint.classify.results import notice_of
from bonescint.files import cannot_write, one_writer, require_own, write_table, write_whole
from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
    write_document,
)
from bonescint.scan import InputError, ParameterError

if TYPE_CHECKING:
    from bonescint.dicom import StudyFiles, StudyKeys
    from bonescint.quantify import ChangedFocus, MassTable, Progression, QuantifiedScan
    from bonescint.scan import Scan

CHANGE_COLUMNS = (
    "number",
    "change",
    "bone",
    "prior_focus",
    "present_focus",
    "area_ratio",
    "may_be",
)
_SIGNATURE = '"made_by": "bonescint quantify --prior"'
_MADE = ("change.json", "change.csv", "index.html", "change.png", "bsi.png")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChange:
    """What has changed in a series of scans of one patient.

    Attributes:
        folder: the results folder.
        scans: quantified, the oldest first.
        changes: from the last but one scan to the last.
        new_foci: (scans, scans), number of foci that the column's scan has and the row's has not.
        progression: PCWG3's verdict, or `None` where the weeks are not known, or foci of a scan are
            not to be relied on.
        remarks: what makes the comparison doubtful: other patients, order, views.
    """

    folder: Path
    scans: tuple[QuantifiedScan, ...]
    changes: tuple[ChangedFocus, ...]
    new_foci: tuple[tuple[int, ...], ...]
    progression: Progression | None
    remarks: tuple[str, ...] = ()

    @property
    def all_remarks(self) -> tuple[str, ...]:
        """Those of the series, then those of each scan."""
        return self.remarks + tuple(
            f"Scan {one.scan.scan_id}: {remark}" for one in self.scans for remark in one.remarks
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        verdict = self.progression
        return {
            "remarks": list(self.remarks),
            "changes": [one.to_json() for one in self.changes],
            "new_foci": [list(row) for row in self.new_foci],
            "progression": None
            if verdict is None
            else {
                "state": verdict.state.value,
                "scan": None if verdict.scan is None else verdict.scan + 1,
                "flare_possible": verdict.flare,
                "in_words": verdict.in_words,
            },
            "scans": [one.to_json() for one in self.scans],
        }


def quantify_change(
    source: Path | str,
    priors: Sequence[Path | str],
    out: Path,
    *,
    weeks: Sequence[float] | None = None,
    model: Path | str | None = None,
    masses: MassTable | None = None,
    device: str = "cpu",
    call_anyway: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> SeriesChange:
    """Compare a scan with earlier ones of the same patient.

    Different patients in the headers, days that are not in order, and scans with different views
    are reported in `remarks`. They are not refused, since hospitals number the same patient
    differently.

    Args:
        source: the present scan.
        priors: earlier scans, the oldest first.
        out: the results folder.
        weeks: of each scan after the start of treatment, the oldest first; `None` if unknown.
        model: a model folder; the shipped model if `None`.
        masses: the bones' shares of mass; Spiers' if `None`.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also give an index for scans that the model does not call.
        progress: called with the number of scans done and of all.

    Raises:
        InputError: a source is not one bone scan.
        ParameterError: not one week for each scan, weeks that do not increase, or a model whose
            map is not the probability of each cell.
        OutputError: `out` cannot be written to, or holds files of other origin.
    """
    from bonescint.dicom import study_keys
    from bonescint.model import Classifier
    from bonescint.quantify import (
        MassTable,
        changed_foci,
        progression,
        quantify_scan,
        require_increasing,
        with_risen,
    )

    sources = [*priors, source]
    if weeks is not None and len(weeks) != len(sources):
        requirement = f"one for each of the {len(sources)} scans, the oldest first"
        raise ParameterError("weeks", "quantify_change", requirement, len(weeks))
    if weeks is not None:
        require_increasing(weeks)
    require_local(Path(out))
    require_own(out, _MADE, mark="change.json", signature=_SIGNATURE)
    folder, table = cell_model(model), masses or MassTable.SPIERS
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error
    with one_writer(out), Classifier(folder, device=device, call_anyway=call_anyway) as classifier:
        scans: list[QuantifiedScan] = []
        keys: list[StudyKeys] = []
        doubts: list[str] = []
        id_key = secrets.token_bytes(32)  # of this run alone: the hashes are only compared
        for number, one in enumerate(sources, start=1):
            scan, study, refused = _one_scan(one)
            if refused:
                doubts.append(f"Beside scan {number}, files that could not be read: {refused}.")
            keys.append(study_keys(study, id_key=id_key))
            found = quantify_scan(
                scan, classifier.predict(scan), masses=table, call_anyway=call_anyway
            )
            for earlier in scans:
                found = with_risen(earlier, found)
            scans.append(found)
            if progress is not None:
                progress(number, len(sources))
        changes = {
            (i, j): changed_foci(scans[i], scans[j]) for i, j in combinations(range(len(scans)), 2)
        }
        new = np.zeros((len(scans), len(scans)), dtype=np.intp)
        for pair, found_changes in changes.items():
            new[pair] = sum(one.change == "new" for one in found_changes)
        doubts += _doubts([found.scan for found in scans], keys)
        doubtful = [str(number) for number, one in enumerate(scans, start=1) if one.is_doubtful]
        if doubtful:
            doubts.append(
                f"No call, or bones that were not found well (scan {', '.join(doubtful)}): changes "
                "are not to be relied on, and PCWG3's rule is not applied."
            )
        series = SeriesChange(
            folder=out,
            scans=tuple(scans),
            changes=changes[len(scans) - 2, len(scans) - 1],
            new_foci=tuple(map(tuple, new.tolist())),
            progression=None if weeks is None or doubtful else progression(weeks, new),
            remarks=tuple(doubts),
        )
        _write(series, notice_of(folder), folder.model_id, table, weeks)
    return series


def _one_scan(source: Path | str) -> tuple[Scan, StudyFiles, int]:
    """A scan, its files, and how many other files could not be read."""
    from bonescint.dicom import discover, read_study

    found = discover([source])
    if len(found.studies) != 1:
        refused = found.refused[0] if found.refused else None
        if not found.studies and refused is not None:
            raise refused
        raise InputError(
            str(source), f"holds {len(found.studies)} bone scans", "Give one scan at a time"
        )
    study = found.studies[0]
    return read_study(study), study, len(found.refused)


def _doubts(scans: Sequence[Scan], keys: Sequence[StudyKeys]) -> tuple[str, ...]:
    """Signs that the scans are not of one patient, or not ordered from the oldest."""
    doubts = []
    if len({key.patient for key in keys} - {""}) > 1:
        doubts.append("The headers have different Patient IDs: are the scans of one patient?")
    if len({key.sex for key in keys} - {""}) > 1:
        doubts.append("The headers name different sexes: the scans are not of one patient.")
    if len({scan.scan_id for scan in scans}) < len(scans):
        doubts.append("Two of the scans have the same identifiers: is one given twice?")
    elif len(studies := [key.study for key in keys if key.study]) > len(set(studies)):
        doubts.append("Two of the scans are of one study: are they the two views of one scan?")
    if len({frozenset(scan.views) for scan in scans}) > 1:
        doubts.append(
            "The scans do not have the same views: what only a missing view would show counts as "
            "new, or is not shown."
        )
    days = [key.day for key in keys if key.day is not None]
    if days != sorted(days):
        doubts.append("By their headers the scans are not in order: give the oldest first.")
    return tuple(doubts)


def _write(
    series: SeriesChange,
    notice: str,
    model_id: str,
    masses: MassTable,
    weeks: Sequence[float] | None,
) -> None:
    from bonescint.classify.quantified_picture import change_picture, webp_of
    from bonescint.explain.overlay import png_of

    out = series.folder
    picture = change_picture(
        series.scans[-2], series.scans[-1], series.changes, series.all_remarks, notice=notice
    )
    content = {
        "made_by": "bonescint quantify --prior",
        "notice": notice,
        "model_id": model_id,
        "bone_masses": masses.value,
        "weeks": None if weeks is None else list(weeks),
        **series.to_json(),
    }
    write_whole(out / "change.json", json.dumps(content, indent=1))
    write_table(out / "change.csv", CHANGE_COLUMNS, _rows(series))
    write_whole(out / "change.png", png_of(picture))
    figures = [
        PageFigure(
            caption="Foci on the prior and on the present scan",
            content=webp_of(picture),
            media_type="image/webp",
            wide=True,
        )
    ]
    curve = index_over_time(series, weeks)
    if curve is None:
        (out / "bsi.png").unlink(missing_ok=True)  # of an earlier run
    else:
        write_whole(out / "bsi.png", curve)
        caption = "Bone Scan Index of each scan, with 95 % intervals"
        figures.append(PageFigure(caption=caption, content=curve, media_type="image/png"))
    write_document(out / "index.html", _page(series, notice, model_id, masses, figures))


def _rows(series: SeriesChange) -> list[tuple[object, ...]]:
    from bonescint.quantify import findings_in_words

    return [
        (
            number,
            one.change.value,
            one.bone,
            "" if one.prior is None else one.prior.number,
            "" if one.present is None else one.present.number,
            "" if one.area_ratio is None else f"{one.area_ratio:.2f}",
            findings_in_words(one.may_be),
        )
        for number, one in enumerate(series.changes, start=1)
    ]


def index_over_time(series: SeriesChange, weeks: Sequence[float] | None) -> bytes | None:
    """The Bone Scan Index over time with its intervals, as PNG; `None` without matplotlib."""
    from bonescint.scan import MissingExtraError

    at = list(weeks) if weeks is not None else list(range(1, len(series.scans) + 1))
    shown = [(x, one.index) for x, one in zip(at, series.scans, strict=True) if one.index]
    if len(shown) < 2:
        return None
    try:
        from bonescint.plotting import new_axes, rendered_as

        figure, axes = new_axes(5.5, 3.4)
    except MissingExtraError:
        return None
    places = [x for x, _ in shown]
    middle = np.array([index.percent for _, index in shown])
    low, high = (  # without an interval there is no bar
        np.array([np.nan if end is None else end for end in ends])
        for ends in zip(*((index.low, index.high) for _, index in shown), strict=True)
    )
    axes.errorbar(places, middle, [middle - low, high - middle], marker="o", capsize=4)
    axes.set_xlabel("weeks after the start of treatment" if weeks is not None else "scan")
    axes.set_xticks(places)
    axes.set_ylabel("Bone Scan Index, %")
    axes.set_ylim(0, None)
    return rendered_as(figure, "png")


def _page(
    series: SeriesChange,
    notice: str,
    model_id: str,
    masses: MassTable,
    figures: Sequence[PageFigure],
) -> Document:
    verdict = series.progression
    scans = PageTable(
        caption="Scans, the oldest first",
        columns=("scan", "Bone Scan Index, %", "call", "new foci since the previous scan"),
        rows=tuple(
            (
                one.scan.scan_id,
                index_text(one.to_json()["bone_scan_index"]),
                one.prediction.call.value,
                "" if number == 0 else str(series.new_foci[number - 1][number]),
            )
            for number, one in enumerate(series.scans)
        ),
    )
    changes = PageTable(
        caption="Changes between the last two scans",
        columns=tuple(column.replace("_", " ") for column in CHANGE_COLUMNS),
        numeric=(3, 4, 5),
        rows=tuple(tuple(str(cell) for cell in row) for row in _rows(series)),
        note="Area ratio: present area divided by prior area. Grown: 1.5 or more; shrunk: 1/1.5 or "
        "less. Not shown: outside the present scan. May be: the most probable findings; if new, "
        "given that uptake has risen.",
    )
    if verdict is not None:
        said = f"PCWG3's 2+2 rule: {verdict.in_words}"
    elif any(one.is_doubtful for one in series.scans):
        said = "PCWG3's rule is not applied: see the warnings."
    else:
        said = "PCWG3's rule needs the weeks of each scan after the start of treatment (--weeks)."
    return Document(
        title="Change between bone scans",
        notice=notice,
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        facts=(("Model", model_id), ("Bone masses", masses.in_words)),
        sections=(
            PageSection(
                title="Change",
                paragraphs=(said,),
                warnings=series.all_remarks,
                figures=tuple(figures),
                tables=(scans, changes),
            ),
        ),
    )
