"""How much worse a model reads scans that are worse, turned, or not whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.cohort import Manifest
from bonescint.dicom import read
from bonescint.evaluate import Comparison, Estimate, ScoredCases, compare_areas, roc_auc_score
from bonescint.model import Classifier
from bonescint.scan import Case, PixelUnit, Scan, View

_Images = dict[View, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One way in which a scan is made worse.

    Attributes:
        name: for tables.
        words: for people.
        change: makes new views of old ones; a view that it leaves out is missing.
    """

    name: str
    words: str
    change: Callable[[_Images, np.random.Generator], _Images]


def thinned(share: float) -> Callable[[_Images, np.random.Generator], _Images]:
    """Keep each photon with a probability: exactly a shorter or weaker scan (Poisson)."""

    def change(images: _Images, rng: np.random.Generator) -> _Images:
        return {
            view: rng.binomial(np.rint(image).astype(np.int64), share).astype(np.float32)
            for view, image in images.items()
        }

    return change


def blurred(sigma_pixels: float) -> Callable[[_Images, np.random.Generator], _Images]:
    """Smooth with a Gaussian, as a workstation's filter does."""

    def change(images: _Images, _: np.random.Generator) -> _Images:
        return {
            view: ndimage.gaussian_filter(image, sigma_pixels) for view, image in images.items()
        }

    return change


def shifted(share: float) -> Callable[[_Images, np.random.Generator], _Images]:
    """Move the body by a share of the field's width, the same way on the table in both views."""

    def change(images: _Images, _: np.random.Generator) -> _Images:
        moved = {}
        for view, image in images.items():
            columns = round(share * image.shape[1]) * (1 if view is View.ANTERIOR else -1)
            moved[view] = ndimage.shift(image, (0, columns), order=0)
        return moved

    return change


def turned(degrees: float) -> Callable[[_Images, np.random.Generator], _Images]:
    """Turn the body on the table; the views see it from opposite sides."""

    def change(images: _Images, _: np.random.Generator) -> _Images:
        return {
            view: ndimage.rotate(
                image, degrees if view is View.ANTERIOR else -degrees, reshape=False, order=1
            )
            for view, image in images.items()
        }

    return change


def only(view: View) -> Callable[[_Images, np.random.Generator], _Images]:
    """The other view is missing."""
    return lambda images, _: {view: images[view]}


def _swapped(images: _Images, _: np.random.Generator) -> _Images:
    return {View.ANTERIOR: images[View.POSTERIOR], View.POSTERIOR: images[View.ANTERIOR]}


CONDITIONS: tuple[Condition, ...] = (
    Condition(name="half_counts", words="half of the counts", change=thinned(0.5)),
    Condition(name="fifth_counts", words="a fifth of the counts", change=thinned(0.2)),
    Condition(name="blur_1", words="blurred, sigma 1 pixel", change=blurred(1.0)),
    Condition(name="blur_2", words="blurred, sigma 2 pixels", change=blurred(2.0)),
    Condition(name="shift", words="shifted by 8 % of the width", change=shifted(0.08)),
    Condition(name="turn", words="turned by 5 degrees", change=turned(5.0)),
    Condition(name="swapped", words="anterior and posterior exchanged", change=_swapped),
    Condition(name="anterior", words="anterior view only", change=only(View.ANTERIOR)),
    Condition(name="posterior", words="posterior view only", change=only(View.POSTERIOR)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RobustnessRow:
    """A condition and what it costs.

    Attributes:
        words: of the condition.
        area: under the ROC curve, DeLong's interval.
        difference: area less that of the scans as they are, paired; `None` for those.
        called_positive: share of the scans whose call changed to positive.
        called_negative: share of the scans whose call changed to negative.
    """

    words: str
    area: Estimate
    difference: Comparison | None = None
    called_positive: float = 0.0
    called_negative: float = 0.0


def chosen(cases: Sequence[Case], count: int, seed: int) -> list[Case]:
    """A sample of cases, both classes in equal numbers where there are enough."""
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

    Thinning needs counts; a scan in another unit is left as it is there.

    Args:
        classifier: the model.
        cohort: that the cases belong to.
        cases: of both classes, with files that can be read.
        threshold: probability from which a scan is called positive.
        conditions: to try.
        seed: of the thinning.
        progress: called with the number of scans done and of all.

    Returns:
        The scans as they are, then each condition.
    """
    tried = tuple(conditions)
    plain, worse = [], np.zeros((len(tried), len(cases)))
    for number, case in enumerate(cases):
        scan = read(cohort.path(case))
        plain.append(classifier.predict(scan).mbd_probability)
        for index, condition in enumerate(tried):
            rng = np.random.default_rng([seed, number, index])
            changed = _changed(scan, condition, rng)
            worse[index, number] = classifier.predict(changed).mbd_probability
        if progress is not None:
            progress(number + 1, len(cases))
    truth = np.array([case.positive for case in cases], dtype=bool)
    as_they_are = ScoredCases(scores=np.array(plain), positive=truth)
    called = as_they_are.scores >= threshold
    rows = [RobustnessRow(words="as they are", area=roc_auc_score(as_they_are))]
    for condition, scores in zip(tried, worse, strict=True):
        scored = as_they_are.with_scores(scores)
        now = scores >= threshold
        rows.append(
            RobustnessRow(
                words=condition.words,
                area=roc_auc_score(scored),
                difference=compare_areas(scored, as_they_are),
                called_positive=float((now & ~called).mean()),
                called_negative=float((~now & called).mean()),
            )
        )
    return tuple(rows)


def _changed(scan: Scan, condition: Condition, rng: np.random.Generator) -> Scan:
    images = dict(scan.images())
    needs_counts = condition.name.endswith("counts")
    if (needs_counts and scan.unit is not PixelUnit.COUNTS) or len(images) < len(View):
        return scan
    changed = condition.change(images, rng)
    return scan.with_views(
        anterior=changed.get(View.ANTERIOR),
        posterior=changed.get(View.POSTERIOR),
        step=condition.words,
    )
