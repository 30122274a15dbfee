"""What of a result goes to other systems: DICOM objects for the PACS, a bundle for FHIR."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonescint.classify.results import notice_of
from bonescint.dicom import StudyFiles
from bonescint.dicom.results import (
    AlgorithmFacts,
    result_bundle,
    result_objects,
    write_result_objects,
)
from bonescint.files import make_folder, write_whole
from bonescint.scan import Prediction, Scan

if TYPE_CHECKING:
    from bonescint.model import ModelFolder

DICOM_FOLDER, FHIR_FOLDER = "dicom", "fhir"
"""Folders of the DICOM objects and of the FHIR bundles in a results folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryOrder:
    """What is written of each result for other systems.

    Attributes:
        algorithm: what the objects say of the model.
        folder: the results folder.
        dicom: write DICOM objects.
        fhir: write a FHIR bundle.
    """

    algorithm: AlgorithmFacts
    folder: Path
    dicom: bool = True
    fhir: bool = False

    @classmethod
    def of(
        cls, model: ModelFolder, folder: Path, *, dicom: bool, fhir: bool
    ) -> DeliveryOrder | None:
        """The order for a model's results, or `None` if nothing is wanted.

        Args:
            model: the model.
            folder: the results folder.
            dicom: write DICOM objects.
            fhir: write a FHIR bundle.
        """
        if not (dicom or fhir):
            return None
        return cls(algorithm=algorithm_facts(model), folder=folder, dicom=dicom, fhir=fhir)

    def deliver(
        self,
        study: StudyFiles,
        scan: Scan,
        prediction: Prediction,
        *,
        picture: NDArray[np.uint8],
        stem: str,
    ) -> tuple[str, ...]:
        """Write what is wanted of one result.

        Args:
            study: the files that the scan was read from.
            scan: as it was read.
            prediction: the answer for it.
            picture: its picture, uint8 (rows, columns, 3).
            stem: start of the files' names.

        Returns:
            The files' paths, relative to the results folder.

        Raises:
            InputError: the scan does not come from DICOM files that results can refer to.
            MissingExtraError: the extra `pacs` is not installed.
            OutputError: a file cannot be written.
        """
        from bonescint.explain import evidence_regions

        regions = evidence_regions(scan, prediction, operating_point=self.algorithm.operating_point)
        written: list[Path] = []
        if self.dicom:
            objects = result_objects(
                study,
                scan,
                prediction,
                picture=picture,
                regions=regions,
                algorithm=self.algorithm,
            )
            written += write_result_objects(objects, self.folder / DICOM_FOLDER, stem)
        if self.fhir:
            bundle = result_bundle(
                study, scan, prediction, regions=regions, algorithm=self.algorithm
            )
            make_folder(self.folder / FHIR_FOLDER)
            path = self.folder / FHIR_FOLDER / f"{stem}.json"
            write_whole(path, json.dumps(bundle, indent=1) + "\n")
            written.append(path)
        return tuple(path.relative_to(self.folder).as_posix() for path in written)


def algorithm_facts(folder: ModelFolder) -> AlgorithmFacts:
    """What results say of a model.

    Examples:
        >>> from bonescint.model import shipped_model
        >>> algorithm_facts(shipped_model()).name
        'bonescint-compact-cells'
    """
    import bonescint

    card = folder.card
    return AlgorithmFacts(
        name=card.name,
        version=card.version,
        sha256=folder.sha256,
        operating_point=card.operating_point,
        map_kind=card.evidence_map.kind,
        software=bonescint.__version__,
        notice=notice_of(folder),
        ood_threshold=None if folder.ood is None else folder.ood.threshold,
    )
