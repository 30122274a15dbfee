"""How a model performs on degraded scans: noisy, blurred, shifted, turned or incomplete."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.evaluate import Comparison, Estimate, ScoredCases, compare_areas, roc_auc_score
from bonescint.evaluate.scored import patient_numbers
from bonescint.experiment.paths import written_rows
from bonescint.files import make_folder
from bonescint.model import Classifier
from bonescint.scan import Case, PixelUnit, Scan, View
from bonescint.tables import ResultTable, write_csv

_AREA = ("roc_auc", "low", "high")
_CHANGE = ("difference", "difference_low", "difference_high", "p_value")
COLUMNS = ("condition", "scans", *_AREA, *_CHANGE, "called_positive", "called_negative")
_Images = dict[View, NDArray[np.float32]]
_Change = Callable[[_Images, np.random.Generator], _Images]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One way in which a scan is degraded.

    Attributes:
        name: its name in tables.
        words: its name in reports.
        change: returns the degraded views; a view that it leaves out is missing.
        needs_counts: whether pixels must be counts.
        needs_both_views: whether neither view may be missing.
    """

    name: str
    words: str
    change: _Change
    needs_counts: bool = False
    needs_both_views: bool = False

    def possible(self, scan: Scan) -> bool:
        """Whether a scan can be degraded in this way."""
        return (not self.needs_counts or scan.unit is PixelUnit.COUNTS) and not (
            self.needs_both_views and scan.missing_views
        )


def each_view(
    change: Callable[[NDArray[np.float32], View, np.random.Generator], NDArray[np.float32]],
) -> _Change:
    """Apply a change of one view to both views."""
    return lambda images, rng: {view: change(image, view, rng) for view, image in images.items()}


def thinned(share: float) -> _Change:
    """Keep each count with a given probability, as a shorter or weaker scan would (Poisson)."""
    return each_view(
        lambda image, _, rng: rng.binomial(np.rint(image).astype(np.int64), share).astype(
            np.float32
        )
    )


def blurred(sigma_pixels: float) -> _Change:
    """Smooth with a Gaussian, as a workstation's filter does."""
    return each_view(lambda image, *_: ndimage.gaussian_filter(image, sigma_pixels))


def shifted(share: float) -> _Change:
    """Move the body sideways by a share of the field's width; the views see opposite directions."""

    def change(image: NDArray[np.float32], view: View, _: object) -> NDArray[np.float32]:
        columns = round(share * image.shape[1]) * (1 if view is View.ANTERIOR else -1)
        return ndimage.shift(image, (0, columns), order=0)

    return each_view(change)


def turned(degrees: float) -> _Change:
    """Turn the body on the table; the views see opposite directions."""

    def change(image: NDArray[np.float32], view: View, _: object) -> NDArray[np.float32]:
        angle = degrees if view is View.ANTERIOR else -degrees
        return ndimage.rotate(image, angle, reshape=False, order=1)

    return each_view(change)


def only(view: View) -> _Change:
    """Keep this view alone, as if the other one were missing."""
    return lambda images, _: {view: images[view]}


def _swapped(images: _Images, _: np.random.Generator) -> _Images:
    return {View.ANTERIOR: images[View.POSTERIOR], View.POSTERIOR: images[View.ANTERIOR]}


def _with_counts(name: str, words: str, change: _Change) -> Condition:
    return Condition(name=name, words=words, change=change, needs_counts=True)


def _of_both_views(name: str, words: str, change: _Change) -> Condition:
    return Condition(name=name, words=words, change=change, needs_both_views=True)


CONDITIONS: tuple[Condition, ...] = (
    _with_counts("half_counts", "half of the counts", thinned(0.5)),
    _with_counts("fifth_counts", "a fifth of the counts", thinned(0.2)),
    Condition(name="blur_1", words="blurred, sigma 1 pixel", change=blurred(1.0)),
    Condition(name="blur_2", words="blurred, sigma 2 pixels", change=blurred(2.0)),
    Condition(name="shift", words="shifted by 8 % of the width", change=shifted(0.08)),
    Condition(name="turn", words="turned by 5 degrees", change=turned(5.0)),
    _of_both_views("swapped", "anterior and posterior exchanged", _swapped),
    _of_both_views("anterior", "anterior view only", only(View.ANTERIOR)),
    _of_both_views("posterior", "posterior view only", only(View.POSTERIOR)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessRow:
    """A condition and the performance under it.

    Attributes:
        words: name of the condition.
        scans: number of scans that could be degraded in this way; figures are of these only.
        area: area under the ROC curve, DeLong's interval; undefined without both classes.
        difference: area minus that of the same scans undegraded, paired; `None` for the row of
            undegraded scans and where the area is undefined.
        called_positive: share of the scans whose call changed to positive.
        called_negative: share of the scans whose call changed to negative.
    """

    words: str
    scans: int
    area: Estimate
    difference: Comparison | None = None
    called_positive: float = 0.0
    called_negative: float = 0.0


def chosen(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """Draw a sample of cases, with equal numbers of both classes if there are enough."""
    rng = np.random.default_rng([seed, 31])
    mixed = [cases[number] for number in rng.permutation(len(cases))]
    positive = [case for case in mixed if case.positive][: count // 2]
    negative = [case for case in mixed if not case.positive][: count - len(positive)]
    return positive + negative


def robustness(
    classifier: Classifier,
    cohort: Manifest,
    cases: Sequence[Case],
    *,
    threshold: float,
    conditions: Iterable[Condition] = CONDITIONS,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[RobustnessRow, ...]:
    """Classify the same scans under each condition.

    A condition is measured on the scans for which it is possible: thinning needs counts, and
    exchanging or leaving out a view needs both views.

    Args:
        classifier: the model.
        cohort: the cohort of the cases.
        cases: cases of both classes, with readable files.
        threshold: probability from which a scan is called positive.
        conditions: the conditions to try.
        seed: seed of the thinning.
        progress: called with the number of scans done and of all.

    Returns:
        A row for the undegraded scans, then one per condition.
    """
    tried = tuple(conditions)
    plain, worse = [], np.full((len(tried), len(cases)), math.nan)
    for number, case in enumerate(cases):
        scan = read(cohort.path(case))
        plain.append(classifier.predict(scan).mbd_probability)
        for index, condition in enumerate(tried):
            if condition.possible(scan):
                rng = np.random.default_rng([seed, number, index])
                changed = _changed(scan, condition, rng)
                worse[index, number] = classifier.predict(changed).mbd_probability
        if progress is not None:
            progress(number + 1, len(cases))
    truth = np.array([case.positive for case in cases], dtype=bool)
    patients = patient_numbers([case.patient_id for case in cases])
    as_they_are = ScoredCases(scores=np.array(plain), positive=truth, patients=patients)
    first = RobustnessRow(
        words="as they are", scans=as_they_are.count, area=roc_auc_score(as_they_are)
    )
    return (
        first,
        *(
            _row(condition.words, as_they_are, scores, threshold)
            for condition, scores in zip(tried, worse, strict=True)
        ),
    )


def _row(
    words: str, as_they_are: ScoredCases, scores: NDArray[np.float64], threshold: float
) -> RobustnessRow:
    """Performance on the scans that have a score under a condition."""
    possible = np.isfinite(scores)
    count = int(possible.sum())
    if len(set(as_they_are.positive[possible].tolist())) < 2:
        note = "one class only" if count else "not possible for these scans"
        return RobustnessRow(words=words, scans=count, area=Estimate(value=math.nan, note=note))
    before = as_they_are.of(possible)
    after = before.with_scores(scores[possible])
    called, now = before.scores >= threshold, after.scores >= threshold
    return RobustnessRow(
        words=words,
        scans=count,
        area=roc_auc_score(after),
        difference=compare_areas(after, before),
        called_positive=float((now & ~called).mean()),
        called_negative=float((~now & called).mean()),
    )


def _changed(scan: Scan, condition: Condition, rng: np.random.Generator) -> Scan:
    changed = condition.change(dict(scan.images()), rng)
    return scan.with_views(
        anterior=changed.get(View.ANTERIOR),
        posterior=changed.get(View.POSTERIOR),
        step=condition.words,
    )


def write_robustness(rows: Sequence[RobustnessRow], file: Path, scans: int) -> None:
    """Write the rows as CSV.

    The name of a condition that was not possible for all scans says for how many it was. A
    condition that was possible for none has no figures.

    Args:
        rows: as `robustness` gives them.
        file: path of the table.
        scans: number of scans in the sample.

    Raises:
        OutputError: it cannot be written.
    """
    cells = []
    for row in rows:
        area, change = row.area, row.difference
        found: tuple[float | None, ...] = (None,) * len(_CHANGE)
        if change is not None:
            estimate = change.difference
            found = (estimate.value, estimate.low, estimate.high, change.p_value)
        calls = (row.called_positive, row.called_negative) if area.defined else (None, None)
        ends = (area.value, area.low, area.high)
        cells.append((_words(row, scans), row.scans, *ends, *found, *calls))
    title = "The same scans, degraded"
    table = ResultTable(name="robustness", title=title, columns=COLUMNS, rows=tuple(cells))
    make_folder(file.parent)
    write_csv(table, file)


def _words(row: RobustnessRow, scans: int) -> str:
    if row.area.defined and row.scans == scans:
        return row.words
    said = [f"{row.scans} of {scans} scans"] if row.scans else []
    said += [row.area.note] if not row.area.defined else []
    return f"{row.words} ({', '.join(said)})"


def read_robustness(file: Path) -> tuple[RobustnessRow, ...]:
    """Conditions, scans and areas of a table that `write_robustness` wrote; none without a table.

    Raises:
        InputError: it cannot be read.
    """
    return tuple(
        RobustnessRow(
            words=row["condition"],
            scans=int(row["scans"]),
            area=Estimate(
                value=float(row["roc_auc"]), low=float(row["low"]), high=float(row["high"])
            ),
        )
        for row in written_rows(file)
    )
