"""The study folder: where what lies, and who may see it.

```text
study.json        what the study is (no truth)
study.sqlite      the store, unless it is in PostgreSQL
images/           a picture a case: raw uint16 under an identifier that says nothing
private/          truth, feedback, the model's output, invitations, the secret key
```
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonescint.files import json_in, make_folder, write_whole, written_beside
from bonescint.scan import OutputError
from bonescint.study.errors import StudyError
from bonescint.study.protocol import StudyProtocol
from bonescint.study.store.database import Store

STUDY_SCHEMA_VERSION = 1
STORE_FILE = "study.sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFolder:
    """A study on disk.

    Attributes:
        path: the folder.
        study_id: drawn when the study was made.
        protocol: how it is to be read.
        simulated_scans: whether its scans are of patients that never lived.
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
        """What is true of each case."""
        return self.private / "truth.json"

    @property
    def invitations_file(self) -> Path:
        """The links that were made last, for whoever sends them."""
        return self.private / "invitations.csv"

    def image_file(self, token: str) -> Path:
        """A case's picture, compressed."""
        return self.images / f"{token}.u16.gz"

    def masks_file(self, token: str) -> Path:
        """A case's truth file with masks; it need not be there."""
        return self.private / "truth" / f"{token}.npz"

    def feedback_file(self, token: str) -> Path:
        """What a training case shows once it is answered."""
        return self.private / "feedback" / f"{token}.json"

    def model_file(self, token: str) -> Path:
        """The model's output for a case."""
        return self.private / "model" / f"{token}.json"

    def database_url(self) -> str:
        """Where the store is."""
        named = self.private / "database.url"
        if named.is_file():
            return named.read_text(encoding="utf-8").strip()
        return f"sqlite:///{(self.path / STORE_FILE).resolve()}"

    def secret(self) -> bytes:
        """The key that turns a scan's identifier into an opaque one."""
        try:
            return (self.private / "secret.key").read_bytes()
        except OSError as error:
            raise StudyError(
                f"{self.private / 'secret.key'}: missing. Restore the study from a backup."
            ) from error

    def open_store(self) -> Store:
        """Open the store at this release's schema; an older one is copied first, then upgraded.

        Raises:
            StudyError: missing, out of reach, or of a newer schema.
        """
        url = self.database_url()
        file = self.path / STORE_FILE
        if url.startswith("sqlite") and not file.is_file():
            raise StudyError(f"{file}: missing. Restore the study from a backup.")
        store = Store(url)
        try:
            if not store.is_current():
                if url.startswith("sqlite"):
                    copy_sqlite(file, self.path / "before-upgrade.sqlite")
                store.upgrade()
        except BaseException:
            store.close()
            raise
        return store

    def describe(self) -> dict[str, Any]:
        """What `study.json` holds."""
        return {
            "schema_version": STUDY_SCHEMA_VERSION,
            "notice": "Research use only. Not a medical device.",
            "study_id": self.study_id,
            "simulated_scans": self.simulated_scans,
            "protocol": self.protocol.to_json(),
            "protocol_sha256": self.protocol.sha256,
        }

    def truth(self) -> Mapping[str, Mapping[str, Any]]:
        """What is true of each case, by its opaque identifier. The server never calls this.

        Raises:
            StudyError: missing or damaged.
        """
        try:
            content = json_in(self.truth_file.read_text(encoding="utf-8"))
            return dict(content["cases"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(
                f"{self.truth_file}: not readable. Restore the study from a backup."
            ) from error


def opaque_token(secret: bytes, scan_id: str) -> str:
    """A case's identifier in the study: it tells nothing without the key.

    Examples:
        >>> opaque_token(b"key", "bs-1") == opaque_token(b"key", "bs-1")
        True
        >>> len(opaque_token(b"key", "bs-1"))
        16
    """
    return hmac.new(secret, scan_id.encode(), hashlib.sha256).hexdigest()[:16]


def open_study(path: Path | str) -> StudyFolder:
    """Read what a study folder is.

    Raises:
        StudyError: no study folder, damaged, or written by a newer release.
    """
    folder = Path(path)
    file = folder / "study.json"
    try:
        content = json_in(file.read_text(encoding="utf-8"))
        version = content["schema_version"]
    except FileNotFoundError as error:
        raise StudyError(
            f"{folder}: no study folder. Make one with bonescint study create."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{file}: not readable. Restore the study from a backup.") from error
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
    except (KeyError, TypeError, ValueError) as error:
        raise StudyError(f"{file}: not readable. Restore the study from a backup.") from error
    if study.protocol.sha256 != frozen:
        raise StudyError(
            f"{file}: the protocol was changed after the study was made. Put it back, or make a "
            "new study."
        )
    return study


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a store while it is in use, beside and then renamed into place.

    Raises:
        OutputError: it cannot be written.
    """
    import sqlite3

    try:
        with written_beside(target) as beside:
            reading, writing = sqlite3.connect(source), sqlite3.connect(beside)
            try:
                reading.backup(writing)
            finally:
                reading.close()
                writing.close()
    except sqlite3.Error as error:
        raise OutputError(f"{target}: cannot be written ({error}).") from error


def write_private(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, beside and then renamed into place.

    Raises:
        OutputError: the system refuses to write.
    """
    make_folder(file.parent, mode=0o700)
    write_whole(file, content, private=True)
