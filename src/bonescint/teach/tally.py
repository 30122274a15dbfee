"""What was answered, in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bonescint.teach.records import AnsweredCase

NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What was answered, in numbers.

    Attributes:
        cases: number of answered cases.
        right: with the right yes or no.
        lesions: visible metastases.
        found: of these, marked.
        false_marks: marks of disease where there is none.
    """

    cases: int
    right: int
    lesions: int
    found: int
    false_marks: int

    @classmethod
    def of(cls, answered: Sequence[AnsweredCase]) -> Tally:
        """The numbers of some answered cases."""
        outcomes = [one.outcome for one in answered]
        lesions = [lesion for outcome in outcomes for lesion in outcome.lesions]
        return cls(
            cases=len(outcomes),
            right=sum(outcome.right for outcome in outcomes),
            lesions=len(lesions),
            found=sum(lesion.confidence is not None for lesion in lesions),
            false_marks=sum(len(outcome.false_marks) for outcome in outcomes),
        )


def share_text(part: int, whole: int) -> str:
    """A share as per cent with its counts; a dash where there is nothing.

    Examples:
        >>> share_text(3, 4), share_text(0, 0)
        ('75 % (3 of 4)', '-')
    """
    return f"{100 * part / whole:.0f} % ({part} of {whole})" if whole else NONE
