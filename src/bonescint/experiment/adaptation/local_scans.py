"""A user's scans in any form: found, read in worker processes, scored by a model."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bonescint.cohort import Manifest, read_manifest
from bonescint.dicom import StudyFiles, discover, read_study
from bonescint.dicom.archives import archive_of, is_archive, members
from bonescint.dicom.listing import MANIFEST, listed_scans
from bonescint.files import DAMAGED_NPZ, make_folder, write_whole, written_beside
from bonescint.model import Classifier, OodFeatures, features_of
from bonescint.model.ood import ViewFeatures
from bonescint.parallel import Pool, pool_of, usual_workers
from bonescint.prepare import PreparedScan, Preprocessing, prepare
from bonescint.scan import BonescintError, Case, InputError, View

_TIMEOUT_S = 180.0
_FORMAT = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundScans:
    """Scans before they are read.

    Attributes:
        source: the path that the user gave.
        studies: studies found there.
        refused: files that are no bone scan.
        cases: cases of the manifests, by file or by the folder of a study's files.
        manifests: manifests that were read.
    """

    source: Path
    studies: tuple[StudyFiles, ...]
    refused: tuple[InputError, ...]
    cases: Mapping[Path, Case] = field(default_factory=dict)
    manifests: tuple[Manifest, ...] = ()

    def case(self, study: StudyFiles) -> Case | None:
        """The case of a study in a manifest, or `None`."""
        first = study.files[0]
        return self.cases.get(first, self.cases.get(first.parent))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredScan:
    """A local scan and a model's score of it.

    Attributes:
        source: its path, as shown to the user.
        study: its files.
        patient: pseudonym of the patient; empty if unknown.
        positive: the reference standard, or `None` if unknown.
        margin: classification margin, before calibration.
        unit: unit of its pixels.
        views: names of the views that are present.
        files_sha256: hashes of its files.
        features: features for the out-of-distribution score.
    """

    source: str
    study: StudyFiles
    patient: str
    positive: bool | None
    margin: float
    unit: str
    views: tuple[str, ...]
    files_sha256: tuple[str, ...]
    features: OodFeatures


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """What a worker process reads from a study."""

    prepared: PreparedScan
    patient: str
    unit: str
    files_sha256: tuple[str, ...]


def find_scans(source: Path) -> FoundScans:
    """Find local scans: a file, a folder, a ZIP archive, a cohort's folder, or a manifest.

    Args:
        source: the path that the user gave.

    Raises:
        InputError: nothing is there, a manifest is wrong or names no scan, or a cohort is packed in
            an archive, where its labels are not read.
    """
    if not source.exists():
        raise InputError(source, "does not exist", "Check the path")
    if source.is_dir():
        tables = [path for path in sorted(source.rglob(MANIFEST)) if listed_scans(path) is not None]
        found = discover([source])
    elif is_archive(source):
        inside = (entry for entry in members(source) if isinstance(entry, Path))
        if any(entry.name == MANIFEST and listed_scans(entry) is not None for entry in inside):
            problem = "holds a cohort, whose labels are not read in an archive"
            raise InputError(source, problem, "Unpack it and give its folder")
        tables, found = [], discover([source])
    elif source.suffix.lower() in (".csv", ".tsv", ".txt", ".xlsx"):
        manifest = read_manifest(source)
        tables = [source]
        if not manifest.by_path:
            problem = "names no scan: its column 'file' is empty"
            raise InputError(source, problem, "Write each scan's path there")
        found = discover(list(manifest.by_path))
    else:
        tables, found = [], discover([source])
    manifests = tuple(read_manifest(table) for table in tables)
    cases = {path: case for manifest in manifests for path, case in manifest.by_path.items()}
    return FoundScans(
        source=source,
        studies=found.studies,
        refused=found.refused,
        cases=cases,
        manifests=manifests,
    )


def score_scans(
    found: FoundScans,
    classifier: Classifier,
    kept: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[tuple[ScoredScan, ...], tuple[InputError, ...]]:
    """Read and score scans; scores from an interrupted run are reused.

    Args:
        found: scans to read.
        classifier: gives the scores.
        kept: folder of the stored scores; it holds no patient's name, and of a view's pixels only
            32 x 16 means.
        workers: processes that read; as many as cores if `None`, 0 for none.
        progress: called with the number of scans done and of all.

    Returns:
        The scans in their order, and what could not be read.

    Raises:
        OutputError: `kept` cannot be written.
    """
    make_folder(kept)
    key = _key(kept / "key")
    count = usual_workers(workers)
    scored: list[ScoredScan] = []
    refused = list(found.refused)
    total = len(found.studies)
    with pool_of(
        min(count, total),
        timeout_s=_TIMEOUT_S,
        preload=__name__,
    ) as pool:
        ahead = _looks(found, classifier, kept, pool, key, 2 * count + 2)
        for done, (study, place, look) in enumerate(ahead, start=1):
            case = found.case(study)
            if look is not None:
                try:
                    _keep(place, look.result(), classifier)
                except InputError as error:
                    refused.append(error)
                except BonescintError as error:
                    refused.append(InputError(study.source, str(error).rstrip("."), "Leave it out"))
            one = _kept(place, study, case)
            if one is not None:
                scored.append(one)
            if progress is not None:
                progress(done, total)
    return tuple(scored), tuple(refused)


def _looks(
    found: FoundScans, classifier: Classifier, kept: Path, pool: Pool, key: bytes, ahead: int
) -> Iterator[tuple[StudyFiles, Path, Future[_Look] | None]]:
    """Each study with the file of its score and, if that does not exist, the worker's future."""
    begun: deque[tuple[StudyFiles, Path, Future[_Look] | None]] = deque()
    preprocessing = classifier.folder.card.preprocessing
    for study in found.studies:
        place = kept / f"{_name(study, classifier)}.npz"
        done = _kept(place, study, None) is not None
        begun.append(
            (study, place, None if done else pool.submit(_look, study, preprocessing, key))
        )
        if len(begun) >= ahead:
            yield begun.popleft()
    yield from begun


def _look(study: StudyFiles, preprocessing: Preprocessing, key: bytes) -> _Look:
    """Read and prepare a study, in a worker."""
    scan = read_study(study, id_key=key)
    return _Look(
        prepared=prepare(scan, preprocessing),
        patient=scan.patient_id or "",
        unit=scan.unit.value,
        files_sha256=scan.acquisition.file_sha256,
    )


def _key(path: Path) -> bytes:
    """A key for pseudonyms that is deleted with the run's folder."""
    if not path.is_file():
        write_whole(path, secrets.token_bytes(32), private=True)
    return path.read_bytes()


def _name(study: StudyFiles, classifier: Classifier) -> str:
    """File name of a study's score; it changes with the files, the model and the preprocessing."""
    status = []
    for path in study.files:
        found = (archive_of(path) or path).stat()
        status.append((str(path.absolute()), found.st_size, found.st_mtime_ns))
    folder = classifier.folder
    facts = [_FORMAT, status, folder.sha256, folder.card.preprocessing.identifier]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _keep(place: Path, look: _Look, classifier: Classifier) -> None:
    (margin,) = classifier.margins([look.prepared])
    arrays = {
        "margin": np.array(margin),
        "patient": np.array(look.patient),
        "unit": np.array(look.unit),
        "files_sha256": np.array(look.files_sha256),
    }
    for view, one in features_of(look.prepared).items():
        arrays[f"{view.value}_cells"] = one.cells
        arrays[f"{view.value}_figures"] = one.figures
    with written_beside(place) as beside, beside.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]


def _kept(place: Path, study: StudyFiles, case: Case | None) -> ScoredScan | None:
    """The stored score of a study, or `None` if it is missing or damaged."""
    try:
        with np.load(place, allow_pickle=False) as archive:
            features = {
                view: ViewFeatures(
                    cells=archive[f"{view.value}_cells"], figures=archive[f"{view.value}_figures"]
                )
                for view in View
                if f"{view.value}_cells" in archive
            }
            return ScoredScan(
                source=study.source,
                study=study,
                patient=case.patient_id if case else str(archive["patient"]),
                positive=case.positive if case else None,
                margin=float(archive["margin"]),
                unit=str(archive["unit"]),
                views=tuple(view.value for view in features),
                files_sha256=tuple(str(one) for one in archive["files_sha256"]),
                features=features,
            )
    except DAMAGED_NPZ:
        return None


def by_patient(scans: Sequence[ScoredScan]) -> dict[str, list[ScoredScan]]:
    """Scans of each patient; a scan without a patient counts as a patient of its own."""
    groups: dict[str, list[ScoredScan]] = {}
    for number, scan in enumerate(scans):
        groups.setdefault(scan.patient or f"\0{number}", []).append(scan)
    return groups
