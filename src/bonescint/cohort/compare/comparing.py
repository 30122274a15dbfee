"""Compare two cohorts: `bonescint cohort compare`."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.cohort.compare.averages import (
    LEAST_PATIENTS,
    Spread,
    write_normal_database,
)
from bonescint.cohort.compare.characteristics import CHARACTERISTICS
from bonescint.cohort.compare.maps import agreement
from bonescint.cohort.compare.measuring import MeasuredSide, Scorer, measure_side
from bonescint.cohort.compare.results import (
    CohortComparison,
    ComparedCharacteristic,
    ScoredSide,
    tables_of,
)
from bonescint.cohort.compare.separation import LEAST_PATIENTS as LEAST_TO_SEPARATE
from bonescint.cohort.compare.separation import separation
from bonescint.cohort.compare.sides import Side, open_side
from bonescint.evaluate import Estimate, ScoredCases, roc_auc_score, share
from bonescint.evaluate.scored import design_effect, summed
from bonescint.files import make_folder, one_writer, require_new, require_own, write_whole
from bonescint.parallel import pool_of
from bonescint.scan import InputError, ParameterError
from bonescint.tables import write_csv

JSON, PAGE = "comparison.json", "report.html"
FOLDERS = ("figures", "tables")
_SCHEMA_VERSION = 1
_TIMEOUT_S = 120.0
_AHEAD = 4
_UNEQUAL = 10.0
_NEGATIVE_ALONE = "--label 0 compares negative scans alone."
Progress = Callable[[str, int, int], None]


def compare_cohorts(
    first: Path | str,
    second: Path | str | None,
    out: Path | str | None,
    *,
    label: bool | None = None,
    save: Path | None = None,
    scorer: Scorer | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> CohortComparison | MeasuredSide:
    """Compare two cohorts and write a report, or a normal database of the first.

    Args:
        first: side A: a manifest, a folder or archive of scans, or a normal database (.npz).
        second: side B, the same; without it only the normal database is written.
        out: folder of the report: `report.html`, `comparison.json`, `figures/`, `tables/`; without
            it none is written.
        label: use only scans with this label.
        save: file for a normal database of A: averages of its scans without a positive label.
        scorer: a model whose predictions on both sides are compared as well.
        workers: processes that read scans; the result is the same for any number.
        progress: called with (task, done, total).

    Returns:
        The comparison; without a second side, side A as it was measured. Of either, `messages()`
        and `omitted` say what was left out.

    Raises:
        InputError: a side that cannot be read, or too few patients for a normal database.
        OutputError: a file cannot be written, or would overwrite something else.
        ParameterError: neither `second` nor `save` is given.
        MissingExtraError: matplotlib is not installed.
    """
    tell = progress or (lambda *_: None)
    if save is not None:
        _prepare_place(save)
    place = None if out is None else Path(out)
    if second is None and (save is None or place is not None):
        got = "nothing" if save is None else "a folder of a report"
        raise ParameterError("second", "compare_cohorts", "given for a comparison", got)
    with nullcontext() if place is None else one_writer(place):
        if place is not None:
            require_own(place, (JSON, PAGE, *FOLDERS), mark=JSON, signature='"bonescint"')
        given = [("A", Path(first)), *([("B", Path(second))] if second is not None else [])]
        sides = []
        for letter, path in given:
            tell(f"Searching {letter}", 0, 1)
            sides.append(open_side(letter, path, label=label))
        if save is not None:
            _require_enough(sides[0], save)
        measured = _measured(sides, workers, scorer, save is not None, tell)
        found: CohortComparison | MeasuredSide = measured[0]
        if second is not None:
            tell("Comparing", 0, 1)
            found = compared(measured[0], measured[1], scorer.model_id if scorer else "")
            if place is not None:
                tell("Drawing", 0, 1)
                _write(found, place)
        if save is not None:
            _save(measured[0], save)
    return found


def _prepare_place(save: Path) -> None:
    """Check, before any scan is read, that a normal database can be written.

    Raises:
        OutputError: the file exists.
        ParameterError: the name does not end in `.npz`.
    """
    if save.suffix.lower() != ".npz":
        raise ParameterError("save", "compare_cohorts", "a path that ends in .npz", save.name)
    require_new(save)
    make_folder(save.parent)


def _require_enough(side: Side, save: Path) -> None:
    """Refuse at once a side that cannot become a normal database."""
    if side.stored is not None:
        raise InputError(save, "A is a normal database already", "Copy its file")
    normal = sum(one.positive is not True for one in side.scans)
    if normal < LEAST_PATIENTS:
        raise _too_few(save, normal, "scans")


def _too_few(save: Path, count: int, what: str) -> InputError:
    problem = f"A has {count} {what} without a positive label, and a normal database needs patients"
    remedy = f"Give at least {LEAST_PATIENTS}: from fewer, single scans might be recovered"
    return InputError(save, problem, remedy)


def _save(side: MeasuredSide, save: Path) -> None:
    patients = 0 if side.normals is None else side.normals.patients
    if side.normals is None or patients < LEAST_PATIENTS:
        raise _too_few(save, patients, "patients")
    write_normal_database(save, side.normals)


def _measured(
    sides: Sequence[Side], workers: int, scorer: Scorer | None, with_normals: bool, tell: Progress
) -> list[MeasuredSide]:
    most = sum(len(side.scans) for side in sides)
    id_key = secrets.token_bytes(32)  # of this run: its pseudonyms are compared, and forgotten
    with pool_of(min(workers, most), timeout_s=_TIMEOUT_S, preload=measure_side.__module__) as pool:
        measure = partial(
            measure_side, pool=pool, ahead=_AHEAD + 2 * workers, id_key=id_key, scorer=scorer
        )
        return [
            measure(
                side,
                with_normals=with_normals and side.letter == "A",
                progress=partial(tell, f"Reading {side.letter}"),
            )
            for side in sides
        ]


def compared(first: MeasuredSide, second: MeasuredSide, model_id: str = "") -> CohortComparison:
    """Compare two measured sides.

    Args:
        first: side A.
        second: side B.
        model_id: identifier of the model that scored them, or empty.
    """
    second, shared = _with_patients_of(first, second)
    warnings = []
    if shared:
        warnings.append(
            f"{shared} patients are in A and in B (same pseudonym, same Patient ID or same "
            f"pixels). The classifier keeps them together; all else counts them on both sides."
        )
    warnings += _of_labels(first, second)
    reason = _why_not(first, second)
    return CohortComparison(
        sides=(first, second),
        agreement=agreement(first.averages.maps, second.averages.maps),
        separation=None
        if reason
        else separation((first.cells, second.cells), (first.patients, second.patients)),
        why_not_separated=reason,
        characteristics=_characteristics(first, second),
        model_id=model_id,
        scored=(_scored(first), _scored(second)),
        warnings=tuple(warnings),
    )


def _with_patients_of(first: MeasuredSide, second: MeasuredSide) -> tuple[MeasuredSide, int]:
    """Side B with A's pseudonyms for patients who are on both sides, and the number of those."""
    of_pixels = dict(zip(first.pixels, first.patients, strict=True))
    of_header = {h: p for h, p in zip(first.header, first.patients, strict=True) if h}
    renamed: dict[str, str] = {}
    for pixels, header, patient in zip(second.pixels, second.header, second.patients, strict=True):
        known = of_pixels.get(pixels) or of_header.get(header)
        if known is not None:
            renamed.setdefault(patient, known)
    patients = tuple(renamed.get(patient, patient) for patient in second.patients)
    return replace(second, patients=patients), len(set(patients) & set(first.patients))


def _of_labels(first: MeasuredSide, second: MeasuredSide) -> list[str]:
    """A warning where the sides differ in how many of their scans are positive."""
    sides = {side.side.letter: side for side in (first, second)}
    shares = {
        letter: 100 * sum(one is True for one in side.labels) / len(side.labels)
        for letter, side in sides.items()
        if side.has_scans
    }
    said = " and ".join(f"{share:.0f} % of the scans of {one}" for one, share in shares.items())
    told = f"{said} are labelled positive"
    if len(shares) == 1 and any(shares.values()):
        return [f"{told}, the other side is a normal database. {_NEGATIVE_ALONE}"]
    if len(shares) == 2 and abs(shares["A"] - shares["B"]) > _UNEQUAL:
        return [f"The sides differ in disease: {told}. {_NEGATIVE_ALONE}"]
    return []


def _why_not(first: MeasuredSide, second: MeasuredSide) -> str:
    for side in (first, second):
        letter = side.side.letter
        if not side.has_scans:
            return f"{letter} is a normal database: it holds averages and no single scan"
        if side.averages.patients < LEAST_TO_SEPARATE:
            count = side.averages.patients
            return f"{letter} has {count} patients, and {LEAST_TO_SEPARATE} are needed"
    return ""


def _characteristics(
    first: MeasuredSide, second: MeasuredSide
) -> tuple[ComparedCharacteristic, ...]:
    of_maps = [side.averages.of_mean_maps() for side in (first, second)]
    found = []
    for place, kind in enumerate(CHARACTERISTICS):
        on_maps = [maps.get(kind.name) for maps in of_maps]
        found.append(
            ComparedCharacteristic(
                kind=kind,
                spreads=(
                    first.averages.spreads.get(kind.name),
                    second.averages.spreads.get(kind.name),
                ),
                of_maps=(_finite(on_maps[0]), _finite(on_maps[1])),
                area=_area(first, second, place),
            )
        )
    return tuple(found)


def _finite(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _area(first: MeasuredSide, second: MeasuredSide, place: int) -> Estimate | None:
    """Probability that a characteristic is greater for a scan of B than for one of A."""
    values = np.concatenate([first.values[:, place], second.values[:, place]])
    is_second = np.arange(values.size) >= len(first.values)
    known = np.isfinite(values)
    if min((known & is_second).sum(), (known & ~is_second).sum()) < 2:
        return None
    patients = np.array([*first.patients, *second.patients])
    return roc_auc_score(
        ScoredCases(
            scores=values[known], positive=is_second[known], patients=_numbers(patients[known])
        )
    )


def _numbers(names: Any) -> Any:
    return np.unique(names, return_inverse=True)[1]


def _scored(side: MeasuredSide) -> ScoredSide | None:
    """The model's predictions on one side; intervals of shares are clustered by patient."""
    if not side.predictions:
        return None
    patients = _numbers(np.array(side.patients))
    probabilities = np.array([one.mbd_probability for one in side.predictions])
    tells = any(one.ood_score is not None for one in side.predictions)
    spread = Spread.of(probabilities)
    if spread is None:  # a prediction is always finite
        return None
    return ScoredSide(
        probabilities=tuple(probabilities.tolist()),
        positive=_share([one.positive is True for one in side.predictions], patients),
        unlike=_share([one.unlike for one in side.predictions], patients)
        if tells
        else Estimate(value=float("nan"), note="the model has no score for unlike scans"),
        spread=spread,
    )


def _share(chosen: Sequence[bool], patients: Any) -> Estimate:
    each = np.array(chosen, dtype=np.float64)
    effect = design_effect(summed(each, patients), summed(np.ones_like(each), patients))
    return share(int(each.sum()), each.size, effect=effect)


def _write(found: CohortComparison, out: Path) -> None:
    from bonescint.cohort.compare.figures import OPTIONAL, draw_figures
    from bonescint.cohort.compare.page import comparison_document
    from bonescint.report.document_page import write_document

    created = datetime.now(UTC).isoformat(timespec="seconds")
    pictures = draw_figures(found)
    document = comparison_document(found, pictures, created=created)
    # A run that is stopped from here on leaves no page beside figures of another one.
    (out / PAGE).unlink(missing_ok=True)
    write_whole(out / JSON, json.dumps({**found.to_json(), "created": created}, indent=1))
    for name in FOLDERS:
        make_folder(out / name)
    for name in OPTIONAL - pictures.keys():  # of an earlier comparison
        (out / "figures" / f"{name}.png").unlink(missing_ok=True)
    for name, picture in pictures.items():
        write_whole(out / "figures" / f"{name}.png", picture)
    for table in tables_of(found):
        write_csv(table, out / "tables" / f"{table.name}.csv")
    write_document(out / PAGE, document)
