"""Simulated cohorts on disk: NM DICOM files, truth files, a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from bonescint import __version__
from bonescint.cohort.manifest import Manifest, write_manifest
from bonescint.cohort.protocol import (
    Centre,
    FrozenHashes,
    Protocol,
    StudySpec,
    protocol_from,
    study_specs,
)
from bonescint.cohort.simulated_study import SimulatedStudy
from bonescint.files import cannot_write, json_in, one_writer, require_own, write_whole
from bonescint.parallel import map_in_processes
from bonescint.scan import (
    BonescintError,
    Case,
    InputError,
    OutputError,
    ParameterError,
    Split,
)
from bonescint.schema import plain
from bonescint.simulate import (
    Disease,
    camera_named,
    draw_anatomy,
    set_up_camera,
    simulate_scan,
)

ATTEMPTS = 50
"""Patients that are drawn for a study before it is given up for want of a visible metastasis."""

SETTINGS = "settings.json"

_TABLES = ("manifest.csv", "occult.csv")
_FOLDERS = ("scans", "occult", "truth", "cases")
_GIVE = "Give the folder that bonescint simulate cohort wrote"


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedCohort:
    """A simulated cohort on disk.

    Attributes:
        manifest: the studies that the protocol asks for.
        occult: positive patients none of whose metastases is visible; listed in `occult.csv`
            and not counted in the protocol's numbers.
        frozen: hashes of the labels and counts of each centre, to compare with the
            protocol's own.
    """

    manifest: Manifest
    occult: Manifest
    frozen: FrozenHashes

    def changed_centres(self, protocol: Protocol) -> tuple[str, ...]:
        """Centres whose studies differ from the frozen protocol; none without a hash to compare.

        Arithmetic may differ between processors and releases of numpy and SciPy.
        """
        wanted = protocol.frozen
        if wanted is None or wanted.seed != self.frozen.seed:
            return ()
        made = self.frozen.sha256
        return tuple(name for name in wanted.sha256 if made.get(name) != wanted.sha256[name])


def study_of(spec: StudySpec, centre: Centre, disease: Disease, attempt: int = 0) -> SimulatedStudy:
    """Simulate one study of a cohort; the same arguments give the same study.

    Args:
        spec: which study.
        centre: the centre that acquires it.
        disease: number, size and uptake of metastases.
        attempt: number of patients drawn before for this study and rejected as occult.
    """
    names = list(centre.cameras)
    rng = spec.generator(attempt)
    anatomy = draw_anatomy(rng, centre.population)
    chosen = camera_named(str(rng.choice(names, p=[centre.cameras[name] for name in names])))
    camera = set_up_camera(chosen, rng)
    simulated = simulate_scan(
        anatomy,
        camera,
        rng,
        positive=spec.positive,
        scan_id=f"sim-{spec.key(attempt)}",
        exposure=centre.counts,
        disease=disease,
    )
    return SimulatedStudy(anatomy=anatomy, camera=camera, simulated=simulated)


class _Made(NamedTuple):
    """A study on disk, and the hash of its counts."""

    case: Case
    counts_sha256: str

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self.case), "counts_sha256": self.counts_sha256}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> _Made:
        counts = content.pop("counts_sha256")
        # Not in the records of release 0.1.0: whether it is simulated.
        known = {"simulated": True, **content, "split": Split(content["split"])}
        return cls(Case(**known), counts)


def _make(spec: StudySpec, *, content: dict[str, Any], out: Path) -> list[_Made]:
    """Simulate one study and write its files, unless they are there already.

    Args:
        spec: which study.
        content: the protocol as plain tables, which can be sent to another process.
        out: folder of the cohort.

    Returns:
        The occult patients that were drawn for it, then the study.
    """
    case_file = out / "cases" / f"{spec.key()}.json"
    stored = _stored(case_file, out)
    if stored:
        return stored
    protocol = protocol_from(content, SETTINGS)
    made = []
    for attempt in range(ATTEMPTS):
        study = study_of(spec, protocol.centres[spec.centre], protocol.disease, attempt)
        made.append(_Made(_written(spec, attempt, study, out), study.counts_sha256))
        if not study.simulated.occult:
            break
    else:
        raise BonescintError(
            f"Centre {spec.centre}, study {spec.number}: no visible metastasis in {ATTEMPTS} "
            "patients. Make the lesions larger or hotter in the protocol."
        )
    write_whole(case_file, json.dumps([one.to_json() for one in made]))
    return made


def _stored(case_file: Path, out: Path) -> list[_Made]:
    """A study that is there with all its files; nothing if one of them is missing or damaged."""
    try:
        content = json_in(case_file.read_text(encoding="utf-8"))
        made = [_Made.from_json(entry) for entry in content]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BonescintError):
        return []
    whole = all((out / file).is_file() for one in made for file in (one.case.file, one.case.truth))
    return made if whole else []


def _written(spec: StudySpec, attempt: int, study: SimulatedStudy, out: Path) -> Case:
    key, patient = spec.key(attempt), study.anatomy.patient
    scans = Path("occult" if study.simulated.occult else "scans")
    file, truth = scans / f"{key}.dcm", Path("truth") / f"{key}.npz"
    study.write_truth(out / truth)
    return Case(
        scan_id=study.write_scan(out / file),
        patient_id=f"anatomy-{key}",
        centre=spec.centre,
        split=spec.split,
        positive=spec.positive,
        file=file.as_posix(),
        sex=patient.sex,
        age=float(int(patient.age)),
        primary=study.simulated.primary,
        truth=truth.as_posix(),
        simulated=True,
    )


def _made(protocol: Protocol, seed: int, out: Path, workers: int) -> Iterator[list[_Made]]:
    make = partial(_make, content=plain(protocol), out=out)
    return map_in_processes(make, study_specs(protocol, seed), workers=workers, kept=True)


def simulate_cohort(
    out: Path,
    protocol: Protocol,
    *,
    seed: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SimulatedCohort:
    """Simulate a cohort: every scan is of a different patient, and splits are by patient.

    Written are `scans/*.dcm` (NM Image Storage), `truth/*.npz` (masks and foci), `manifest.csv`
    and `settings.json`; occult patients go to `occult.csv` and `occult/`. The same seed gives the
    same bytes for any number of workers. If interrupted, the same call resumes; a protocol with
    larger numbers only adds studies.

    Args:
        out: folder to write to.
        protocol: what to simulate.
        seed: seed of everything that is drawn.
        workers: processes; one per processor if `None`.
        progress: called with (done, count) after every study.

    Returns:
        The manifests that were written.

    Raises:
        ParameterError: a seed below 0, no worker.
        OutputError: the folder cannot be written, another process writes there, or it holds a
            cohort made with other settings or files of other origin.
        BonescintError: a worker process was killed, or no study with visible metastases was found.
        MissingExtraError: the libraries of the extra `simulate` are not installed.
    """
    if seed < 0:
        raise ParameterError("seed", "simulate_cohort", "at least 0", seed)
    if workers is not None and workers < 1:
        raise ParameterError("workers", "simulate_cohort", "at least 1", workers)
    workers = min(workers or os.cpu_count() or 1, protocol.count)
    with one_writer(out):
        _open_folder(out, protocol, seed)
        return _simulated(out, protocol, seed=seed, workers=workers, progress=progress)


def _simulated(
    out: Path,
    protocol: Protocol,
    *,
    seed: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> SimulatedCohort:
    cases: list[Case] = []
    occult: list[Case] = []
    hashes = {name: hashlib.sha256() for name in protocol.centres}
    for made in _made(protocol, seed, out, workers):
        case = made[-1].case
        cases.append(case)
        occult.extend(one.case for one in made[:-1])
        hashes[case.centre].update(f"{int(case.positive)} {made[-1].counts_sha256}\n".encode())
        if progress is not None:
            progress(len(cases), protocol.count)
    write_manifest(occult, out / "occult.csv")
    write_manifest(cases, out / "manifest.csv")
    return SimulatedCohort(
        manifest=Manifest(cases=tuple(cases), folder=out),
        occult=Manifest(cases=tuple(occult), folder=out),
        frozen=FrozenHashes(seed=seed, sha256={name: h.hexdigest() for name, h in hashes.items()}),
    )


def _open_folder(out: Path, protocol: Protocol, seed: int) -> None:
    """Make the cohort's folder, or check that it holds part of this cohort."""
    from bonescint.simulate.reference_skeleton import reference_skeleton

    reference_skeleton()  # a missing extra is said before anything is written
    settings_file = out / SETTINGS
    require_own(out, (SETTINGS, *_TABLES, *_FOLDERS), mark=SETTINGS, signature='"bonescint"')
    if not can_resume(out, protocol, seed):
        raise OutputError(
            f"{out}: holds a cohort made with other settings (see {SETTINGS} there). "
            "Choose another folder or delete it."
        )
    write_whole(settings_file, json.dumps(_settings_for(protocol, seed), indent=2) + "\n")
    try:
        for name in _FOLDERS:
            (out / name).mkdir(parents=True, exist_ok=True)
        for name in _FOLDERS:  # what a worker that was killed had begun
            for left in (out / name).glob("*.part"):
                left.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(out, error) from error


def can_resume(out: Path, protocol: Protocol, seed: int) -> bool:
    """Whether a folder holds no cohort yet, or part of this one.

    A cohort of other settings or of another release cannot be resumed.

    Raises:
        InputError: its settings cannot be read.
    """
    return not (out / SETTINGS).is_file() or _is_same(_settings(out), _settings_for(protocol, seed))


def _settings_for(protocol: Protocol, seed: int) -> dict[str, Any]:
    return {
        "bonescint": __version__,
        "seed": seed,
        "origin": "simulated scans, research use only",
        "protocol": plain(protocol),
    }


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / SETTINGS
    try:
        content = json_in(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(folder, f"not a simulated cohort: it has no {SETTINGS}", _GIVE) from error
    except (OSError, ValueError) as error:
        raise InputError(file, f"cannot be read ({type(error).__name__})", _GIVE) from error
    if (
        not isinstance(content, dict)
        or not isinstance(content.get("protocol"), dict)
        or not isinstance(content.get("seed"), int)
    ):
        raise InputError(file, "not the settings of a simulated cohort", _GIVE)
    return content


def _is_same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    try:
        return _lasting(before) == _lasting(now)
    except (KeyError, TypeError, AttributeError, BonescintError):  # damaged, or of another release
        return False


def _lasting(settings: dict[str, Any]) -> str:
    """What must not change when a cohort is resumed: all but names and numbers of studies.

    The order of cameras and tumours counts, for draws depend on it; that of centres does not.
    """
    # Keys that a release before this one did not have get their defaults.
    protocol = plain(protocol_from(settings["protocol"], SETTINGS))
    centres = {
        name: {key: value for key, value in centre.items() if key != "studies"}
        for name, centre in sorted(protocol["centres"].items())
    }
    return json.dumps(
        {
            "bonescint": settings["bonescint"],
            "seed": settings["seed"],
            "disease": protocol["disease"],
            "centres": centres,
        }
    )


def protocol_of(folder: Path) -> tuple[Protocol, int]:
    """The protocol and the seed that a simulated cohort was made with.

    Raises:
        InputError: the folder holds no simulated cohort.
    """
    settings = _settings(folder)
    return protocol_from(settings["protocol"], str(folder / SETTINGS)), int(settings["seed"])
