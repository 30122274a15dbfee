"""What models make of scans of places that no simulator of ours describes.

    python benchmarks/other_places.py COHORT [--model MODEL ...] [--count 300]

COHORT is a simulated cohort that no model was trained on. Its scans are changed as no simulated
camera and body changes them: warped, brightened from place to place, blurred and noised again, cut
to 8 bits with everything below a few counts at zero, squeezed, averaged over patients with
metastases pasted in. Area under the ROC curve, sensitivity and specificity at each model's own
operating point, and the share of scans that the model finds unlike those that it knows. A model
that falls here was fitted to the simulator; that it does not fall proves nothing
(docs/training.md).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.cohort import Manifest, read_manifest, truth_of
from bonescint.dicom import read
from bonescint.evaluate import ScoredCases, roc_auc_score
from bonescint.model import Classifier, ModelFolder, shipped_model
from bonescint.scan import Case, PixelUnit, Scan, View
from bonescint.train.sample import TrainingSample
from bonescint.train.transplant import transplanted

Image = NDArray[np.float32]
Images = dict[View, Image]
WIDE_PIXELS = 60.0


def smooth_field(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> Image:
    """Gaussian noise of a correlation length, with a standard deviation of 1."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return (field / field.std()).astype(np.float32)


def warped(images: Images, rng: np.random.Generator) -> Images:
    """Move everything by up to some 1.5 % of the height, differently from place to place."""
    shape = next(iter(images.values())).shape
    rows, columns = np.indices(shape)
    shift = [0.008 * shape[0] * smooth_field(shape, WIDE_PIXELS, rng) for _ in range(2)]
    shift[1] *= 0.5
    return {
        view: ndimage.map_coordinates(
            image,
            (rows + shift[0], columns + (shift[1] if view is View.ANTERIOR else shift[1][:, ::-1])),
            order=1,
        )
        for view, image in images.items()
    }


def brightened(images: Images, rng: np.random.Generator) -> Images:
    """Multiply by a smooth field with a standard deviation of 30 %, each view its own."""
    return {
        view: image * np.exp(0.3 * smooth_field(image.shape, WIDE_PIXELS / 2, rng))
        for view, image in images.items()
    }


def blurred(images: Images, rng: np.random.Generator) -> Images:
    """Another point-spread, and noise that comes after it."""
    return {
        view: rng.poisson(np.maximum(ndimage.gaussian_filter(image, 1.8), 0)).astype(np.float32)
        for view, image in images.items()
    }


def eight_bits(images: Images, _: np.random.Generator) -> Images:
    """A picture archive: values below 3 counts at zero, 256 grey levels, white at 1 in 200."""
    white = max(float(np.quantile(image[image > 0], 0.995)) for image in images.values())
    return {
        view: np.rint(255 * np.clip(np.where(image < 3, 0, image) / white, 0, 1)).astype(np.float32)
        for view, image in images.items()
    }


def squeezed(images: Images, _: np.random.Generator) -> Images:
    """Bodies that are 15 % broader than they were, cut to the body."""
    bright = sum(ndimage.gaussian_filter(image, 3).max(axis=1) for image in images.values())
    rows = np.flatnonzero(bright > 2)
    return {
        view: ndimage.zoom(image[rows[0] : rows[-1] + 1], (0.87, 1.0), order=1)
        for view, image in images.items()
    }


CHANGES: dict[str, Callable[[Images, np.random.Generator], Images]] = {
    "as simulated": lambda images, _: images,
    "warped": warped,
    "brightened from place to place": brightened,
    "blurred, noise after it": blurred,
    "8 bits, low counts cut": eight_bits,
    "15 % broader, cut to the body": squeezed,
    "warped, brightened, blurred, 8 bits": lambda images, rng: eight_bits(
        blurred(brightened(warped(images, rng), rng), rng), rng
    ),
}


def averaged(cohort: Manifest, count: int) -> Iterator[tuple[Scan, bool]]:
    """Means of four normal scans, half of them with a patient's metastases pasted in."""
    normal = [case for case in cohort.cases if not case.positive]
    rng = np.random.default_rng(3)
    donors = iter([case for case in cohort.cases if case.positive] * 5)
    for number in range(count):
        four = [
            read(cohort.path(normal[int(i)]))
            for i in rng.choice(len(normal), size=4, replace=False)
        ]
        if any(scan.missing_views for scan in four):
            continue
        rows = max(image.shape[0] for scan in four for _, image in scan.images())
        views = {
            view: rng.poisson(
                sum(_fitted(dict(scan.images())[view], rows) for scan in four) / 4.0
            ).astype(np.float32)
            for view in View
        }
        host = TrainingSample(
            scan=four[0].with_views(
                anterior=views[View.ANTERIOR], posterior=views[View.POSTERIOR], step="mean of four"
            ),
            positive=False,
        )
        if number % 2:
            for donor in donors:
                truth = truth_of(cohort, donor)
                masks = truth.masks if truth else None
                given = TrainingSample(scan=read(cohort.path(donor)), positive=True, masks=masks)
                changed = transplanted(given, host, rng)
                if changed is not given:
                    yield changed.scan, True
                    break
        else:
            yield host.scan, False


def _fitted(image: Image, rows: int) -> Image:
    """The body of an image, from crown to sole, stretched to a number of rows, 256 wide."""
    found = np.flatnonzero(ndimage.gaussian_filter(image, 3).max(axis=1) > 1)
    body = image[found[0] : found[-1] + 1]
    stretched = ndimage.zoom(body, ((rows - 80) / body.shape[0], 256 / body.shape[1]), order=1)
    middle = int(ndimage.center_of_mass(stretched)[1])
    stretched = np.roll(stretched, 128 - middle, axis=1)
    return np.pad(stretched, ((40, rows - 40 - stretched.shape[0]), (0, 0)))


def changed_scan(cohort: Manifest, case: Case, name: str, number: int) -> Scan:
    """One scan of a place; what leaves counts behind is no longer in counts."""
    scan = read(cohort.path(case))
    rng = np.random.default_rng([number, list(CHANGES).index(name)])
    images = CHANGES[name](dict(scan.images()), rng)
    changed = scan.with_views(
        anterior=images.get(View.ANTERIOR), posterior=images.get(View.POSTERIOR), step=name
    )
    return replace(changed, unit=PixelUnit.INTENSITY) if "8 bits" in name else changed


def row(classifier: Classifier, scans: Iterator[tuple[Scan, bool]], point: float) -> str:
    """Area, sensitivity, specificity, share unlike."""
    found, truth, unlike = [], [], 0
    for scan, positive in scans:
        prediction = classifier.predict(scan)
        found.append(prediction.mbd_probability)
        truth.append(positive)
        unlike += any("unlike" in warning for warning in prediction.warnings)
    scores, positive = np.array(found), np.array(truth)
    area = roc_auc_score(ScoredCases(scores=scores, positive=positive)).value
    called = scores >= point
    return (
        f"{area:.3f}  {called[positive].mean():.2f}  {(~called[~positive]).mean():.2f}  "
        f"{unlike / scores.size:.2f}"
    )


def main() -> None:
    """Score, and print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", type=Path, action="append", help="shipped if there is none")
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    cohort = read_manifest(options.cohort)
    rng = np.random.default_rng(1)
    mixed = [cohort.cases[int(i)] for i in rng.permutation(len(cohort.cases))][: options.count]
    for place in options.model or [None]:
        model = ModelFolder.load(place) if place else shipped_model()
        point = model.card.operating_point
        print(f"{model.model_id}, operating point {point:.3f}")
        print("scans                                area   sens  spec  unlike")
        with Classifier(model) as classifier:
            for name in CHANGES:
                scans = (
                    (changed_scan(cohort, case, name, number), case.positive)
                    for number, case in enumerate(mixed)
                )
                print(f"{name:36s} {row(classifier, scans, point)}", flush=True)
            text = row(classifier, averaged(cohort, options.count), point)
            print(f"{'means of four, metastases pasted in':36s} {text}", flush=True)


if __name__ == "__main__":
    main()
