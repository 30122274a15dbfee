"""Measure the scans of one side of a comparison, a few in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort.compare.averages import LEAST_PATIENTS, Averages, averages_of
from bonescint.cohort.compare.characteristics import CHARACTERISTICS, characteristics_of
from bonescint.cohort.compare.maps import (
    PREPROCESSING,
    FrameMap,
    MapAgreement,
    MapSums,
    agreement,
    mirror_difference,
    reduced,
)
from bonescint.cohort.compare.separation import CELLS
from bonescint.cohort.compare.sides import OmittedScan, Side, SideScan
from bonescint.cohort.ingest import pixel_hash
from bonescint.dicom import StudyFiles, read, read_study
from bonescint.parallel import Pool, in_order
from bonescint.prepare import BodyFrame, PreparedScan, Preprocessing, prepare, preprocessing_named
from bonescint.scan import BonescintError, InputError, Prediction, Scan, View

_PLACEHOLDER_SHARE = 0.5
_FEW = 10
_MOST_LEFT_OUT = 20
_TWO_VIEWS = "Give scans with both views"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """A model that scores prepared scans.

    Attributes:
        model_id: its name and version.
        preprocessing: how scans are prepared for it.
        predict: its answer to a scan that is prepared so.
    """

    model_id: str
    preprocessing: Preprocessing
    predict: Callable[[PreparedScan], Prediction]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanMeasurements:
    """Measurements of one scan; the scan itself is not kept.

    Attributes:
        reduced: the composite, float32 (256, 256).
        difference: its `mirror_difference`.
        cells: the composite as the classifier sees it, float16 (4096,).
        values: its characteristics, float64, in the order of `CHARACTERISTICS`.
        spectrum: its power spectrum, float64 (10,).
        pixels: hash of its pixels.
        patient: pseudonym of the header's Patient ID, or empty.
        prepared: for the model, or `None`.
    """

    reduced: FrameMap
    difference: FrameMap
    cells: NDArray[np.float16]
    values: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    pixels: str
    patient: str
    prepared: PreparedScan | None


def measure_scan(
    files: StudyFiles | Path, *, preprocessing: Preprocessing | None, id_key: bytes
) -> ScanMeasurements:
    """Read a scan and measure what a comparison needs.

    Args:
        files: files of the scan.
        preprocessing: preprocessing of a model that will score it, or `None`.
        id_key: key of patients' pseudonyms, for this run only.

    Raises:
        InputError: it cannot be read, or has one view only.
    """
    if isinstance(files, StudyFiles):
        scan = read_study(files, id_key=id_key)
    else:
        scan = read(files, id_key=id_key)
    if scan.missing_views:
        problem = f"it has no {scan.missing_views[0].value} view"
        raise InputError(files, problem, _TWO_VIEWS)
    usual = preprocessing_named(PREPROCESSING)
    prepared = prepare(scan, usual)
    small = reduced(prepared.composite[0])
    body_rows = _body_rows(scan, prepared, usual)
    values, spectrum = characteristics_of(scan, small, body_rows)
    for_model = None
    if preprocessing is not None:
        for_model = prepared if preprocessing == usual else prepare(scan, preprocessing)
    return ScanMeasurements(
        reduced=small,
        difference=mirror_difference(small),
        cells=reduced(prepared.composite[0], CELLS).ravel().astype(np.float16),
        values=np.array([values[kind.name] for kind in CHARACTERISTICS], dtype=np.float64),
        spectrum=spectrum,
        pixels=pixel_hash(scan),
        patient=scan.patient_id or "",
        prepared=for_model,
    )


def _body_rows(scan: Scan, prepared: PreparedScan, preprocessing: Preprocessing) -> float:
    """Height of the body in rows: of the frame without its margins."""
    extent = prepared.extents[View.ANTERIOR]
    margin = preprocessing.framing.margin if isinstance(preprocessing.framing, BodyFrame) else 0.0
    return min((extent.bottom - extent.top) / (1 + 2 * margin), float(scan.shape[0]))


class _Sums:
    """Maps of all scans, of every other and the rest, and of those that are normal."""

    def __init__(self) -> None:
        self.all, self.normal = MapSums(), MapSums()
        self.halves = MapSums(), MapSums()

    def add(self, seen: ScanMeasurements, *, normal: bool) -> None:
        """Add a scan."""
        chosen = [self.all, self.halves[self.all.count % 2], *([self.normal] if normal else [])]
        for sums in chosen:
            sums.add(seen.reduced, seen.difference)


@dataclass(slots=True, kw_only=True)
class _Kept:
    """What is kept of the scans that are compared, in their order."""

    sources: list[str] = field(default_factory=list)
    labels: list[bool | None] = field(default_factory=list)
    pixels: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    header: list[str] = field(default_factory=list)
    cells: list[NDArray[np.float16]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    spectra: list[NDArray[np.float64]] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredSide:
    """One side of a comparison, measured.

    Attributes:
        side: as it was given.
        averages: averages of its scans, or the normal database.
        normals: averages of its scans without a positive label, where they are wanted.
        halves: agreement of the maps of every other scan with those of the rest, for each view, as
            a measure of what chance alone does; `None` for fewer than 20 scans.
        sources, labels, pixels, header, patients: of each scan, in order; `header` is a hash of
            its Patient ID, or empty.
        cells: float16 (scans, 4096); without rows for a normal database.
        values: characteristics, float64 (scans, characteristics).
        predictions: predictions of a model, without maps; empty without one.
        omitted: what was not compared.
        notes: that belong in the report.
    """

    side: Side
    averages: Averages
    normals: Averages | None = None
    halves: Mapping[View, MapAgreement] | None = None
    sources: tuple[str, ...] = ()
    labels: tuple[bool | None, ...] = ()
    pixels: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    patients: tuple[str, ...] = ()
    cells: NDArray[np.float16] = field(default_factory=lambda: np.empty((0, CELLS**2), np.float16))
    values: NDArray[np.float64] = field(
        default_factory=partial(np.empty, (0, len(CHARACTERISTICS)))
    )
    predictions: tuple[Prediction, ...] = ()
    omitted: tuple[OmittedScan, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def has_scans(self) -> bool:
        """Whether single scans were measured, rather than averages read."""
        return self.side.stored is None

    def messages(self) -> Iterator[str]:
        """Lines for the user: what was measured, what was left out, what was assumed."""
        letter = self.side.letter
        scans, patients = self.averages.maps.scans, self.averages.patients
        known = f"{scans} scans of {patients} patients"
        yield f"{letter}: {known if scans else 'maps of an unknown number of scans'}"
        for one in self.omitted[:_MOST_LEFT_OUT]:
            yield f"{letter}: left out {one.source}: {one.reason}"
        more = len(self.omitted) - _MOST_LEFT_OUT
        if more > 0:
            yield f"{letter}: {more} more were left out: tables/left_out.csv of a report names all"
        for note in self.notes:
            yield f"{letter}: {note}"


def measure_side(
    side: Side,
    pool: Pool,
    *,
    ahead: int,
    id_key: bytes,
    scorer: Scorer | None,
    with_normals: bool,
    progress: Callable[[int, int], None],
) -> MeasuredSide:
    """Measure every scan of a side, a few in memory at a time.

    Args:
        side: what to measure.
        pool: reads and prepares.
        ahead: scans that may be read before they are needed.
        id_key: key of patients' pseudonyms, for this run only.
        scorer: a model, in this process.
        with_normals: whether averages of scans without a positive label are wanted, too.
        progress: called with the number of scans done and of all.

    Raises:
        InputError: no scan is left.
    """
    if side.stored is not None:
        return MeasuredSide(side=side, averages=side.stored)
    kept, omitted = _Kept(), list(side.omitted)
    sums = _Sums()
    preprocessing = None if scorer is None else scorer.preprocessing
    work = partial(measure_scan, preprocessing=preprocessing, id_key=id_key)
    readings = in_order(pool, work, (scan.files for scan in side.scans), ahead=ahead)
    for done, (scan, reading) in enumerate(zip(side.scans, readings, strict=True), start=1):
        try:
            seen = reading.result()
        except InputError as error:
            omitted.append(OmittedScan(scan.source, error.problem))
        except BonescintError as error:
            omitted.append(OmittedScan(scan.source, str(error)))
        else:
            sums.add(seen, normal=with_normals and not scan.positive)
            _keep(kept, scan, seen)
            if scorer is not None and seen.prepared is not None:
                answer = scorer.predict(seen.prepared)
                kept.predictions.append(replace(answer, activation_maps=()))
        progress(done, len(side.scans))
    if not kept.sources:
        more = f"; first: {omitted[0].source}: {omitted[0].reason}" if omitted else ""
        problem = f"holds no scan that can be compared ({len(omitted)} left out{more})"
        raise InputError(side.name, problem, "Check what it holds")
    return _seen(side, kept, omitted, sums)


def _keep(kept: _Kept, scan: SideScan, seen: ScanMeasurements) -> None:
    kept.sources.append(scan.source)
    kept.labels.append(scan.positive)
    kept.pixels.append(seen.pixels)
    kept.named.append(scan.patient)
    kept.header.append(seen.patient)
    kept.cells.append(seen.cells)
    kept.values.append(seen.values)
    kept.spectra.append(seen.spectrum)


def _seen(side: Side, kept: _Kept, omitted: list[OmittedScan], sums: _Sums) -> MeasuredSide:
    header, notes = without_placeholder_ids(kept.header)
    patients, more = patients_of(kept.named, header, kept.pixels)
    notes += more
    values, spectra = np.stack(kept.values), np.stack(kept.spectra)
    normals = None
    if sums.normal.count:
        chosen = np.array([label is not True for label in kept.labels])
        whose = [name for name, one in zip(patients, chosen, strict=True) if one]
        negative = [label for label in kept.labels if label is not True]
        normals = averages_of(sums.normal.maps(), values[chosen], spectra[chosen], whose, negative)
    return MeasuredSide(
        side=side,
        averages=averages_of(sums.all.maps(), values, spectra, patients, kept.labels),
        normals=normals,
        halves=None
        if sums.all.count < LEAST_PATIENTS
        else agreement(*(half.maps() for half in sums.halves)),
        sources=tuple(kept.sources),
        labels=tuple(kept.labels),
        pixels=tuple(kept.pixels),
        header=tuple(header),
        patients=tuple(patients),
        cells=np.stack(kept.cells),
        values=values,
        predictions=tuple(kept.predictions),
        omitted=tuple(omitted),
        notes=(*side.notes, *notes),
    )


def without_placeholder_ids(header: Sequence[str]) -> tuple[list[str], list[str]]:
    """Hashes of Patient IDs without a placeholder, and a note if there was one.

    Some anonymisers give all files one Patient ID: one that is shared by more than half of ten or
    more scans is a placeholder.
    """
    counts = Counter(one for one in header if one)
    common, times = counts.most_common(1)[0] if counts else ("", 0)
    if times < _FEW or times <= _PLACEHOLDER_SHARE * len(header):
        return list(header), []
    note = f"{times} of {len(header)} headers have the same Patient ID: it was taken as none"
    return ["" if one == common else one for one in header], [note]


def patients_of(
    named: Sequence[str], header: Sequence[str], pixels: Sequence[str]
) -> tuple[list[str], list[str]]:
    """A name for the patient of each scan, and notes for the report.

    Args:
        named: what a manifest says, or empty.
        header: hash of the header's Patient ID, or empty.
        pixels: hash of the pixels: the name of a scan that nothing else names; the same pixels
            are of one patient, whatever they are called.

    Examples:
        >>> patients_of(["", "", "p2"], ["pt-1", "", ""], ["x", "y", "x"])[0]
        ['pt-1', 'y', 'pt-1']
    """
    notes = []
    first: dict[str, str] = {}
    patients = [
        first.setdefault(of_pixels, name or of_header or of_pixels)
        for name, of_header, of_pixels in zip(named, header, pixels, strict=True)
    ]
    unnamed = sum(not (one or other) for one, other in zip(named, header, strict=True))
    if unnamed:
        notes.append(f"{unnamed} scans do not say whose they are: each counts as a patient")
    repeated = len(pixels) - len(set(pixels))
    if repeated:
        notes.append(f"{repeated} scans have the same pixels as another scan of this side")
    return patients, notes
