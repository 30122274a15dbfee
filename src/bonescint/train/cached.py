"""Decode a cohort's scans once, into a cache from which every epoch reads them."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bonescint.cohort import Manifest, read_masks, truth_of
from bonescint.dicom import read
from bonescint.files import cannot_write, json_in, make_folder, write_whole
from bonescint.parallel import map_in_processes
from bonescint.scan import (
    Acquisition,
    Case,
    FocusKind,
    InputError,
    PixelUnit,
    Scan,
    Split,
    Truth,
    View,
)
from bonescint.tables import Problem, refuse
from bonescint.train.findings import finding_map
from bonescint.train.sample import TrainingSample

_FORMAT = 5


@dataclass(frozen=True, slots=True, eq=False)
class CachedScans:
    """Samples read back from a cache folder; a `ScanSource`.

    Attributes:
        files: cached samples, in the cohort's order.
        labels: the reference standard of each.
    """

    files: tuple[Path, ...]
    labels: tuple[bool, ...]

    @property
    def positives(self) -> Sequence[bool]:
        """The reference standard of every sample."""
        return self.labels

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.files)

    def sample(self, index: int) -> TrainingSample:
        """Sample number `index`.

        Raises:
            InputError: the cached file vanished or was damaged.
        """
        file = self.files[index]
        try:
            return _read_cached(file)
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise InputError(
                file, f"cached scan not readable ({type(error).__name__})", "Delete this folder"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    file: Path
    folder: Path
    case: Case
    target: Path


def cached_scans(
    manifest: Manifest,
    split: Split,
    cache: Path,
    *,
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> CachedScans:
    """Decode the scans of a split into a cache folder; those that it already has are kept.

    Args:
        manifest: the cohort.
        split: the split to decode.
        cache: folder of the cached samples; made if missing.
        workers: processes that decode; 0 for none.
        progress: called with the number of scans done and of all.

    Returns:
        The samples of the split, in the manifest's order.

    Raises:
        InputError: a scan or a truth that cannot be read; the first one is named.
        OutputError: the cache folder cannot be written.
    """
    cases = manifest.split(split)
    orders = [_order(manifest, case, cache) for case in cases]
    missing = [order for order in orders if not order.target.is_file()]
    make_folder(cache)
    decoded = map_in_processes(_decode, missing, workers=min(workers, len(missing)), kept=True)
    try:
        for done, _ in enumerate(decoded, start=1):
            if progress is not None:
                progress(done, len(missing))
    except OSError as error:
        # Scans that cannot be read have errors of their own: this is the pool or its place.
        raise cannot_write(cache, error) from error
    return CachedScans(
        files=tuple(order.target for order in orders),
        labels=tuple(case.positive for case in cases),
    )


def _order(manifest: Manifest, case: Case, cache: Path) -> _Order:
    status = [_status(path) for path in _files_of(manifest, case)]
    key = json.dumps([_FORMAT, case.scan_id, case.positive, _roles_of(case), status])
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    return _Order(
        file=manifest.path(case),
        folder=manifest.folder,
        case=case,
        target=cache / f"{name}.safetensors",
    )


def _roles_of(case: Case) -> list[str]:
    """The columns that name a file beside the scan's own: what a file means depends on them."""
    return [role for role in ("truth", "mask_anterior", "mask_posterior") if getattr(case, role)]


def _files_of(manifest: Manifest, case: Case) -> tuple[Path, ...]:
    beside = [manifest.folder / getattr(case, role) for role in _roles_of(case)]
    return (manifest.path(case), *beside)


def files_identity(manifest: Manifest, splits: Sequence[Split]) -> str:
    """A hash of sizes and times of all files of some splits, wherever the cohort lies."""
    said = [
        [case.scan_id, _roles_of(case), *(_status(path)[1:] for path in _files_of(manifest, case))]
        for split in splits
        for case in manifest.split(split)
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _status(path: Path) -> tuple[Any, ...]:
    """Path, size and time; of a folder also those of its files, whose changes it does not show."""
    inside = sorted(one for one in path.rglob("*") if one.is_file()) if path.is_dir() else ()
    files = [(str(one.relative_to(path)), *_size_and_time(one)) for one in inside]
    return str(path.absolute()), *_size_and_time(path), *files


def _size_and_time(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def _decode(order: _Order) -> None:
    scan = read(order.file)
    case = order.case
    masks: Mapping[View, NDArray[np.bool_]] | None = None
    findings: dict[str, NDArray[Any]] = {}
    truth = truth_of(Manifest(cases=(), folder=order.folder), case)
    if truth is not None:
        if truth.positive != case.positive:
            raise InputError(
                order.folder / case.truth,
                f"says {'positive' if truth.positive else 'negative'}, the manifest contradicts it",
                "Correct the label or the truth",
            )
        masks = truth.masks
        for mask in masks.values():
            if mask.shape != scan.shape:
                named = case.truth or (case.mask_anterior, case.mask_posterior)
                raise InputError(
                    f"{case.scan_id}: {named}",
                    f"its mask has shape {mask.shape}, the scan {scan.shape}",
                    "Make the truth for this scan",
                )
        findings = _findings(order, truth, scan)
        incomplete = set(masks) < set(scan.views) or not any(mask.any() for mask in masks.values())
        if case.positive and incomplete:
            masks = None  # a view that nobody segmented is not known to be free of metastases
    keep_scan(
        order.target,
        scan,
        scan_id=case.scan_id,
        positive=case.positive,
        masks=masks,
        findings=findings,
    )


def keep_scan(
    target: Path,
    scan: Scan,
    *,
    scan_id: str,
    positive: bool,
    masks: Mapping[View, NDArray[np.bool_]] | None = None,
    findings: Mapping[str, NDArray[Any]] | None = None,
) -> None:
    """Write a decoded scan where `CachedScans` reads it.

    Args:
        target: path of the file.
        scan: one or two views.
        scan_id: its identifier in the cache.
        positive: the reference standard.
        masks: masks of metastases by view; `None` or empty if the scan was not segmented.
        findings: finding classes of pixels, named `findings_` and the view's name.

    Raises:
        OutputError: it cannot be written.
    """
    header: dict[str, Any] = {
        "scan_id": scan_id,
        "unit": scan.unit.value,
        "pixel_spacing_mm": scan.pixel_spacing_mm,
        "positive": positive,
        "modality": scan.acquisition.modality,
        "segmented": bool(masks),
    }
    arrays: dict[str, NDArray[Any]] = {view.value: _compact(image) for view, image in scan.images()}
    for view, mask in (masks or {}).items():
        arrays[f"mask_{view.value}"] = np.packbits(mask, axis=1)
    arrays |= findings or {}
    # safetensors writes memory as it lies, whatever the order of the axes.
    plain = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    header["checksum"] = _checksum(plain)
    write_whole(target, save(plain, metadata={"header": json.dumps(header)}))


def _checksum(arrays: Mapping[str, NDArray[Any]]) -> int:
    """CRC-32 of all arrays (C-contiguous), in the order of their names."""
    found = 0
    for name in sorted(arrays):
        found = zlib.crc32(arrays[name].data, found)
    return found


def _findings(order: _Order, truth: Truth, scan: Scan) -> dict[str, NDArray[Any]]:
    """The finding class of each pixel, if a truth file has masks of benign findings too."""
    if not order.case.truth:
        return {}
    masks = read_masks(order.folder / order.case.truth)
    # Masks of metastases alone name nothing else.
    if not any(FocusKind.MIMIC in by_kind for by_kind in masks.values()):
        return {}
    foci = {view: [focus for focus in truth.foci if focus.view is view] for view in scan.views}
    return {
        f"findings_{view.value}": finding_map(scan.shape, foci[view], masks[view])
        for view in scan.views
    }


def _compact(image: NDArray[np.float32]) -> NDArray[Any]:
    """The image as uint16 if that is lossless, else unchanged."""
    if image.min() >= 0 and image.max() <= 65535:
        whole = image.astype(np.uint16)
        if np.array_equal(whole, image):
            return whole
    return image


def _read_cached(file: Path) -> TrainingSample:
    with safe_open(file, framework="np") as archive:
        header = json_in(archive.metadata()["header"])
        arrays = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
    if _checksum(arrays) != header["checksum"]:
        raise ValueError("Not the arrays that were written.")

    def by_view(prefix: str) -> dict[View, NDArray[Any]]:
        names = {view: f"{prefix}{view.value}" for view in View}
        return {view: arrays[name] for view, name in names.items() if name in arrays}

    images, packed, findings = by_view(""), by_view("mask_"), by_view("findings_")
    spacing = header["pixel_spacing_mm"]
    scan = Scan(
        anterior=images.get(View.ANTERIOR),
        posterior=images.get(View.POSTERIOR),
        pixel_spacing_mm=None if spacing is None else (spacing[0], spacing[1]),
        unit=PixelUnit(header["unit"]),
        scan_id=header["scan_id"],
        acquisition=Acquisition(modality=header["modality"]),
    )
    masks = {
        view: np.unpackbits(bits, axis=1, count=scan.shape[1]).view(bool)
        for view, bits in packed.items()
    }
    return TrainingSample(
        scan=scan,
        positive=header["positive"],
        masks=masks if header["segmented"] else None,
        findings=findings or None,
    )


def check_trainable(manifest: Manifest, source: Path) -> None:
    """Refuse a cohort that cannot be trained on, before any work begins.

    Args:
        manifest: the cohort.
        source: the manifest's path, for messages.

    Raises:
        InputError: an empty split, one class only, rows without a file, files that are not
            there; every row is named (of very many the first ones).
    """
    refuse(source, list(_missing_classes(manifest)), "Put scans of both classes into both splits")
    refuse(source, list(_missing_files(manifest)), "Correct the column or bring the files back")


def _missing_classes(manifest: Manifest) -> Iterator[Problem]:
    for split in (Split.TRAIN, Split.VALIDATION):
        cases = manifest.split(split)
        if not cases:
            yield Problem(column="split", text=f"no scan is in the split {split}")
            continue
        for wanted, name in ((True, "positive"), (False, "negative")):
            if not any(case.positive is wanted for case in cases):
                text = f"the split {split} has no {name} scan ({len(cases)} scans in all)"
                yield Problem(column="label", text=text)


def _missing_files(manifest: Manifest) -> Iterator[Problem]:
    for case in manifest.cases:
        if not case.file:
            yield Problem(column="file", text=f"scan {case.scan_id}: no file is named")
        for column in ("file", "truth", "mask_anterior", "mask_posterior"):
            name = getattr(case, column)
            if name and not (manifest.folder / name).exists():
                text = f"scan {case.scan_id}: '{name}' does not exist beside the manifest"
                yield Problem(column=column, text=text)


def counted(manifest: Manifest) -> dict[str, int]:
    """Number of scans by split and label, for the model card."""
    counts: dict[str, int] = {}
    for split in Split:
        for positive, name in ((True, "positive"), (False, "negative")):
            count = sum(case.positive is positive for case in manifest.split(split))
            if count:
                counts[f"{split.value} {name}"] = count
    return counts
