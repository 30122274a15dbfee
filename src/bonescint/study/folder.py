"""The study folder: its files, and who may read them.

```text
study.json        what the study is (no truth)
study.sqlite      the store, unless it is in PostgreSQL
images/           one picture per case: raw uint16 under an opaque identifier
private/          truth, feedback, the model's output, invitations, the secret key
```
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint.files import json_in, make_folder, write_whole, written_beside
from bonescint.scan import RESEARCH_USE, InputError, OutputError
from bonescint.study.errors import StudyError
from bonescint.study.protocol import StudyProtocol, sha256_of
from bonescint.study.store.database import Store
from bonescint.study.store.tables import StudyCase, StudyRow

Progress = Callable[[int, int], None]
"""Called with how much is done, and of how much."""

STUDY_SCHEMA_VERSION = 1
STORE_FILE = "study.sqlite"
KEY_BYTES = 32
FROM_BACKUP = "Restore the study from a backup."

_MB = 2**20
_NAME = r"[0-9a-f]{16}"  # see `opaque_token`
_MEMBERS = (
    (r"study\.json", _MB),
    (r"study\.sqlite", 2**40),
    (rf"images/{_NAME}\.u16\.gz", 1024 * _MB),
    (r"private/secret\.key", KEY_BYTES),
    (r"private/truth\.json", 1024 * _MB),
    (r"private/invitations\.csv", 64 * _MB),
    (rf"private/truth/{_NAME}\.npz", 1024 * _MB),
    (rf"private/(feedback|model)/{_NAME}\.json", 64 * _MB),
)
_LOG = logging.getLogger("bonescint.study")


def most_bytes(name: str) -> int:
    """The largest size of a file of a study; 0 for a file that belongs to no study.

    Args:
        name: path in the study folder, with slashes.

    Examples:
        >>> most_bytes("private/secret.key"), most_bytes("private/database.url")
        (32, 0)
    """
    return next((most for form, most in _MEMBERS if re.fullmatch(form, name)), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """A study on disk.

    Attributes:
        path: the folder.
        study_id: drawn when the study was made.
        protocol: what readers are asked, and under which conditions.
        simulated_scans: whether its scans are of synthetic patients.
    """

    path: Path
    study_id: str
    protocol: StudyProtocol
    simulated_scans: bool = False

    @property
    def images(self) -> Path:
        """Folder of the pictures."""
        return self.path / "images"

    @property
    def private(self) -> Path:
        """Folder of what no reader may see."""
        return self.path / "private"

    @property
    def truth_file(self) -> Path:
        """The truth of every case."""
        return self.private / "truth.json"

    @property
    def invitations_file(self) -> Path:
        """The links that were made last, for the person who sends them."""
        return self.private / "invitations.csv"

    def image_file(self, token: str) -> Path:
        """A case's picture, compressed."""
        return self.images / f"{token}.u16.gz"

    def masks_file(self, token: str) -> Path:
        """A case's truth file with masks; it need not exist."""
        return self.private / "truth" / f"{token}.npz"

    def feedback_file(self, token: str) -> Path:
        """What a training case shows once it is answered."""
        return self.private / "feedback" / f"{token}.json"

    def model_file(self, token: str) -> Path:
        """The model's output for a case."""
        return self.private / "model" / f"{token}.json"

    def database_url(self) -> str:
        """The database of the store."""
        named = self.private / "database.url"
        if named.is_file():
            return named.read_text(encoding="utf-8").strip()
        return f"sqlite:///{(self.path / STORE_FILE).resolve()}"

    def secret(self) -> bytes:
        """The key that turns a scan's identifier into an opaque one."""
        file = self.private / "secret.key"
        try:
            key = file.read_bytes()
        except OSError as error:
            raise StudyError(f"{file}: missing. {FROM_BACKUP}") from error
        if len(key) != KEY_BYTES:
            raise StudyError(f"{file}: altered since the study was made. {FROM_BACKUP}")
        return key

    def open_store(self) -> Store:
        """Open the store at this release's schema; an older one is copied first, then upgraded.

        Files and folders of the study that others could read are made private.

        Raises:
            StudyError: missing, empty, out of reach, of another study or of a newer schema.
        """
        make_private(self.path)
        url = self.database_url()
        file = self.path / STORE_FILE
        in_file = url.startswith("sqlite")
        if in_file and not file.is_file():
            raise StudyError(f"{file}: missing. {FROM_BACKUP}")
        if in_file and file.stat().st_size == 0:  # SQLite would take it for a new one
            raise StudyError(f"{file}: is empty. {FROM_BACKUP}")
        store = Store(url)
        try:
            self._require_own(store, file)
        except BaseException:
            store.close()
            raise
        return store

    def _require_own(self, store: Store, file: Path) -> None:
        """Upgrade a store, and make sure that it is of this study."""
        place = str(file) if store.dialect == "sqlite" else f"The database of {self.path}"
        if store.revision() is None:
            raise StudyError(f"{place}: is empty. {FROM_BACKUP}")
        if not store.is_current():
            if store.dialect == "sqlite":
                copy_sqlite(file, self.path / "before-upgrade.sqlite")
            store.upgrade()
        with store.reading() as db:
            row = db.get(StudyRow, 1)
        if row is None:
            raise StudyError(f"{place}: holds no study. {FROM_BACKUP}")
        if row.study_id != self.study_id:
            raise StudyError(f"{self.path}: its store is of another study.")
        if row.protocol_sha256 != self.protocol.sha256:
            raise StudyError(f"{self.path}: its store has another protocol.")

    def describe(self) -> dict[str, Any]:
        """The content of `study.json`."""
        return {
            "schema_version": STUDY_SCHEMA_VERSION,
            "notice": RESEARCH_USE,
            "study_id": self.study_id,
            "simulated_scans": self.simulated_scans,
            "protocol": self.protocol.to_json(),
            "protocol_sha256": self.protocol.sha256,
        }

    def truth(self) -> Mapping[str, Mapping[str, Any]]:
        """The truth of each case, by its opaque identifier. The server never calls this.

        Raises:
            StudyError: missing or damaged.
        """
        try:
            cases = json_in(self.truth_file.read_bytes())["cases"]
            return _Truths(self.truth_file, cases)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StudyError(f"{self.truth_file}: not readable. {FROM_BACKUP}") from error


class _Truths(dict[str, Mapping[str, Any]]):
    """The truth of each case; a missing case is an error, never a guess."""

    def __init__(self, file: Path, cases: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__({token: dict(entry) for token, entry in cases.items()})
        self._file = file
        for entry in self.values():
            if not isinstance(entry["positive"], bool) or not isinstance(entry["scan_id"], str):
                raise TypeError

    def __missing__(self, token: str) -> Mapping[str, Any]:
        raise StudyError(f"{self._file}: lacks a case of the study. {FROM_BACKUP}")


def opaque_token(secret: bytes, scan_id: str) -> str:
    """A case's identifier in the study, which reveals nothing without the key.

    Examples:
        >>> opaque_token(b"key", "bs-1") == opaque_token(b"key", "bs-1")
        True
        >>> len(opaque_token(b"key", "bs-1"))
        16
    """
    return hmac.new(secret, scan_id.encode(), hashlib.sha256).hexdigest()[:16]


def images_sha256(cases: Iterable[StudyCase]) -> str:
    """Hash of all pictures, independent of their order."""
    return sha256_of(sorted((case.token, case.image_sha256) for case in cases))


def open_study(path: Path | str | StudyFolder) -> StudyFolder:
    """Open a study folder; one that is open already is returned as it is.

    Raises:
        StudyError: no study folder, damaged, or written by a newer release.
    """
    if isinstance(path, StudyFolder):
        return path
    folder = Path(path)
    file = folder / "study.json"
    try:
        content = json_in(file.read_bytes())
        version = content["schema_version"]
    except FileNotFoundError as error:
        raise StudyError(
            f"{folder}: no study folder. Make one with bonescint study create."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{file}: not readable. {FROM_BACKUP}") from error
    if version != STUDY_SCHEMA_VERSION:
        raise StudyError(
            f"{file}: schema {version} is not {STUDY_SCHEMA_VERSION}, which this release of "
            "bonescint knows. Install the release that wrote it, or a later one."
        )
    try:
        study = StudyFolder(
            path=folder,
            study_id=str(content["study_id"]),
            protocol=StudyProtocol.from_json(content["protocol"]),
            simulated_scans=bool(content.get("simulated_scans", False)),
        )
        frozen = content["protocol_sha256"]
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as error:
        raise StudyError(f"{file}: not readable. {FROM_BACKUP}") from error
    if study.protocol.sha256 != frozen:
        raise StudyError(
            f"{file}: the protocol was changed after the study was made. Restore it, or make a "
            f"new study."
        )
    return study


def make_private(folder: Path) -> None:
    """Make a folder readable for its owner only.

    Files that belong to somebody else are counted in the log.
    """
    if os.name != "posix":
        return
    left = 0
    for path in (folder, *folder.rglob("*")):
        try:
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                path.chmod(0o700 if stat.S_ISDIR(mode) else 0o600)
        except FileNotFoundError:
            continue  # a writer's temporary file, finished meanwhile
        except OSError:
            left += 1
    if left:
        _LOG.warning("%s: others may read %d files of it, which are not yours", folder, left)


def new_sqlite(file: Path) -> Store:
    """Make a store in a new file, which nobody else may read from its first byte on."""
    file.touch(mode=0o600)
    return Store(f"sqlite:///{file.resolve()}")


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a store while it is in use.

    Raises:
        OutputError: the copy cannot be written.
    """
    try:
        with written_beside(target, private=True) as beside:
            reading, writing = sqlite3.connect(source), sqlite3.connect(beside)
            try:
                reading.backup(writing)
            finally:
                reading.close()
                writing.close()
    except sqlite3.Error as error:
        raise OutputError(f"{target}: cannot be written ({error}).") from error


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read.

    Raises:
        OutputError: the file cannot be written.
    """
    make_folder(file.parent, mode=0o700)
    write_whole(file, content, private=True)
