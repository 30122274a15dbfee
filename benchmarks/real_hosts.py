"""What a model calls scans without metastases, and the same scans with simulated metastases added.

    python benchmarks/real_hosts.py HOSTS COHORT [--model MODEL] [--each 3]

HOSTS is a folder of 16-bit pictures NAME_anterior.png and NAME_posterior.png whose values are
counts; COHORT a simulated cohort, whose metastases are added to the hosts, one or a few at a time,
as training does (`bonescint.train.transplant`). Nothing here is for learning: it says whether a
change helps on scans that no simulator made.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonescint.cohort import Manifest, read_manifest, truth_of
from bonescint.dicom import read
from bonescint.evaluate import ScoredCases, roc_auc_score
from bonescint.model import Classifier, ModelFolder, shipped_model
from bonescint.scan import Acquisition, PixelUnit, Scan
from bonescint.train.sample import TrainingSample
from bonescint.train.transplant import transplanted


def hosts_in(folder: Path) -> Iterator[TrainingSample]:
    """Every pair of pictures as a negative sample in counts."""
    for anterior in sorted(folder.glob("*_anterior.png")):
        name = anterior.name.removesuffix("_anterior.png")
        views = [np.asarray(Image.open(folder / f"{name}_{view}.png"), dtype=np.float32)
                 for view in ("anterior", "posterior")]  # fmt: skip
        scan = Scan(
            anterior=views[0], posterior=views[1], pixel_spacing_mm=None, unit=PixelUnit.COUNTS,
            scan_id=name, acquisition=Acquisition(modality="OT"),
        )  # fmt: skip
        yield TrainingSample(scan=scan, positive=False)


def donors_in(cohort: Manifest) -> Iterator[TrainingSample]:
    """Every positive scan of a simulated cohort with its masks."""
    for case in cohort.cases:
        if case.positive:
            truth = truth_of(cohort, case)
            masks = truth.masks if truth else None
            yield TrainingSample(scan=read(cohort.path(case)), positive=True, masks=masks)


def scored(
    classifier: Classifier, samples: list[TrainingSample]
) -> tuple[NDArray[np.float64], int]:
    """Probabilities, and how many scans are called unlike those that the model knows."""
    found, unlike = [], 0
    for sample in samples:
        scan = replace(sample.scan, unit=PixelUnit.INTENSITY)
        prediction = classifier.predict(scan)
        found.append(prediction.mbd_probability)
        unlike += any("unlike" in warning for warning in prediction.warnings)
    return np.array(found), unlike


def main() -> None:
    """Score hosts with and without metastases, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("hosts", type=Path)
    parser.add_argument("cohort", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--each", type=int, default=3, help="scans with metastases of each host")
    options = parser.parse_args()
    folder = ModelFolder.load(options.model) if options.model else shipped_model()
    hosts = list(hosts_in(options.hosts))
    donors = donors_in(read_manifest(options.cohort))
    rng, ill = np.random.default_rng(1), []
    for host in hosts * options.each:
        for donor in donors:
            changed = transplanted(donor, host, rng)
            if changed is not donor:
                ill.append(changed)
                break
    point = folder.card.operating_point
    with Classifier(folder) as classifier:
        well, unlike = scored(classifier, hosts)
        worse, unlike_worse = scored(classifier, ill)
    cases = ScoredCases(
        scores=np.concatenate([well, worse]),
        positive=np.repeat([False, True], [len(well), len(worse)]),
    )
    print(f"{folder.model_id}, operating point {point:.3f}")
    print(f"hosts: {int((well >= point).sum())} of {len(well)} called positive, {unlike} unlike")
    print(f"with metastases: {int((worse >= point).sum())} of {len(worse)} called positive, "
          f"{unlike_worse} unlike")  # fmt: skip
    print(f"area {roc_auc_score(cases).value:.3f}; probabilities of hosts, quartiles "
          f"{np.quantile(well, [0.25, 0.5, 0.75]).round(2).tolist()}, with metastases "
          f"{np.quantile(worse, [0.25, 0.5, 0.75]).round(2).tolist()}")  # fmt: skip


if __name__ == "__main__":
    main()
