"""A stand-in answer for a study, and the objects that are made of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread

from bonescint.dicom import StudyFiles, read_study
from bonescint.dicom.results import (
    AlgorithmFacts,
    ResultKind,
    result_bundle,
    result_objects,
    write_result_objects,
)
from bonescint.scan import EvidenceRegion, Prediction, Scan, View

ALGORITHM = AlgorithmFacts(
    name="stand-in",
    version="1",
    sha256="ab" * 32,
    operating_point=0.5,
    map_kind="probability of each cell",
    software="0.1.0",
    notice="Research use only. Not a medical device. Model trained on simulated scans only.",
    ood_threshold=4.5,
)
FRONT = np.array([[100, 40], [100, 60], [130, 60], [130, 40]], dtype=float)
BACK = np.array([[300, 90], [300, 120], [310, 120], [310, 100], [340, 100], [340, 90]], dtype=float)


def regions() -> tuple[EvidenceRegion, ...]:
    return (
        EvidenceRegion(view=View.ANTERIOR, outline=FRONT, peak=0.875, level=1.0, pixels=600),
        EvidenceRegion(view=View.POSTERIOR, outline=BACK, peak=0.5, level=0.6, pixels=600),
    )


@dataclass(frozen=True, kw_only=True)
class Made:
    """The objects of one study, as read back, and what they were made of."""

    paths: dict[ResultKind, Path]
    sources: tuple[Path, ...]
    scan: Scan
    bundle: dict[str, Any]

    def dataset(self, kind: ResultKind) -> Dataset:
        return dcmread(self.paths[kind])


def answer(scan: Scan, *, probability: float = 0.875, positive: bool | None = True) -> Prediction:
    return Prediction(
        scan_id=scan.scan_id,
        mbd_probability=probability,
        positive=positive,
        model_id="stand-in@1+abababab",
        ood_score=2.25,
        unlike=positive is None,
    )


def make(
    sources: tuple[Path, ...],
    out: Path,
    *,
    outlined: tuple[EvidenceRegion, ...] | None = None,
    algorithm: AlgorithmFacts = ALGORITHM,
    **called: Any,
) -> Made:
    study = StudyFiles(sources, " + ".join(map(str, sources)))
    scan = read_study(study)
    outlined = regions() if outlined is None else outlined
    outlined = tuple(region for region in outlined if region.view in scan.views)
    picture = np.arange(90 * 60 * 3, dtype=np.uint8).reshape(90, 60, 3)
    objects = result_objects(
        study,
        scan,
        answer(scan, **called),
        picture=picture,
        regions=outlined,
        algorithm=algorithm,
    )
    paths = write_result_objects(objects, out, "a")
    bundle = result_bundle(
        study, scan, answer(scan, **called), regions=outlined, algorithm=algorithm
    )
    kinds = [one.kind for one in objects]
    return Made(
        paths=dict(zip(kinds, paths, strict=True)), sources=sources, scan=scan, bundle=bundle
    )
