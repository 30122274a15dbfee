"""What came of a study; apart from the work that finds it, which loads much more."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from bonescint.scan import RESEARCH_USE


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOutcome:
    """A scan of a study, and what the model says of it.

    Attributes:
        scan_id: hash of its UIDs.
        mbd_probability: probability of metastatic bone disease, 0 to 1.
        call: `"positive"`, `"negative"` or `"no call"`.
        objects: how many objects answer it.
    """

    scan_id: str
    mbd_probability: float
    call: str
    objects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyOutcome:
    """What came of a study; JSON-ready, and without a word of a header.

    Attributes:
        scans: the scans that were classified.
        refused: why objects are no bone scan, or gave no answer.
        gone: how many earlier objects of the study were deleted, so that they are not in it.
        model: which model said it.
        notice: research use only.
    """

    scans: tuple[ScanOutcome, ...]
    refused: tuple[str, ...]
    gone: int = 0
    model: str = ""
    notice: str = RESEARCH_USE

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)
