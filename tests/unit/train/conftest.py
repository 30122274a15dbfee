"""Small scans with hot spots, a narrow VGG16 for them, and weights files in each layout."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bonescint.cohort import write_manifest, write_truth
from bonescint.dicom import write_nm
from bonescint.prepare import Preprocessing, prepare, preprocessing_named
from bonescint.scan import Acquisition, Case, PixelUnit, Scan, Split, Truth, View
from bonescint.train.configuration import TrainingConfiguration, TrainingStage
from bonescint.train.imagenet import NAMES
from bonescint.train.network import InputScale, NetworkShape, ScanNetwork
from bonescint.train.sample import ListedSource, TrainingSample
from bonescint.train.weights import InitialWeights

_Value = TypeVar("_Value", bound=np.generic)
NARROW = NetworkShape(channels=(4, 4, 8, 8, 8), hidden=8)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> Iterator[None]:
    """Tiny layers on several threads wait for each other more than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def a_sample(number: int, *, positive: bool) -> TrainingSample:
    """A body of counts; a positive one has a hot spot in both views, of kind 1, 2 or 3."""
    rng = np.random.default_rng([7, number])
    images, masks = {}, {}
    row, column = rng.integers(20, 90), rng.integers(20, 40)
    for view in View:
        mean = np.zeros((128, 64))
        mean[8:120, 14:50] = 5
        mask = np.zeros((128, 64), dtype=bool)
        if positive:
            mask[row : row + 8, column : column + 8] = True
            mean[mask] = 60
        images[view] = rng.poisson(mean)
        masks[view] = mask
    scan = Scan(
        anterior=images[View.ANTERIOR],
        posterior=images[View.POSTERIOR],
        pixel_spacing_mm=(2.4, 2.4),
        unit=PixelUnit.COUNTS,
        scan_id=f"s{number}",
        acquisition=Acquisition(modality="NM"),
    )
    findings = {view: mask * np.uint8(1 + number % 3) for view, mask in masks.items()}
    return TrainingSample(scan=scan, positive=positive, masks=masks, findings=findings)


@pytest.fixture(scope="session")
def source() -> ListedSource:
    return ListedSource(tuple(a_sample(n, positive=n % 3 == 0) for n in range(18)))


@pytest.fixture
def whether_and_where(
    source: ListedSource,
) -> Callable[[ScanNetwork, Preprocessing], tuple[float, float]]:
    """The area under the ROC curve on the scans, and how often the map's peak is on the spot."""

    def judged(network: ScanNetwork, preprocessing: Preprocessing) -> tuple[float, float]:
        margins, hits = [], []
        for sample in source.samples:
            prepared = prepare(sample.scan, preprocessing)
            with torch.no_grad():
                logits, maps = network.forward_with_maps(
                    torch.from_numpy(prepared.composite.copy())[None]
                )
            margins.append(float(logits[0, 1] - logits[0, 0]))
            if sample.positive:  # the hottest cell of the composite is on the spot in either view
                row, column = np.unravel_index(int(maps[0, 1].argmax()), (8, 8))
                brightest = np.unravel_index(int(prepared.composite[0].argmax()), (64, 64))
                hits.append(abs(row - brightest[0] / 8) < 2 or abs(column - brightest[1] / 8) < 2)
        return float(roc_auc_score(source.positives, margins)), float(np.mean(hits))

    return judged


@pytest.fixture
def settings() -> TrainingConfiguration:
    preprocessing = replace(preprocessing_named("body-root"), name="small", rows=64, columns=32)
    return TrainingConfiguration(
        preprocessing=preprocessing,
        stages=(TrainingStage(epochs=2, rows=64),),
        batch_size=4,
        loader_workers=0,
        shape=NARROW,
        checkpoint_steps=2,
        backbone_learning_rate=1e-3,
        averaging_decay=0.9,
    )


@pytest.fixture(scope="session")
def weights() -> InitialWeights:
    rng = np.random.default_rng(5)
    kernels, biases = {}, {}
    inputs = 3
    for name in NAMES:
        outputs = NARROW.channels[int(name[5]) - 1]
        spread = np.sqrt(2 / (9 * inputs))
        kernels[name] = rng.normal(0, spread, (outputs, inputs, 3, 3)).astype(np.float32)
        biases[name] = np.zeros(outputs, dtype=np.float32)
        inputs = outputs
    return InitialWeights(
        kernels=kernels, biases=biases, input_scale=InputScale.UNIT, source="random", sha256="r"
    )


def _grown(view: View, plane: NDArray[_Value]) -> NDArray[_Value]:
    grown: NDArray[_Value] = np.kron(plane, np.ones((8, 4), dtype=plane.dtype))
    return grown


@pytest.fixture
def cohort(tmp_path: Path, source: ListedSource) -> Path:
    """The manifest of six scans in each split, a third of them positive, on disk."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    cases = []
    splits = (Split.TRAIN, Split.VALIDATION, Split.TEST)
    for number, sample in enumerate(source.samples):
        name = f"s{number}"
        # A whole-body field: the reader refuses anything smaller.
        images = {view: _grown(view, image) for view, image in sample.scan.images()}
        grown = sample.changed(images, step="grown", moved=_grown)
        write_nm(grown.scan, folder / f"{name}.dcm")
        truth = Truth(positive=grown.positive, masks=grown.masks or {}, simulated=True)
        write_truth(truth, folder / f"{name}.npz")
        cases.append(
            Case(
                scan_id=name,
                patient_id=f"p{number}",
                centre="here",
                split=splits[number // 6],
                positive=sample.positive,
                file=f"{name}.dcm",
                truth=f"{name}.npz",
            )
        )
    write_manifest(cases, folder / "manifest.csv")
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def imagenet_file() -> Path:
    name = "BONESCINT_VGG16_WEIGHTS"
    if name not in os.environ:
        pytest.skip(f"needs a file of ImageNet's weights, named by {name}")
    return Path(os.environ[name])
