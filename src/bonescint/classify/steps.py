"""The work of worker processes: read and prepare a study, and draw its picture."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bonescint.classify.delivery import DeliveryOrder
from bonescint.dicom import StudyFiles, read_study
from bonescint.dicom.files import read_bytes, sha256
from bonescint.dicom.words import view_in_path
from bonescint.explain import explain
from bonescint.files import write_whole
from bonescint.prepare import PreparedScan, Preprocessing, prepare
from bonescint.report import PageLayers
from bonescint.scan import Acquisition, InputError, Prediction, Scan

if TYPE_CHECKING:
    from bonescint.explain import Explanation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadyScan:
    """A study that was read and prepared.

    Attributes:
        prepared: the input of the model.
        views: names of the views that are present.
        warnings: what was tolerated or assumed while reading.
        file_sha256: hashes of the files that it was read from.
        read_from: `reading_sha256` of the study.
        facts: JSON-ready facts about the scan; nothing in it identifies a patient.
        packed_scan: the pickled scan, which the predicting process passes on without unpickling;
            empty if no picture is drawn.
    """

    prepared: PreparedScan
    views: tuple[str, ...]
    warnings: tuple[str, ...]
    file_sha256: tuple[str, ...]
    read_from: str
    facts: dict[str, Any]
    packed_scan: bytes


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A study that would be read as an earlier run read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawOrder:
    """What is needed to draw a picture, apart from the scan.

    Attributes:
        prediction: the prediction for the scan.
        operating_point: the model's threshold on the probability.
        notice: statement about the model.
        path: path of the PNG file.
        layer_paths: paths of the WebP files that the page overlays: counts, evidence.
        study: the files that the scan was read from.
        delivery: what is written for other systems, or `None`.
    """

    prediction: Prediction
    operating_point: float
    notice: str
    path: Path
    layer_paths: tuple[Path, Path]
    study: StudyFiles
    delivery: DeliveryOrder | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnScan:
    """What was written of one scan.

    Attributes:
        layers: the layers of the page.
        objects: paths of what was written for other systems, relative to the results folder.
        not_delivered: why that could not be written; empty if it was, or was not wanted.
    """

    layers: PageLayers
    objects: tuple[str, ...] = ()
    not_delivered: str = ""


def reading_sha256(study: StudyFiles, file_sha256: Iterable[str]) -> str:
    """A hash of all that the reading of a study depends on.

    Besides the content of the files, that is what their names say, from which pictures have their
    views, and how they were paired among the files of the batch.

    Args:
        study: its files.
        file_sha256: hashes of their content, in their order.
    """
    views = [view_in_path(file) for file in study.files]
    depends_on = [list(file_sha256), [view and view.value for view in views], study.warnings]
    return hashlib.sha256(json.dumps(depends_on).encode()).hexdigest()


def read_unless_same(
    study: StudyFiles, preprocessing: Preprocessing, known: str, packed: bool = True
) -> ReadyScan | Unchanged:
    """Read and prepare a study, unless its `reading_sha256` is the known one.

    Raises:
        InputError: the study cannot be read as a bone scan.
        UnitError: its pixels are in a unit that the preprocessing does not accept.
    """
    if reading_sha256(study, (sha256(read_bytes(file)) for file in study.files)) == known:
        return Unchanged()
    return read_and_prepare(study, preprocessing, packed)


def read_and_prepare(
    study: StudyFiles, preprocessing: Preprocessing, packed: bool = True
) -> ReadyScan:
    """Read a study and apply the model's preprocessing.

    Args:
        study: its files.
        preprocessing: the model's.
        packed: also give the scan itself, to draw it.

    Raises:
        InputError: the study cannot be read as a bone scan.
        UnitError: its pixels are in a unit that the preprocessing does not accept.
    """
    began = time.perf_counter()
    scan = read_study(study)
    prepared = prepare(scan, preprocessing)
    facts = facts_of(scan)
    facts["read_s"] = round(time.perf_counter() - began, 4)
    return ReadyScan(
        prepared=prepared,
        views=tuple(view.value for view in scan.views),
        warnings=scan.warnings,
        file_sha256=scan.acquisition.file_sha256,
        read_from=reading_sha256(study, scan.acquisition.file_sha256),
        facts=facts,
        packed_scan=pickle.dumps(scan, protocol=5) if packed else b"",
    )


def facts_of(scan: Scan) -> dict[str, Any]:
    """The facts about a scan in `results.json`."""
    return {
        "shape": list(scan.shape),
        "pixel_spacing_mm": list(scan.pixel_spacing_mm) if scan.pixel_spacing_mm else None,
        "unit": scan.unit.value,
        "total": {view.value: scan.total(view) for view in scan.views},
        "acquisition": _acquisition(scan.acquisition),
        "history": list(scan.history),
    }


def _acquisition(acquisition: Acquisition) -> dict[str, Any]:
    window = acquisition.energy_window_kev
    return {
        "modality": acquisition.modality,
        "manufacturer": acquisition.manufacturer,
        "camera": acquisition.camera,
        "year": acquisition.year,
        "image_type": acquisition.image_type,
        "transfer_syntax": acquisition.transfer_syntax,
        "energy_window_kev": list(window) if window else None,
        "view_rules": {view.value: rule.value for view, rule in acquisition.view_rules.items()},
        "file_sha256": list(acquisition.file_sha256),
    }


def draw(packed_scan: bytes, order: DrawOrder) -> DrawnScan:
    """Draw a scan's picture and the layers of the page, and write them, and what others get.

    Returns:
        The layers and the objects, by their names.

    Raises:
        OutputError: a picture cannot be written (a full disk, say).
    """
    scan: Scan = pickle.loads(packed_scan)  # noqa: S301 - packed by `read_and_prepare`
    if scan.scan_id != order.prediction.scan_id:  # renamed: several scans share its UIDs
        scan = replace(scan, scan_id=order.prediction.scan_id)
    explanation = explain(
        scan, order.prediction, operating_point=order.operating_point, notice=order.notice
    )
    write_whole(order.path, explanation.png())
    layers = explanation.layers()
    for path, content in zip(
        order.layer_paths, (layers.grey_webp, layers.evidence_webp), strict=True
    ):
        if content:
            write_whole(path, content)
    grey, evidence = order.layer_paths
    shown = PageLayers(
        grey=grey.name,
        evidence=evidence.name if layers.evidence_webp else "",
        width=layers.width,
        height=layers.height,
        pixel_mm=layers.pixel_mm,
    )
    return _delivered(scan, order, explanation, shown)


def _delivered(
    scan: Scan, order: DrawOrder, explanation: Explanation, layers: PageLayers
) -> DrawnScan:
    """Write what other systems get of a scan; one that cannot be referred to is named."""
    if order.delivery is None:
        return DrawnScan(layers=layers)
    try:
        objects = order.delivery.deliver(
            order.study,
            scan,
            order.prediction,
            picture=np.asarray(explanation.picture),
            stem=order.path.stem,
        )
    except InputError as error:
        return DrawnScan(layers=layers, not_delivered=str(error))
    return DrawnScan(layers=layers, objects=objects)
