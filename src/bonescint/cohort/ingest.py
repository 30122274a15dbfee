"""Take studies into a cohort: read each, remove its identity and write it, or refuse it."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint import __version__
from bonescint.cohort.matching import Exclusion, LabelledStudy
from bonescint.cohort.truth import read_mask, write_mask
from bonescint.dicom import (
    StudyFiles,
    identity_of,
    read,
    read_study,
    require_no_identity,
    without_identity,
    write_nm,
)
from bonescint.dicom.archives import archive_of
from bonescint.dicom.identity import keyed_hash
from bonescint.files import json_in, write_whole, written_beside
from bonescint.parallel import map_in_processes
from bonescint.scan import (
    BonescintError,
    InputError,
    MissingExtraError,
    OutputError,
    PixelUnit,
    Scan,
    UnitError,
    View,
)

_CONTENT_LETTERS = 12
_FEW = 8  # studies that are read before other processes would have begun


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestRequest:
    """A study to take into the cohort.

    Attributes:
        study: its files.
        patient_id: pseudonym, for the header of the copy.
        masks: path of a physician's mask by view.
        copy: write a copy without identity; else the manifest points at the file.
        allow_burned_in: take a scan whose header says that text is part of the pixels.
    """

    study: StudyFiles
    patient_id: str
    masks: tuple[tuple[View, Path], ...]
    copy: bool
    allow_burned_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestResult:
    """A study that was taken into the cohort, or refused.

    Attributes:
        scan_id: what `bonescint classify` calls the file that the manifest names.
        file: path relative to the cohort's folder.
        masks: paths of masks by view's name, relative to the cohort's folder.
        pixels: hash of the counts of all views.
        content: hash of the files' content.
        warnings: warnings from reading.
        notes: what was done to the scan, safe to show.
        refused: why it could not be taken; then all else is empty.
        refused_kind: in a few words.
    """

    scan_id: str = ""
    file: str = ""
    masks: dict[str, str] | None = None
    pixels: str = ""
    content: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""
    refused_kind: str = "not readable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortFolders:
    """The folders that a cohort is written to.

    Attributes:
        out: folder of the cohort, which may be passed on.
        private: beside it, with the key and the sources, which may not.
        id_key: secret key of all pseudonyms.
    """

    out: Path
    private: Path
    id_key: bytes


def ingest_all(
    orders: Sequence[IngestRequest], place: CohortFolders, *, workers: int
) -> Iterator[IngestResult]:
    """Take studies into the cohort, in order; those of an earlier run are not read again.

    Raises:
        OutputError: the cohort's folder cannot be written.
        MissingExtraError: masks are NIfTI files and nibabel is not installed.
        BonescintError: a worker was killed.
    """
    work = partial(_ingest, place=place)
    few = len(orders) < _FEW
    return map_in_processes(work, orders, workers=1 if few else workers, kept=True)


def _ingest(order: IngestRequest, *, place: CohortFolders) -> IngestResult:
    record = place.private / "studies" / f"{_order_key(order, place.id_key)}.json"
    stored = _stored(record, place.out)
    if stored is not None:
        return stored
    try:
        taken = _ingested(order, place)
    except (OutputError, MissingExtraError):
        raise
    except BonescintError as error:
        return IngestResult(refused=str(error))
    if not taken.refused:
        write_whole(record, json.dumps(asdict(taken)))
    return taken


def _order_key(order: IngestRequest, id_key: bytes) -> str:
    """A key that changes with the release, the files, the masks and what is wanted of them."""
    files = [*order.study.files, *(path for _, path in order.masks)]
    said = [__version__, order.patient_id, order.copy, [view.value for view, _ in order.masks]]
    if order.allow_burned_in:
        said.append("burned-in text allowed")
    for file in files:
        try:
            status = (archive_of(file) or file).stat()
            said.append([str(file.absolute()), status.st_size, status.st_mtime_ns])
        except OSError:
            said.append([str(file.absolute())])
    return keyed_hash([json.dumps(said).encode()], key=id_key, purpose="order")


def _stored(record: Path, out: Path) -> IngestResult | None:
    """What an earlier run made of a study, if all of its files are still there."""
    try:
        content: dict[str, Any] = json_in(record.read_text(encoding="utf-8"))
        content["warnings"], content["notes"] = tuple(content["warnings"]), tuple(content["notes"])
        taken = IngestResult(**content)
        files = [taken.file, *(taken.masks or {}).values()]
        return taken if all((out / file).exists() for file in files) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _ingested(order: IngestRequest, place: CohortFolders) -> IngestResult:
    scan = read_study(order.study)
    if scan.acquisition.burned_in_text and not order.allow_burned_in:
        reason = InputError(
            order.study.source,
            "its header says that text (perhaps a name) is part of the pixels (Burned In "
            "Annotation)",
            "Look at it; --allow-burned-in takes such scans as they are",
        )
        return IngestResult(refused=str(reason), refused_kind="text burned into the pixels")
    masks = {view: read_mask(path, shape=scan.shape) for view, path in order.masks}
    for view in masks:
        if view not in scan.views:
            raise InputError(
                order.study.source, f"a mask of its missing {view.value} view", "Correct the table"
            )
    content = hashlib.sha256("".join(sorted(scan.acquisition.file_sha256)).encode()).hexdigest()
    key = keyed_hash([scan.scan_id.encode(), content.encode()], key=place.id_key, purpose="copy")
    # What one file holds depends on these alone, so no run or row can be given another one's.
    told = [part for view, mask in masks.items() for part in (view.value.encode(), mask.tobytes())]
    stem = keyed_hash(
        [key.encode(), order.patient_id.encode(), *told], key=place.id_key, purpose="files"
    )
    notes: tuple[str, ...] = ()
    if order.copy or not _can_be_named(order.study):
        values = identity_of(order.study)
        named = replace(scan, scan_id=f"bs-{key}", patient_id=order.patient_id)
        scan_id, file, notes = _copied(without_identity(named, values), stem, place.out)
        require_no_identity(place.out / file, values, order.study.source)
        if not order.copy:
            notes += (
                "two files in a folder with others: copied, because a manifest cannot refer "
                "to them",
            )
    else:
        scan_id = scan.scan_id
        file = Path(os.path.relpath(_named_by(order.study).absolute(), place.out.absolute()))
    written = {}
    for view, mask in masks.items():
        target = Path("masks") / f"{stem}_{view.value}.png"
        write_mask(mask, place.out / target)
        written[view.value] = target.as_posix()
    return IngestResult(
        scan_id=scan_id,
        file=file.as_posix(),
        masks=written,
        pixels=pixel_hash(scan),
        content=content,
        warnings=scan.warnings,
        notes=notes,
    )


def pixel_hash(scan: Scan) -> str:
    """Hash of the pixels of all views, whatever file they came from."""
    digest = hashlib.blake2b(digest_size=16)
    for view, image in scan.images():
        digest.update(view_hash(image).encode() + view.value.encode())
    return digest.hexdigest()


def view_hash(image: NDArray[np.float32]) -> str:
    """Hash of the values of one view."""
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image, "<f4").tobytes())
    return digest.hexdigest()


def _can_be_named(study: StudyFiles) -> bool:
    """Whether one path of a manifest can stand for the study."""
    if len(study.files) == 1:
        return True
    folder = study.files[0].parent
    if not folder.is_dir():  # in an archive
        return False
    alone = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    return alone == {path.name for path in study.files}


def _named_by(study: StudyFiles) -> Path:
    return study.files[0] if len(study.files) == 1 else study.files[0].parent


def _copied(scan: Scan, stem: str, out: Path) -> tuple[str, Path, tuple[str, ...]]:
    """Write a scan without identity: NM DICOM if it is in counts, otherwise one PNG per view."""
    if scan.unit is PixelUnit.COUNTS and scan.pixel_spacing_mm is not None:
        file = Path("scans") / f"{stem}.dcm"
        try:
            return write_nm(scan, out / file, compress=True), file, ()
        except (UnitError, ValueError):  # no whole counts up to 65 535
            pass
    folder = Path("scans") / stem
    (out / folder).mkdir(parents=True, exist_ok=True)
    whole = all(np.array_equal(np.rint(image), image) for _, image in scan.images())
    top = max(float(image.max()) for _, image in scan.images())
    notes: tuple[str, ...] = ()
    scale = 1.0
    if not whole or top > 65535:
        scale = 65535 / top
        notes = ("values that are not whole numbers up to 65535: scaled",)
    for view, image in scan.images():
        _write_png(np.rint(np.maximum(image, 0) * scale), out / folder / f"{view.value}.png")
    if scan.unit is PixelUnit.COUNTS:
        notes += ("counts without a known pixel spacing: stored as pictures",)
    again = read(out / folder)
    if again.views != scan.views:
        raise InputError(folder, "its copy shows other views than the original", "Leave it out")
    return again.scan_id, folder, notes


def _write_png(values: NDArray[Any], path: Path) -> None:
    from PIL import Image

    with written_beside(path) as beside:
        Image.fromarray(values.astype(np.uint16)).save(beside, format="PNG")


def without_repeats(
    labelled: Sequence[LabelledStudy], results: Sequence[IngestResult]
) -> tuple[list[tuple[LabelledStudy, IngestResult]], list[Exclusion]]:
    """The scans of the cohort, each once and with a name of its own, and what is left out.

    The same pixels under contradictory rows are left out altogether: which row is right would be
    a guess.
    """
    by_pixels: dict[str, list[tuple[LabelledStudy, IngestResult]]] = defaultdict(list)
    left_out = []

    def leave_out(one: LabelledStudy, kind: str, reason: str) -> None:
        left_out.append(Exclusion(kind=kind, source=one.study.source, reason=reason))

    for one, result in zip(labelled, results, strict=True):
        if result.refused:
            leave_out(one, result.refused_kind, result.refused)
        else:
            by_pixels[result.pixels].append((one, result))
    kept: list[tuple[LabelledStudy, IngestResult]] = []
    names: set[str] = set()
    for same in by_pixels.values():
        labels = {one.row.positive for one, _ in same}
        patients = {one.patient_id for one, _ in same if not one.patient_assumed}
        if len(labels) > 1 or len(patients) > 1:
            reason = "has the pixels of another scan, with another label or patient"
            for one, _ in same:
                leave_out(one, "identical pixels, contradictory rows", reason)
            continue
        # A scan whose patient is known first: the others would be patients of their own.
        (first, result), *others = sorted(same, key=lambda pair: pair[0].patient_assumed)
        for one, _ in others:
            leave_out(one, "same pixels", f"has the pixels of {first.study.source}")
        if result.scan_id in names:  # as `classify` tells apart scans under the same UIDs
            name = f"{result.scan_id}-{result.content[:_CONTENT_LETTERS]}"
            result = replace(result, scan_id=name)
        names.add(result.scan_id)
        kept.append((first, result))
    return kept, left_out
