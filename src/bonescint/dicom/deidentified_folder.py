"""De-identify the DICOM objects of a folder into another one.

Names of files and folders are hashes. What leads back (the key, which file became which, what was
left out and why) lies beside, in `<out>.private`, as beside a cohort; the same key gives the same
pseudonyms in both.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bonescint import __version__
from bonescint.dicom.confidentiality import ConfidentialityProfile
from bonescint.dicom.deidentification import DeidentifiedObject, deidentified
from bonescint.dicom.discovery import StudyFiles, discover
from bonescint.dicom.files import read_bytes
from bonescint.dicom.header import looks_like_dicom
from bonescint.dicom.identity import keyed_hash, opened_key
from bonescint.files import (
    LOCK,
    cannot_write,
    json_in,
    make_folder,
    one_writer,
    write_table,
    write_whole,
)
from bonescint.parallel import map_in_processes
from bonescint.scan import RESEARCH_USE, BonescintError, InputError, OutputError

ABOUT = "deidentification.json"
_SOURCES = "sources.csv"
_LEFT_OUT = "left-out.csv"
_FEW = 8  # files that are read before other processes would have begun


@dataclass(frozen=True, slots=True, kw_only=True)
class DeidentifiedFolder:
    """The result of `deidentify_folder`.

    Attributes:
        files: paths of the objects that were written, relative to the folder.
        patients: how many there are.
        private: folder beside it with the key and the sources; it must not be passed on.
        left_out: files that were not taken, with the reason; only this and `private` hold paths.
        emptied: how often an attribute was emptied because it repeated an identifying value, by
            the attribute's name.
    """

    files: tuple[str, ...]
    patients: int
    private: Path
    left_out: tuple[InputError, ...]
    emptied: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What workers need to know.

    Attributes:
        out: folder to write to.
        key: secret key.
        profile: what is kept.
        allow_burned_in: take objects whose pixels may hold text.
    """

    out: Path
    key: bytes
    profile: ConfidentialityProfile
    allow_burned_in: bool


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one file: where it was written, or why not."""

    source: Path
    file: str = ""
    patient: str = ""
    emptied: tuple[str, ...] = ()
    refused: InputError | None = None


def deidentify_folder(
    folder: Path | str,
    out: Path | str,
    *,
    profile: ConfidentialityProfile | None = None,
    allow_burned_in: bool = False,
    key: Path | str | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> DeidentifiedFolder:
    """Write the DICOM objects of a folder without the identity of their patients.

    Every written file is read again and refused if a value of an identifying attribute of its
    source occurs anywhere in it (`identifying_values.py` says what is searched). The same call
    repeats itself exactly; after an interruption it completes the folder.

    Args:
        folder: file, folder or ZIP archive.
        out: folder to write.
        profile: what is kept; the Basic Profile alone if `None`.
        allow_burned_in: take objects whose pixels hold, or may hold, text, perhaps a name.
        key: file with the secret key; made in `<out>.private` if `None`.
        workers: processes that read and write.
        progress: called with the number of files done and of all.

    Raises:
        InputError: nothing was found, or nothing could be taken.
        OutputError: a place that cannot be written, where another process writes, or that holds
            something else, also objects of another source or key.

    Examples:
        >>> import tempfile
        >>> from pydicom.data import get_testdata_file
        >>> scan = get_testdata_file("JPGExtended.dcm", download=False)
        >>> with tempfile.TemporaryDirectory() as place:
        ...     done = deidentify_folder(scan, Path(place) / "clean", allow_burned_in=True)
        >>> len(done.files), done.files[0].endswith("-anterior.dcm")
        (1, True)
    """
    target, profile = Path(out), profile or ConfidentialityProfile()
    with one_writer(target):
        made_before = _settings_of(target)
        private = target.with_name(f"{target.name}.private")
        make_folder(private, mode=0o700)
        order = _Order(
            out=target,
            key=opened_key(private, None if key is None else Path(key)),
            profile=profile,
            allow_burned_in=allow_burned_in,
        )
        settings = _settings(order, Path(folder))
        _check_same(target, made_before, settings)
        jobs, refused = _jobs(Path(folder))
        write_whole(target / ABOUT, _json({**settings, "finished": False}))
        outcomes: list[_Outcome] = []
        work = partial(_deidentify, order=order)
        processes = workers if len(jobs) >= _FEW else 1
        done = map_in_processes(work, jobs, workers=processes, kept=True)
        for number, some in enumerate(done, start=1):
            outcomes += some
            if progress is not None:
                progress(number, len(jobs))
        made = _result(outcomes, refused, private)
        _write_private(made, outcomes)
        if not made.files:
            first = made.left_out[0] if made.left_out else None
            remedy = str(first or "It is empty").rstrip(".")
            raise InputError(folder, "no DICOM object could be taken", remedy)
        about = {
            **settings,
            "finished": True,
            "files": len(made.files),
            "patients": made.patients,
            "left_out": len(made.left_out),
            "emptied": made.emptied,
        }
        write_whole(target / ABOUT, _json(about))
        return made


def _settings(order: _Order, folder: Path) -> dict[str, Any]:
    """What must be the same in a second run; its source and key in a hash that reveals neither."""
    source = str(folder.absolute()).encode("utf-8", "surrogateescape")
    return {
        "notice": f"Pseudonyms only. {RESEARCH_USE}",
        "bonescint": __version__,
        "profile": "DICOM PS3.15 Annex E, Basic Application Level Confidentiality Profile",
        "retain_device": order.profile.retain_device,
        "retain_longitudinal_modified_dates": order.profile.retain_longitudinal,
        "allow_burned_in": order.allow_burned_in,
        "source_and_key": keyed_hash([source], key=order.key, purpose="deidentify"),
    }


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"


def _settings_of(out: Path) -> dict[str, Any] | None:
    """The record of an earlier run; `None` if the folder is empty.

    Raises:
        OutputError: it holds something else.
    """
    try:
        about = json_in((out / ABOUT).read_bytes())
    except FileNotFoundError:
        if all(entry.name == LOCK for entry in out.iterdir()):
            return None
        about = None
    except OSError as error:
        raise cannot_write(out, error) from error
    except ValueError:
        about = None
    if not isinstance(about, dict) or "retain_device" not in about:
        raise OutputError(f"{out}: contains something else. Choose another folder.")
    return about


def _check_same(out: Path, before: dict[str, Any] | None, settings: dict[str, Any]) -> None:
    """Refuse a folder that was made otherwise: its files would mix, its sources be forgotten.

    Raises:
        OutputError: it was.
    """
    if before is None:
        return
    differ = [name for name, value in settings.items() if before.get(name) != value]
    if differ == ["source_and_key"]:
        raise OutputError(
            f"{out}: was made from another source or with another key. Choose another folder."
        )
    if differ:
        raise OutputError(f"{out}: was made with other options. Choose another folder.")


def _jobs(folder: Path) -> tuple[list[StudyFiles], list[InputError]]:
    """Scans, whose two files go together, then all other DICOM objects one by one.

    Raises:
        InputError: there is no such place.
    """
    found = discover([folder])
    jobs = [job for job in found.studies if _is_dicom(job.files[0])]
    refused = [
        InputError(file, "is a picture, from which no identity can be taken", "See cohort create")
        for job in found.studies
        for file in job.files
        if job not in jobs
    ]
    for error in found.refused:
        path = Path(error.source)
        if error.problem.startswith("is a copy of") or not _is_dicom(path):
            refused.append(error)
        else:
            jobs.append(StudyFiles((path,), error.source))
    return jobs, refused


def _is_dicom(path: Path) -> bool:
    try:
        return looks_like_dicom(read_bytes(path, limit=512))
    except InputError:
        return False


def _deidentify(job: StudyFiles, *, order: _Order) -> list[_Outcome]:
    """Write the files of one study; the two of a pair get one name, but for the view."""
    stem = ""
    outcomes = []
    for source in job.files:
        try:
            made = deidentified(
                read_bytes(source),
                source,
                key=order.key,
                profile=order.profile,
                allow_burned_in=order.allow_burned_in,
            )
            stem = stem or made.instance
            file = _name(made, stem)
            make_folder((order.out / file).parent)
            write_whole(order.out / file, made.content)
        except OutputError:
            raise
        except InputError as error:
            outcomes.append(_Outcome(source, refused=error))
        except BonescintError as error:
            refused = InputError(source, f"cannot be used: {error}", "Leave this file out")
            outcomes.append(_Outcome(source, refused=refused))
        else:
            outcomes.append(_Outcome(source, file.as_posix(), made.patient, made.emptied))
    return outcomes


def _name(made: DeidentifiedObject, stem: str) -> Path:
    """Where an object is written: patient, study, and a name that tells its view."""
    ending = made.instance if made.view is None else f"{stem}-{made.view.value}"
    return Path(made.patient) / made.study / f"{ending}.dcm"


def _result(
    outcomes: Sequence[_Outcome], refused: Sequence[InputError], private: Path
) -> DeidentifiedFolder:
    taken = [one for one in outcomes if one.refused is None]
    emptied = Counter(name for one in taken for name in one.emptied)
    return DeidentifiedFolder(
        files=tuple(one.file for one in taken),
        patients=len({one.patient for one in taken}),
        private=private,
        left_out=(*refused, *(one.refused for one in outcomes if one.refused is not None)),
        emptied=dict(sorted(emptied.items())),
    )


def _write_private(made: DeidentifiedFolder, outcomes: Sequence[_Outcome]) -> None:
    def rows() -> Iterator[tuple[str, str]]:
        for one in outcomes:
            if one.refused is None:
                yield one.file, _text(one.source)

    write_table(made.private / _SOURCES, ("file", "source"), rows(), private=True)
    write_table(
        made.private / _LEFT_OUT,
        ("source", "problem", "remedy"),
        ((_text(one.source), one.problem, one.remedy) for one in made.left_out),
        private=True,
    )


def _text(path: object) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()
