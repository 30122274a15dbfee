"""The work of a worker process: quantify one study, and draw its pictures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bonescint.classify.quantified_picture import (
    detectability_picture,
    quantified_picture,
    webp_of,
)
from bonescint.classify.steps import reading_sha256
from bonescint.dicom import StudyFiles, read_study
from bonescint.dicom.files import read_bytes, sha256
from bonescint.explain.overlay import png_of
from bonescint.files import json_in, write_whole
from bonescint.model import Classifier, ModelFolder
from bonescint.quantify import MassTable, QuantifiedScan, detection_limits, quantify_scan
from bonescint.scan import InputError, PixelUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifyOrder:
    """How studies are quantified.

    Attributes:
        model: folder of the model.
        masses: the bones' shares of mass.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also give an index for scans that the model does not call.
        detectability: also estimate the contrast at which lesions in each bone are found.
        dicom: also write the result as DICOM Structured Reports.
        facts: what a result depends on apart from its files, JSON-ready.
        notice: statement about the model on each picture.
        out: the results folder.
    """

    model: Path
    masses: MassTable
    device: str
    call_anyway: bool
    detectability: bool
    dicom: bool
    facts: Mapping[str, Any]
    notice: str
    out: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifiedStudy:
    """What became of a study.

    Attributes:
        key: name of its files in the results folder.
        content: the result, JSON-ready.
        is_new: whether this run made it; otherwise it is from an earlier run.
    """

    key: str
    content: dict[str, Any]
    is_new: bool


def record_path(out: Path, key: str) -> Path:
    """The file from which a later run takes a finished result."""
    return out / "scans" / f"{key}.json"


def compile_model(order: QuantifyOrder) -> None:
    """Make the model ready in this process.

    Raises:
        ModelFolderError: the model cannot be run.
        ParameterError: there is no such device.
    """
    _classifier(order.model, order.device, order.call_anyway)


def close_model() -> None:
    """Free the model of this process."""
    _classifier.cache_clear()


@lru_cache(maxsize=1)
def _classifier(model: Path, device: str, call_anyway: bool) -> Classifier:
    folder = ModelFolder.load(model)
    return Classifier(folder, device=device, threads=1, call_anyway=call_anyway)


def quantified_study(order: QuantifyOrder, study: StudyFiles) -> QuantifiedStudy:
    """Quantify a study and draw it, unless an earlier run has done so.

    Args:
        order: how.
        study: what.

    Raises:
        InputError: it cannot be read as a bone scan.
        UnitError: its pixels are in a unit that the model does not take.
        OutputError: a picture cannot be written.
    """
    file_sha256 = [sha256(read_bytes(file)) for file in study.files]
    said = json.dumps([reading_sha256(study, file_sha256), order.facts])
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    stored = _stored(order.out, key)
    if stored is not None:
        return QuantifiedStudy(key=key, content=stored, is_new=False)
    scan = read_study(study)
    classifier = _classifier(order.model, order.device, order.call_anyway)
    found = quantify_scan(
        scan, classifier.predict(scan), masses=order.masses, call_anyway=order.call_anyway
    )
    content = {
        **found.to_json(),
        "file_sha256": file_sha256,
        "picture": f"pictures/{key}.png",
    }
    drawn = {key: quantified_picture(found, notice=order.notice)}
    if order.detectability:
        limits = None
        if _has_limits(found):
            limits = detection_limits(scan, found.body, classifier.predict)
            name = f"{key}.detectability"
            drawn[name] = detectability_picture(found, limits, notice=order.notice)
            content["detectability_picture"] = f"pictures/{name}.png"
        content["detection_limits"] = limits and [limit.to_json() for limit in limits]
    if order.dicom:
        content |= _reports(order, study, found, classifier.folder, key)
    for name, picture in drawn.items():
        write_whole(order.out / "pictures" / f"{name}.png", png_of(picture))
        write_whole(order.out / "scans" / f"{name}.webp", webp_of(picture))
    return QuantifiedStudy(key=key, content=content, is_new=True)


def _stored(out: Path, key: str) -> dict[str, Any] | None:
    """A result of an earlier run whose pictures are all there."""
    try:
        stored: dict[str, Any] = json_in(record_path(out, key).read_text(encoding="utf-8"))
        names = [stored[name] for name in ("picture", "detectability_picture") if name in stored]
        files = [out / "scans" / Path(name).with_suffix(".webp").name for name in names]
        files += [out / name for name in (*names, *stored.get("objects", ()))]
        return stored if "picture" in stored and all(map(Path.is_file, files)) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _has_limits(found: QuantifiedScan) -> bool:
    """Whether a scan has what its detection limits need."""
    scan = found.scan
    in_counts = scan.unit is PixelUnit.COUNTS and scan.pixel_spacing_mm is not None
    return found.index is not None and in_counts


def _reports(
    order: QuantifyOrder, study: StudyFiles, found: QuantifiedScan, model: ModelFolder, key: str
) -> dict[str, Any]:
    """Paths of the DICOM reports of a scan, or why there are none."""
    from bonescint.classify.quantified_report import written_reports

    try:
        paths = written_reports(study, found, model, order.masses, order.out / "dicom", key)
    except InputError as error:
        return {"objects": [], "not_delivered": str(error)}
    return {"objects": [path.relative_to(order.out).as_posix() for path in paths]}
