"""Feedback as the case page shows it: the truth on the scan and in words, labels for both.

A metastasis is labelled M1, M2, ...; other uptake has one letter for each kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from itertools import groupby
from string import ascii_lowercase
from typing import Any

from bonescint.report import probability_texts
from bonescint.scan import FocusKind, UptakeSite, View
from bonescint.teach.answers import Feedback, GradedMark, Spot

_SHORT = {View.ANTERIOR: "AP", View.POSTERIOR: "PA"}
_MOST_LISTED = 12
_Json = dict[str, Any]

Sentence = Callable[[UptakeSite], str]
"""How to tell a kind of benign uptake from a metastasis, in one sentence; empty if unknown."""


def shown_feedback(feedback: Feedback, sentence: Sentence) -> _Json:
    """What the case page gets after an answer.

    Args:
        feedback: the graded answer.
        sentence: the text of a kind.
    """
    seen = [spot for spot in feedback.spots if spot.visible or spot.marked is not None]
    metastases = [spot for spot in seen if spot.kind is FocusKind.METASTASIS]
    others = _by_site(spot for spot in seen if spot.kind is not FocusKind.METASTASIS)
    labels = {id(spot): f"M{number}" for number, spot in enumerate(metastases, start=1)}
    for number, spots in enumerate(others):
        labels |= {id(spot): letters(number) for spot in spots}
    answer = feedback.answer
    verdict = "Right" if feedback.right else "Wrong"
    truth = "has" if feedback.positive else "does not have"
    return {
        "right": feedback.right,
        "says": f"{verdict}: this patient {truth} metastatic bone disease.",
        "you_said": f"You said {_yes(answer.positive)}, {answer.confidence:.0f} of 100.",
        "places": _places(feedback),
        "marks": [
            {"number": number, "right": mark.right, "says": _mark_says(mark, feedback)}
            for number, mark in enumerate(feedback.marks, start=1)
        ],
        "metastases": _metastases(metastases, labels),
        "others": [_kind(spots, labels, sentence) for spots in others],
        "findings": [finding for spot in seen for finding in _findings(spot, labels[id(spot)])],
    }


def letters(number: int) -> str:
    """A label of letters: a to z, then aa, ab and so on.

    Examples:
        >>> letters(0), letters(25), letters(26)
        ('a', 'z', 'aa')
    """
    before, last = divmod(number, len(ascii_lowercase))
    return (letters(before - 1) if before else "") + ascii_lowercase[last]


def _places(feedback: Feedback) -> str:
    """How well the places were seen, in a sentence; empty where there was nothing to see."""
    visible = [
        spot for spot in feedback.spots if spot.kind is FocusKind.METASTASIS and spot.visible
    ]
    wrong = [mark for mark in feedback.marks if mark.mark.disease and not mark.right]
    said = []
    if visible:
        found = sum(spot.marked is not None for spot in visible)
        said.append(f"You marked {found} of {len(visible)} metastases that can be seen.")
    if wrong:
        marks = "1 mark lies" if len(wrong) == 1 else f"{len(wrong)} marks lie"
        said.append(f"{marks} on no metastasis.")
    return " ".join(said)


def _yes(positive: bool) -> str:
    return "yes" if positive else "no"


def _by_site(spots: Iterable[Spot]) -> list[list[Spot]]:
    """Other uptake by kind: what was taken for a metastasis, mimics, organs; the clearest first."""
    ordered = sorted(spots, key=lambda spot: spot.site.value)
    kinds = [list(found) for _, found in groupby(ordered, key=lambda spot: spot.site)]
    return sorted(
        kinds,
        key=lambda kind: (
            not any(spot.mistaken for spot in kind),
            kind[0].kind is FocusKind.ORGAN,
            -max(spot.contrast_to_noise or 0.0 for spot in kind),
        ),
    )


def _mark_says(graded: GradedMark, feedback: Feedback) -> str:
    mark = graded.mark
    where = f"{_SHORT[mark.view]}: "
    spot = None if graded.spot is None else feedback.spots[graded.spot]
    if spot is None:
        what = "a metastasis" if graded.right else "nothing that takes up more tracer"
    elif spot.kind is FocusKind.METASTASIS:
        what = f"metastasis{_in(spot)}"
    else:
        what = spot.site.value
    if mark.disease:
        return where + what
    named = "" if mark.name is None else mark.name.value
    return where + (f"{named}, as you said" if graded.right else f"you said {named}; it is {what}")


def _in(spot: Spot) -> str:
    place = spot.bone or spot.region
    return f" in {place}" if place else ""


def _metastases(spots: list[Spot], labels: Mapping[int, str]) -> list[_Json]:
    entries: list[_Json] = [
        {
            "label": labels[id(spot)],
            "name": spot.bone or spot.region or "metastasis",
            "found": spot.marked is not None,
            "says": _seen_in(spot),
        }
        for spot in spots[:_MOST_LISTED]
    ]
    rest = spots[_MOST_LISTED:]
    if rest:
        found = sum(spot.marked is not None for spot in rest)
        words = f"and {len(rest)} more, of which you marked {found}"
        entries.append({"label": "", "name": words})
    return entries


def _seen_in(spot: Spot) -> str:
    views = " and ".join(dict.fromkeys(_SHORT[place.view] for place in spot.places))
    if spot.contrast_to_noise is None:
        return views
    return f"{views}, contrast-to-noise {spot.contrast_to_noise:.0f}"


def _kind(spots: list[Spot], labels: Mapping[int, str], sentence: Sentence) -> _Json:
    site = spots[0].site
    count = f"{len(spots)} places" if len(spots) > 1 else ""
    mistaken = "you took it for a metastasis" if any(spot.mistaken for spot in spots) else ""
    return {
        "label": labels[id(spots[0])],
        "name": site.value,
        "says": "; ".join(filter(None, (count, mistaken))),
        "text": sentence(site),
    }


def _findings(spot: Spot, label: str) -> list[_Json]:
    """A spot as the pane draws it, once for each view that shows it."""
    return [
        {
            "view": place.view.value,
            "row": place.row,
            "column": place.column,
            "radius": place.radius_px,
            "area": None if place.area is None else asdict(place.area),
            "label": label,
            "metastasis": spot.kind is FocusKind.METASTASIS,
            "missed": spot.missed,
        }
        for place in spot.places
    ]


def shown_model(output: Mapping[str, Any], *, positive: bool) -> _Json:
    """The model's output, with a sentence that says it and whether its call was right.

    Args:
        output: as `explain.shown_output` gives it.
        positive: whether the patient has metastatic bone disease.
    """
    call = output["positive"]
    probability, threshold = probability_texts(output["mbd_probability"], output["operating_point"])
    if call is None:
        words = "no call, for this scan is unlike those that it knows"
    else:
        words = f"{'at or above' if call else 'below'} its threshold of {threshold}"
    return {
        **output,
        "right": None if call is None else call == positive,
        "says": f"Probability of metastatic bone disease {probability}, {words}.",
    }
