"""Which view an image shows: the chain of rules, strongest first.

Every rule that can say something is asked. The strongest one that answers decides and is
recorded; another of the same strength that says the opposite is an error that names both,
because a swapped pair looks plausible and is wrong. View codes (by scheme and value, and by their
meaning), GE's names, start angles and the image's orientation are strong. Descriptions and file
names are weak: `POST` may mean "after" and `DOS` be a surname, so against a strong rule they lose,
with a warning, and where they decide alone this is said. Where no rule answers, detector 1 is
taken as anterior, with a warning that this was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bonescint.dicom.frames import Frame, PhotopeakFrames
from bonescint.dicom.header import Header
from bonescint.dicom.orientation import code_of, is_another_view, view_of, views_by_orientation
from bonescint.dicom.words import (
    names_view_plainly,
    view_in_path,
    view_in_path_is_plain,
    view_in_text,
)
from bonescint.scan import NotABoneScanError, View, ViewConflictError, ViewRule

_WEAK = (ViewRule.DESCRIPTION, ViewRule.FILE_NAME)
_ANGLES = {180: View.ANTERIOR, 0: View.POSTERIOR}
_ANGLE_TOLERANCE = 5.0
_GE_CREATOR = "GEMS_GENIE_1"
_GE_DATASET_NAME = re.compile(r"^WHOLE ?BODY_([EF])$")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameEvidence:
    """What the rules may look at to tell the view of one frame.

    Attributes:
        header: header of the file.
        frame: the image in evidence.
        photopeak: all images that are used of the file.
        path: path of the file.
    """

    header: Header
    frame: Frame
    photopeak: PhotopeakFrames
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewDecision:
    """The view of one image, the rule that told it, and a warning about it."""

    view: View
    rule: ViewRule
    warning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one rule says, what to call it in messages, and whether it leaves no doubt."""

    view: View
    rule: ViewRule
    name: str
    is_plain: bool = True


def decide(evidence: FrameEvidence, source: str) -> ViewDecision | None:
    """The view of one image, or `None` if no rule answers.

    Raises:
        ViewConflictError: two rules contradict each other.
        NotABoneScanError: a code says that it is an oblique or a lateral view.
    """
    answers = list(_answers(evidence, source))
    if not answers:
        return None
    first = answers[0]
    decision = ViewDecision(view=first.view, rule=first.rule)
    for other in answers[1:]:
        if other.view is not first.view:
            if first.rule not in _WEAK and other.rule in _WEAK:
                text = f"the {other.name} says {other.view.value}, the {first.name} "
                return replace(decision, warning=f"{text}{first.view.value}: the latter was used")
            raise ViewConflictError(
                source,
                f"the {first.name} says {first.view.value}, "
                f"the {other.name} says {other.view.value}",
                "Find out which is right and correct the other",
            )
    if first.rule in _WEAK and not any(answer.is_plain for answer in answers):
        warning = f"only the {first.name} says that it is the {first.view.value} view"
        return replace(decision, warning=warning)
    return decision


def _answers(evidence: FrameEvidence, source: str) -> Iterator[_Answer]:
    yield from _by_view_code(evidence, source)
    yield from _by_ge_name(evidence)
    yield from _by_start_angle(evidence)
    yield from _by_orientation(evidence)
    yield from _by_description(evidence)
    yield from _by_file_name(evidence)


def _answer(view: View | None, rule: ViewRule, name: str = "", **doubt: bool) -> Iterator[_Answer]:
    if view is not None:
        yield _Answer(view=view, rule=rule, name=name or rule.value, **doubt)


def _detector_item(evidence: FrameEvidence) -> Header | None:
    """The frame's item of the Detector Information Sequence."""
    items = evidence.header.items("DetectorInformationSequence")
    number = evidence.frame.item
    return items[number - 1] if 1 <= number <= len(items) else None


def _by_view_code(evidence: FrameEvidence, source: str) -> Iterator[_Answer]:
    item = _detector_item(evidence)
    found = item.items("ViewCodeSequence") if item else ()
    if not found and len(evidence.photopeak.frames) == 1:
        found = evidence.header.items("ViewCodeSequence")
    for entry in found:
        code, meaning = code_of(entry), entry.text("CodeMeaning")
        if is_another_view(code):
            raise NotABoneScanError(
                source,
                f"its view code {code[1]} names an oblique or a lateral view",
                "Give the anterior and the posterior view",
            )
        told = view_of(code)
        yield from _answer(told, ViewRule.VIEW_CODE)
        name = "meaning of the view code" if told else ""
        by_words = view_in_text(meaning) or (None if told else view_in_text(code[1]))
        yield from _answer(by_words, ViewRule.VIEW_CODE, name)


def _by_ge_name(evidence: FrameEvidence) -> Iterator[_Answer]:
    for element in (0x12, 0x30):
        names = evidence.header.private_texts(0x0011, _GE_CREATOR, element)
        name = _name_of_frame(names, evidence)
        yield from _answer(_view_in_ge_name(name), ViewRule.GE_PRIVATE)


def _name_of_frame(names: tuple[str, ...], evidence: FrameEvidence) -> str:
    """One name for all, one a frame, or one a detector."""
    if len(names) == 1:
        return names[0] if len(evidence.photopeak.frames) == 1 else ""
    if len(names) == evidence.photopeak.frame_count:
        return names[evidence.frame.index]
    if len(names) == len(evidence.photopeak.frames):
        return names[evidence.photopeak.frames.index(evidence.frame)]
    return ""


def _view_in_ge_name(name: str) -> View | None:
    match = _GE_DATASET_NAME.match(name.upper())
    if match:
        return View.ANTERIOR if match[1] == "E" else View.POSTERIOR
    return view_in_text(name)


def _by_start_angle(evidence: FrameEvidence) -> Iterator[_Answer]:
    item = _detector_item(evidence)
    angle = item.number("StartAngle") if item else None
    if angle is None:
        return
    for nominal, view in _ANGLES.items():
        if abs((angle - nominal + 180) % 360 - 180) <= _ANGLE_TOLERANCE:
            yield from _answer(view, ViewRule.START_ANGLE)


def _by_orientation(evidence: FrameEvidence) -> Iterator[_Answer]:
    views = views_by_orientation(evidence.header, evidence.photopeak)
    view = views[evidence.photopeak.frames.index(evidence.frame)]
    yield from _answer(view, ViewRule.ORIENTATION)


def _by_description(evidence: FrameEvidence) -> Iterator[_Answer]:
    if len(evidence.photopeak.frames) > 1:
        return  # one text for several images tells nothing of one
    for keyword, name in (("ImageID", "image ID"), ("SeriesDescription", "series description")):
        text = evidence.header.text(keyword)
        is_plain = bool(_GE_DATASET_NAME.match(text.upper())) or names_view_plainly(text)
        yield from _answer(_view_in_ge_name(text), ViewRule.DESCRIPTION, name, is_plain=is_plain)


def _by_file_name(evidence: FrameEvidence) -> Iterator[_Answer]:
    if len(evidence.photopeak.frames) > 1:
        return
    view, is_plain = view_in_path(evidence.path), view_in_path_is_plain(evidence.path)
    yield from _answer(view, ViewRule.FILE_NAME, is_plain=is_plain)


def assume_by_detector(
    detectors: tuple[int, ...], decisions: tuple[ViewDecision | None, ...]
) -> tuple[tuple[ViewDecision, ...], tuple[str, ...]]:
    """Assume the views that no rule decides, with a warning.

    An image beside one whose view is known shows the other view; otherwise detector 1 is
    taken as anterior and any other as posterior.

    Args:
        detectors: detector number of each image, from 1.
        decisions: the rules' decision for each image, `None` if there is none.

    Returns:
        A decision for each image, and the warnings.
    """
    known = {decision.view for decision in decisions if decision}
    filled: list[ViewDecision] = []
    warnings: list[str] = []
    for detector, decision in zip(detectors, decisions, strict=True):
        if decision is None:
            if len(known) == 1 and len(decisions) == 2:
                view = next(iter(known)).opposite
            else:
                view = View.ANTERIOR if detector == 1 else View.POSTERIOR
            decision = ViewDecision(view=view, rule=ViewRule.DETECTOR_ORDER)
            warnings.append(
                f"nothing says which view detector {detector} took: {view.value} was assumed"
            )
        filled.append(decision)
    return tuple(filled), tuple(warnings)
