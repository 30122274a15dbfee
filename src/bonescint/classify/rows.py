"""The row of each scan: its identifier, its source and what is known about it.

Each scan has one row. A duplicate (the same content) is refused. Different content under the same
identifiers is another scan, since some anonymisers give a whole archive one UID; a hash of the
content is then appended to its `scan_id`. Both depend only on the order of the input, not on the
engine or on the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from bonescint.classify.naming import SourceNames, content_sha256
from bonescint.classify.results import ClassifiedScan, KnownTruth, Refusal
from bonescint.dicom import StudyFiles
from bonescint.scan import BonescintError, InputError, Prediction

_Known = TypeVar("_Known")
CONTENT_LETTERS = 12  # 6 would collide by chance in an archive of some thousand scans
SAME_IDENTIFIERS = (
    "same identifiers as another study (scan {scan_id}) but different content: distinguished by a "
    "hash; check how the files were anonymised"
)


class RowsInOrder:
    """Makes the rows of a batch, called in input order.

    Args:
        names: file names in the results.
        scan_ids: names of scans by file or folder; others are named by a hash of their UIDs.
        truths: what is known about scans, by file or folder.
    """

    def __init__(
        self,
        names: SourceNames,
        *,
        scan_ids: Mapping[Path, str] | None = None,
        truths: Mapping[Path, KnownTruth] | None = None,
    ) -> None:
        self._names = names
        self._scan_ids = scan_ids or {}
        self._truths = truths or {}
        self._seen: dict[str, dict[frozenset[str], str]] = {}

    def identified(
        self, study: StudyFiles, read_as: str, file_sha256: Iterable[str]
    ) -> tuple[str, tuple[str, ...]]:
        """Identifier of a scan, and a warning if it shares its identifiers with an earlier one.

        Args:
            study: its files.
            read_as: the identifier that the reader gave it.
            file_sha256: hashes of its files.

        Raises:
            InputError: an earlier scan has the same content.
        """
        sources = self._seen.setdefault(read_as, {})
        content = frozenset(file_sha256)
        if content in sources:
            problem = f"is a duplicate of {sources[content]} (same content, scan {read_as})"
            raise InputError(study.source, problem, "Give each study once")
        is_first = not sources
        self._note(read_as, content, study)
        called = _of(study, self._scan_ids)
        if is_first:
            return called or read_as, ()
        warning = SAME_IDENTIFIERS.format(scan_id=read_as)
        return called or told_apart_name(read_as, content), (warning,)

    def takes_over(
        self, study: StudyFiles, read_as: str, file_sha256: Iterable[str], row: ClassifiedScan
    ) -> bool:
        """Whether the row of an earlier run is valid now, with the same identifier and truth.

        If so, the scan counts as seen.
        """
        content = frozenset(file_sha256)
        seen = self._seen.get(read_as, {})
        name = _of(study, self._scan_ids)
        if name is None:
            name = told_apart_name(read_as, content) if seen else read_as
        same = row.scan_id == name and row.truth == _of(study, self._truths)
        if content in seen or not same:
            return False
        self._note(read_as, content, study)
        return True

    def row(
        self, prediction: Prediction, study: StudyFiles, views: tuple[str, ...], *, picture: str
    ) -> ClassifiedScan:
        """The row of a scan.

        Args:
            prediction: the model's answer, under the scan's identifier.
            study: its files.
            views: names of the views that are present.
            picture: path of its picture in the results folder, or empty.
        """
        score = prediction.ood_score
        return ClassifiedScan(
            scan_id=prediction.scan_id,
            source=self._names.of(study.source),
            views=views,
            mbd_probability=prediction.mbd_probability,
            positive=prediction.positive,
            warnings=tuple(self._names.clean(text) for text in prediction.warnings),
            picture=picture,
            uncertain=prediction.uncertain,
            ood_score=None if score is None else round(score, 3),
            unlike=prediction.unlike,
            rank_among_normals=prediction.rank_among_normals,
            truth=_of(study, self._truths),
        )

    def refusal(self, error: BonescintError, *, source: str) -> Refusal:
        """The row of an input that gives no result."""
        refusal = Refusal.of(error, source=source)
        named, reason = self._names.of(refusal.source), self._names.clean(refusal.reason)
        return replace(refusal, source=named, reason=reason)

    def _note(self, read_as: str, content: frozenset[str], study: StudyFiles) -> None:
        self._seen.setdefault(read_as, {})[content] = self._names.of(study.source)


def _of(study: StudyFiles, known: Mapping[Path, _Known]) -> _Known | None:
    """What the caller knows about a study by its file or folder."""
    first = study.files[0]
    return known.get(first, known.get(first.parent))


def told_apart_name(scan_id: str, content: Iterable[str]) -> str:
    """The identifier of a scan that has those of another one; `content` are hashes of its own."""
    return f"{scan_id}-{content_sha256(content)[:CONTENT_LETTERS]}"
