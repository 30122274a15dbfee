"""What became of each input, and of the whole batch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bonescint.scan import BonescintError, InputError

RESULTS_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedScan:
    """One row of `results.csv`: a scan and the model's answer, without the arrays.

    Attributes:
        scan_id: identifier of the scan.
        source: where it came from, as the user gave it.
        views: names of the views that are present.
        mbd_probability: probability of metastatic bone disease, 0 to 1.
        positive: whether it reaches the model's operating point.
        warnings: what limits the answer.
        picture: path of its picture relative to the results folder; empty if drawing failed.
    """

    scan_id: str
    source: str
    views: tuple[str, ...]
    mbd_probability: float
    positive: bool
    warnings: tuple[str, ...]
    picture: str

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An input that gave no result, and why.

    Attributes:
        source: as the user gave it.
        kind: name of the error's class.
        reason: what is wrong and what to do.
    """

    source: str
    kind: str
    reason: str

    @classmethod
    def of(cls, error: BonescintError, *, source: str) -> Refusal:
        """The refusal that an error means; an `InputError` names its own source.

        Examples:
            >>> error = InputError("a.dcm", "is empty", "Export it again")
            >>> Refusal.of(error, source="a.dcm").reason
            'is empty. Export it again.'
        """
        if isinstance(error, InputError):
            reason = f"{error.problem}. {error.remedy}."
            return cls(source=error.source, kind=type(error).__name__, reason=reason)
        return cls(source=source, kind=type(error).__name__, reason=str(error))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySummary:
    """What `classify` did.

    Attributes:
        folder: the results folder, as the caller gave it.
        model_id: name, version and start of the hash of the model.
        operating_point: the threshold on the probability.
        results: the scans that were classified, in input order.
        refused: what gave no result, in input order.
        interrupted: whether the batch was stopped before its end.
        seconds: wall time.
        written: whether results were written; where no study was found, those of an earlier
            run stay as they are.
    """

    folder: Path
    model_id: str
    operating_point: float
    results: tuple[ClassifiedScan, ...]
    refused: tuple[Refusal, ...]
    interrupted: bool
    seconds: float
    written: bool = True

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary, the one that `bonescint classify --json` prints."""
        return {
            "schema_version": RESULTS_SCHEMA_VERSION,
            "folder": str(self.folder),
            "model_id": self.model_id,
            "operating_point": self.operating_point,
            "interrupted": self.interrupted,
            "written": self.written,
            "seconds": round(self.seconds, 3),
            "results": [result.to_json() for result in self.results],
            "refused": [refusal.to_json() for refusal in self.refused],
        }
