"""What came of one answer: what was found, missed and mistaken, without places."""

from __future__ import annotations

from dataclasses import dataclass

from bonescint.scan import FocusKind, UptakeSite
from bonescint.teach.answers import Feedback


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionOutcome:
    """One metastasis of an answered case.

    Attributes:
        bone: the coarse region.
        contrast_to_noise: in the view that shows it better; `None` if unknown.
        confidence: highest confidence of the marks on it; `None` if it was not marked.
    """

    bone: str
    contrast_to_noise: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingOutcome:
    """One kind of benign spot of an answered case that could be seen.

    Attributes:
        site: what it is.
        mistaken: whether it was marked as a metastasis.
        named: whether it was named, and rightly; `None` if it was not named.
    """

    site: UptakeSite
    mistaken: bool
    named: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseMark:
    """A mark of disease where there is none.

    Attributes:
        site: what is there; `None` where nothing is.
        confidence: 0 to 100.
    """

    site: UptakeSite | None
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one answer, without places: all that a tutor and the progress need.

    Attributes:
        positive: whether there is disease.
        called: whether the learner answered that there is.
        confidence: the learner's, that there is, 0 to 100.
        seconds: time that the answer took.
        lesions: every metastasis that can be seen, or that was marked.
        findings: every kind of benign spot that can be seen, or that was marked.
        false_marks: marks of disease that hit no metastasis.
        unseen: metastases that are too faint to be seen, and were not marked.
    """

    positive: bool
    called: bool
    confidence: float
    seconds: float
    lesions: tuple[LesionOutcome, ...] = ()
    findings: tuple[FindingOutcome, ...] = ()
    false_marks: tuple[FalseMark, ...] = ()
    unseen: tuple[LesionOutcome, ...] = ()

    @property
    def right(self) -> bool:
        """Whether yes or no was right."""
        return self.positive == self.called

    @classmethod
    def of(cls, feedback: Feedback) -> Outcome:
        """The outcome of a graded answer."""
        by_site: dict[UptakeSite, list[FindingOutcome]] = {}
        lesions: list[LesionOutcome] = []
        unseen: list[LesionOutcome] = []
        for spot in feedback.spots:
            hidden = not spot.visible and spot.marked is None and spot.named is None
            if spot.kind is FocusKind.METASTASIS:
                (unseen if hidden else lesions).append(
                    LesionOutcome(
                        bone=spot.bone,
                        contrast_to_noise=spot.contrast_to_noise,
                        confidence=spot.marked,
                    )
                )
            elif not hidden:
                one = FindingOutcome(
                    site=spot.site,
                    mistaken=spot.mistaken,
                    named=None if spot.named is None else spot.named is spot.site,
                )
                by_site.setdefault(spot.site, []).append(one)
        wrong = [one for one in feedback.marks if one.mark.disease and not one.right]
        return cls(
            positive=feedback.positive,
            called=feedback.answer.positive,
            confidence=feedback.answer.confidence,
            seconds=feedback.answer.seconds,
            lesions=tuple(lesions),
            findings=tuple(_together(site, found) for site, found in by_site.items()),
            false_marks=tuple(
                FalseMark(
                    site=None if one.spot is None else feedback.spots[one.spot].site,
                    confidence=one.mark.confidence,
                )
                for one in wrong
            ),
            unseen=tuple(unseen),
        )


def _together(site: UptakeSite, found: list[FindingOutcome]) -> FindingOutcome:
    """Several spots of one kind in one case: one slip counts, one right name does."""
    named = [one.named for one in found if one.named is not None]
    return FindingOutcome(
        site=site,
        mistaken=any(one.mistaken for one in found),
        named=all(named) if named else None,
    )
