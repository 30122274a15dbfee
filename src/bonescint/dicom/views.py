"""Which view an image shows: the chain of rules, strongest first.

Every rule that can say something is asked. The strongest one that answers decides and is
recorded; another of the same strength that says the opposite is an error that names both,
because a swapped pair looks plausible and is wrong. View codes, GE's names and start angles are
strong. Descriptions and file names are weak: `POST` may mean "after" and `DOS` be a surname, so
against a strong rule they lose, with a warning, and where they decide alone this is said.
Where no rule answers,
detector 1 is taken as anterior, with a warning that this was assumed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bonescint.dicom.frames import Frame, PhotopeakFrames
from bonescint.dicom.header import Header
from bonescint.dicom.words import view_in_path, view_in_path_is_plain, view_in_text
from bonescint.scan import View, ViewConflictError, ViewRule

_CODES = {
    "399321004": View.ANTERIOR,
    "G-5215": View.ANTERIOR,
    "399001007": View.POSTERIOR,
    "G-5216": View.POSTERIOR,
}
"""CID 26, SNOMED CT and the older SRT codes."""

_WEAK = (ViewRule.DESCRIPTION, ViewRule.FILE_NAME)
_ANGLES = {180: View.ANTERIOR, 0: View.POSTERIOR}
_ANGLE_TOLERANCE = 5.0
_GE_CREATOR = "GEMS_GENIE_1"
_GE_DATASET_NAME = re.compile(r"^WHOLE ?BODY_([EF])$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What the rules may look at to tell the view of one frame.

    Attributes:
        header: of the file.
        frame: the image in question.
        photopeak: all images that are used of the file.
        path: of the file.
    """

    header: Header
    frame: Frame
    photopeak: PhotopeakFrames
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The view of one image, the rule that told it, and what is to be said of it."""

    view: View
    rule: ViewRule
    warning: str = ""


def decide(question: Question, source: str) -> Decision | None:
    """The view of one image, or `None` if no rule answers.

    Raises:
        ViewConflictError: two rules contradict each other.
    """
    answers = list(_answers(question))
    if not answers:
        return None
    first = answers[0]
    for other in answers[1:]:
        if other.view is not first.view:
            if first.rule not in _WEAK and other.rule in _WEAK:
                text = f"the {other.rule.value} says {other.view.value}, the {first.rule.value} "
                return replace(first, warning=f"{text}{first.view.value}: the latter was believed")
            raise ViewConflictError(
                source,
                f"the {first.rule.value} says {first.view.value}, "
                f"the {other.rule.value} says {other.view.value}",
                "Find out which is right and correct the other",
            )
    if first.rule in _WEAK and not _is_plain(first, question):
        warning = f"only the {first.rule.value} says that it is the {first.view.value} view"
        return replace(first, warning=warning)
    return first


def _is_plain(decision: Decision, question: Question) -> bool:
    if decision.rule is ViewRule.FILE_NAME:
        return view_in_path_is_plain(question.path)
    texts = [question.header.text(keyword) for keyword in ("ImageID", "SeriesDescription")]
    told = next(text for text in texts if text and _view_in_ge_name(text) is not None)
    return bool(_GE_DATASET_NAME.match(told.upper())) or view_in_path_is_plain(Path(f"_/{told}."))


def _answers(question: Question) -> Iterator[Decision]:
    rules: tuple[tuple[ViewRule, Callable[[Question], View | None]], ...] = (
        (ViewRule.VIEW_CODE, _by_view_code),
        (ViewRule.GE_PRIVATE, _by_ge_name),
        (ViewRule.START_ANGLE, _by_start_angle),
        (ViewRule.DESCRIPTION, _by_description),
        (ViewRule.FILE_NAME, _by_file_name),
    )
    for rule, look in rules:
        view = look(question)
        if view is not None:
            yield Decision(view=view, rule=rule)


def _detector_item(question: Question) -> Header | None:
    """The frame's item of the Detector Information Sequence."""
    items = question.header.items("DetectorInformationSequence")
    number = question.frame.item
    return items[number - 1] if 1 <= number <= len(items) else None


def _by_view_code(question: Question) -> View | None:
    item = _detector_item(question)
    codes = item.items("ViewCodeSequence") if item else ()
    if not codes and len(question.photopeak.frames) == 1:
        codes = question.header.items("ViewCodeSequence")
    for code in codes:
        value = code.text("CodeValue")
        view = _CODES.get(value) or view_in_text(code.text("CodeMeaning")) or view_in_text(value)
        if view is not None:
            return view
    return None


def _by_ge_name(question: Question) -> View | None:
    for element in (0x12, 0x30):
        names = question.header.private_texts(0x0011, _GE_CREATOR, element)
        name = _name_of_frame(names, question)
        if name:
            view = _view_in_ge_name(name)
            if view is not None:
                return view
    return None


def _name_of_frame(names: tuple[str, ...], question: Question) -> str:
    """One name for all, one a frame, or one a detector."""
    if len(names) == 1:
        return names[0] if len(question.photopeak.frames) == 1 else ""
    if len(names) == question.photopeak.frame_count:
        return names[question.frame.index]
    if len(names) == len(question.photopeak.frames):
        return names[question.photopeak.frames.index(question.frame)]
    return ""


def _view_in_ge_name(name: str) -> View | None:
    match = _GE_DATASET_NAME.match(name.upper())
    if match:
        return View.ANTERIOR if match[1] == "E" else View.POSTERIOR
    return view_in_text(name)


def _by_start_angle(question: Question) -> View | None:
    item = _detector_item(question)
    angle = item.number("StartAngle") if item else None
    if angle is None:
        return None
    for nominal, view in _ANGLES.items():
        if abs((angle - nominal + 180) % 360 - 180) <= _ANGLE_TOLERANCE:
            return view
    return None


def _by_description(question: Question) -> View | None:
    if len(question.photopeak.frames) > 1:
        return None  # one text for several images tells nothing of one
    for keyword in ("ImageID", "SeriesDescription"):
        text = question.header.text(keyword)
        view = _view_in_ge_name(text) if text else None
        if view is not None:
            return view
    return None


def _by_file_name(question: Question) -> View | None:
    if len(question.photopeak.frames) > 1:
        return None
    return view_in_path(question.path)


def assume_by_detector(
    detectors: tuple[int, ...], decisions: tuple[Decision | None, ...]
) -> tuple[tuple[Decision, ...], tuple[str, ...]]:
    """Fill in what no rule told, and say so.

    An image beside one whose view is known shows the other view; otherwise detector 1 is
    taken as anterior and any other as posterior.

    Args:
        detectors: detector number of each image, from 1.
        decisions: what the rules told of each image.

    Returns:
        A decision for each image, and the warnings.
    """
    known = {decision.view for decision in decisions if decision}
    filled: list[Decision] = []
    warnings: list[str] = []
    for detector, decision in zip(detectors, decisions, strict=True):
        if decision is None:
            if len(known) == 1 and len(decisions) == 2:
                view = next(iter(known)).opposite
            else:
                view = View.ANTERIOR if detector == 1 else View.POSTERIOR
            decision = Decision(view=view, rule=ViewRule.DETECTOR_ORDER)
            warnings.append(
                f"nothing tells which view detector {detector} took: {view.value} was assumed"
            )
        filled.append(decision)
    return tuple(filled), tuple(warnings)
