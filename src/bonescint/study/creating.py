"""Making a study: the sample, its pictures, the truth in private, accounts with their orders."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from bonescint.cohort import Manifest, read_manifest, truth_of, write_truth
from bonescint.files import folder_beside, make_folder, require_free
from bonescint.scan import (
    BonescintError,
    Case,
    FocusKind,
    InputError,
    OutputError,
    ParameterError,
    Scan,
    Split,
    Truth,
)
from bonescint.study.errors import StudyError
from bonescint.study.folder import (
    KEY_BYTES,
    STORE_FILE,
    Progress,
    StudyFolder,
    images_sha256,
    new_sqlite,
    opaque_token,
    write_private,
)
from bonescint.study.model_reads import ModelOutputs
from bonescint.study.protocol import WASHOUT_DAYS, SecondSession, StudyProtocol
from bonescint.study.readers import add_reader, read_readers, write_invitations
from bonescint.study.sampling import Sample, draw_sample, numbering
from bonescint.study.store.accounts import INVITATION_S, Reader, Role
from bonescint.study.store.database import Store
from bonescint.study.store.tables import StudyCase, StudyRow, record_change
from bonescint.tables import folded
from bonescint.viewer import Picture

if TYPE_CHECKING:
    from bonescint.model import ModelFolder

_ADMINISTRATOR = Reader(reader="admin", name="Administrator")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOptions:
    """The options of a new study.

    Attributes:
        title: shown to readers.
        sample: number of cases; every patient of the split if `None`.
        balanced: as many with disease as without.
        seed: seed of the sample and of every order.
        split: to draw from; `None` for all.
        training: number of training cases.
        second_session: none, repeat or aided.
        washout_days: before the second session; 28 if `None`.
        revisions: whether answers may be changed until the session is finished.
        database: URL of a PostgreSQL database; SQLite in the folder if empty.
        invitation_days: how long invitation links are valid.
        simulated_readers: the readers are programs; everything based on their answers says so.

    Raises:
        ParameterError: days of wash-out without a second session.
    """

    title: str = "Reader study"
    sample: int | None = None
    balanced: bool = False
    seed: int = 0
    split: Split | None = Split.TEST
    training: int = 2
    second_session: SecondSession = SecondSession.NONE
    washout_days: float | None = None
    revisions: bool = False
    database: str = ""
    invitation_days: float = INVITATION_S / 86_400
    simulated_readers: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "second_session", SecondSession(self.second_session))
        if self.washout_days is not None and self.second_session is SecondSession.NONE:
            requirement = "absent without a second session"
            raise ParameterError("washout_days", "StudyOptions", requirement, self.washout_days)
        if self.split is not None:
            object.__setattr__(self, "split", Split(self.split))

    def protocol_of(self, sample: Sample) -> StudyProtocol:
        """The protocol of a study of these cases."""
        return StudyProtocol(
            title=self.title,
            seed=self.seed,
            cases=len(sample.reading),
            training_cases=len(sample.training),
            second_session=self.second_session,
            washout_days=WASHOUT_DAYS if self.washout_days is None else self.washout_days,
            revisions=self.revisions,
        )


def create_study(
    folder: Path | str,
    cohort: Path | str,
    readers: Path | str | Sequence[Reader],
    options: StudyOptions | None = None,
    *,
    model: Path | str | ModelFolder | None = None,
    progress: Progress | None = None,
) -> StudyFolder:
    """Make a study folder from a cohort and a table of readers.

    The scans are read once and stored as raw pixels under opaque identifiers; truth, the
    model's output and invitations are stored in `private/`, which only the folder's owner may
    enter. The folder appears complete or not at all.

    Args:
        folder: to be made.
        cohort: a manifest, or a folder that holds one.
        readers: a table of readers, or the readers.
        options: options of the study.
        model: for an aided second session; the shipped one if `None`.
        progress: called with the number of scans done and of all.

    Returns:
        The study; invitation links are in `private/invitations.csv`.

    Raises:
        InputError: the cohort or the readers cannot be used; every scan that cannot be read
            is named.
        OutputError: the folder cannot be made.
        StudyError: the database cannot be used, or contains a study already.
        ParameterError: a model without an aided session.
    """
    options = options or StudyOptions()
    if model is not None and options.second_session is not SecondSession.AIDED:
        requirement = "absent unless the second session is aided"
        raise ParameterError("model", "create_study", requirement, str(model))
    target = Path(folder)
    people = read_readers(readers) if isinstance(readers, Path | str) else tuple(readers)
    _refuse_administrators_name(people)
    manifest = read_manifest(cohort)
    sample = draw_sample(
        manifest,
        count=options.sample,
        balanced=options.balanced,
        training=options.training,
        split=options.split,
        seed=options.seed,
    )
    protocol = options.protocol_of(sample)
    _require_files(manifest, sample)
    require_free(target, remedy="Choose another place for the study")
    with folder_beside(target, mode=0o700) as beside:
        study = StudyFolder(
            path=beside,
            study_id=secrets.token_hex(8),
            protocol=protocol,
            simulated_scans=_are_synthetic(sample),
        )
        _write_settings(study, options)
        outputs = ModelOutputs.of(model) if options.second_session is SecondSession.AIDED else None
        with outputs or nullcontext():
            prepared = _prepare(study, manifest, sample, outputs, progress)
        scan_ids = [case.scan_id for case in (*sample.reading, *sample.training)]
        cases = [prepared[place] for place in numbering(protocol.seed, scan_ids)]
        _make_store(study, options, people, cases, outputs)
    return replace(study, path=target)


def _refuse_administrators_name(people: Sequence[Reader]) -> None:
    taken = {folded(_ADMINISTRATOR.reader), folded(_ADMINISTRATOR.name)}
    for reader in people:
        if taken & {folded(reader.reader), folded(reader.name)}:
            raise InputError(
                "readers",
                "the name 'admin' is reserved for the administrator",
                "Choose another name",
            )


def _require_files(manifest: Manifest, sample: Sample) -> None:
    missing = [
        case.file or f"(no file for {case.scan_id})"
        for case in (*sample.reading, *sample.training)
        if not case.file or not manifest.path(case).exists()
    ]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        raise InputError(
            manifest.folder, f"{len(missing)} scans do not exist: {shown}", "Correct the manifest"
        )


def _are_synthetic(sample: Sample) -> bool:
    """Whether every case is of a simulated patient."""
    return all(case.simulated for case in (*sample.reading, *sample.training))


def _write_settings(study: StudyFolder, options: StudyOptions) -> None:
    study.images.mkdir(mode=0o700)
    study.private.mkdir(mode=0o700)
    write_private(study.private / "secret.key", secrets.token_bytes(KEY_BYTES))
    if options.database:
        write_private(study.private / "database.url", options.database.encode())
    text = json.dumps(study.describe(), indent=1) + "\n"
    write_private(study.path / "study.json", text.encode())


def _prepare(
    study: StudyFolder,
    manifest: Manifest,
    sample: Sample,
    outputs: ModelOutputs | None,
    progress: Progress | None,
) -> list[StudyCase]:
    """Write every picture, its truth and the model's output; name all scans that fail.

    Returns:
        The cases to read, then those for training, as in the sample.
    """
    from bonescint.dicom import read

    secret = study.secret()
    prepared: list[StudyCase] = []
    truths: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    both = [(case, False) for case in sample.reading] + [(case, True) for case in sample.training]
    for number, (case, training) in enumerate(both, start=1):
        token = opaque_token(secret, case.scan_id)
        try:
            scan = read(manifest.path(case))
            prepared.append(_write_picture(study, scan, token, training=training))
            truths[token] = _write_truth(study, manifest, case, scan, token, training=training)
            if outputs is not None:
                outputs.write(study.model_file(token), scan)
        except OutputError:
            raise  # Not the scan's fault, and the next one would meet the same.
        except BonescintError as error:
            problems.append(str(error))
        if progress is not None:
            progress(number, len(both))
    if problems:
        first = " ".join(problems[:5])
        raise InputError(
            manifest.folder,
            f"{len(problems)} of {len(both)} scans cannot be used: {first.rstrip('.')}",
            "Correct the cohort, or draw another sample",
        )
    content = {"schema_version": 1, "cases": truths}
    write_private(study.truth_file, json.dumps(content, indent=1).encode())
    return prepared


def _write_picture(study: StudyFolder, scan: Scan, token: str, *, training: bool) -> StudyCase:
    picture = Picture.of(scan)
    file = study.image_file(token)
    write_private(file, picture.compressed())
    # The times at which files were written would reveal the order of the manifest.
    os.utime(file, (0, 0))
    return StudyCase(
        token=token, training=training, picture=dict(picture.facts), image_sha256=picture.sha256
    )


def _write_truth(
    study: StudyFolder, manifest: Manifest, case: Case, scan: Scan, token: str, *, training: bool
) -> dict[str, Any]:
    truth = truth_of(manifest, case, pixel_spacing_mm=scan.pixel_spacing_mm)
    sha256 = ""
    if truth is not None:
        _require_fit(truth, case, scan, f"{manifest.folder}, scan {case.scan_id}")
        file = study.masks_file(token)
        make_folder(file.parent, mode=0o700)
        write_truth(truth, file)
        file.chmod(0o600)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    foci = [
        {"view": focus.view.value, "row": focus.row, "column": focus.column}
        for focus in (truth.foci if truth else ())
        if focus.kind is FocusKind.METASTASIS
    ]
    if training:
        shown = {"positive": case.positive, "foci": foci}
        write_private(study.feedback_file(token), json.dumps(shown).encode())
    return {
        "scan_id": case.scan_id,
        "patient_id": case.patient_id,
        "centre": case.centre,
        "split": case.split.value,
        "positive": case.positive,
        "training": training,
        "source": str(manifest.path(case).resolve()),
        "foci": foci,
        "truth_sha256": sha256,
    }


def _require_fit(truth: Truth, case: Case, scan: Scan, where: str) -> None:
    if truth.positive is not case.positive:
        raise InputError(where, "its truth contradicts the manifest's label", "Correct one of them")
    for view, mask in truth.masks.items():
        image = scan.view(view)
        if image is None or mask.shape != image.shape:
            raise InputError(
                where,
                f"the {view.value} mask does not have the shape of the view, or there is no such "
                f"view",
                "Correct the mask",
            )


def _make_store(
    study: StudyFolder,
    options: StudyOptions,
    people: Sequence[Reader],
    cases: Sequence[StudyCase],
    outputs: ModelOutputs | None,
) -> None:
    url = options.database
    with Store(url) if url else new_sqlite(study.path / STORE_FILE) as store:
        if not store.is_empty():
            raise StudyError("The database already contains a study. Give an empty one.")
        store.upgrade()
        with store.writing() as db:
            now = time.time()
            model = (outputs.model_id, outputs.sha256) if outputs else ("", "")
            store_study(db, study, cases, model=model, now=now)
            accounts = [(_ADMINISTRATOR, Role.ADMINISTRATOR)] + [(p, Role.READER) for p in people]
            links = [
                add_reader(
                    db,
                    study,
                    reader,
                    now=now,
                    role=role,
                    simulated=options.simulated_readers and role is Role.READER,
                    lasts_s=options.invitation_days * 86_400,
                )
                for reader, role in accounts
            ]
        write_invitations(study, links)


def store_study(
    db: Session,
    study: StudyFolder,
    cases: Sequence[StudyCase],
    *,
    model: tuple[str, str] = ("", ""),
    now: float,
) -> None:
    """Store a new study and its cases.

    Args:
        db: a transaction.
        study: the folder.
        cases: that have been prepared, in the order of their numbers.
        model: identifier, and hash of all outputs that are shown; empty without a model.
        now: the study's time.
    """
    model_id, model_sha256 = model
    db.add(
        StudyRow(
            id=1,
            study_id=study.study_id,
            protocol=study.protocol.to_json(),
            protocol_sha256=study.protocol.sha256,
            images_sha256=images_sha256(cases),
            model_id=model_id,
            model_sha256=model_sha256,
            simulated_scans=study.simulated_scans,
            created_s=now,
        )
    )
    db.add_all(cases)
    record_change(db, "study made", {"cases": len(cases)}, now=now)
    db.flush()
