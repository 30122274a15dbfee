"""What a browser may send; it is validated, so that all that is stored can be read again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from bonescint.study.protocol import AnswerStage

_KINDS = """
    back break-suggested case-ready comment confidence decision draft-restored environment error
    feedback-shown help hidden idle key-shortcuts map-hidden map-opacity map-shown mark-added
    mark-moved mark-rated mark-removed no-focus pan pause preset reset resized resume shown
    smoothing submit tab-opened visible window zoom
"""
EVENT_KINDS = frozenset(_KINDS.split())
MOST_EVENTS = 2_000
MOST_MARKS = 200
_MOST_DETAILS = 30
_LONGEST_COMMENT = 4_000


def storable(text: str) -> str:
    """Text without what a database refuses: NUL and halves of surrogate pairs.

    Examples:
        >>> storable("a" + chr(0) + "b" + chr(0xD800))
        'ab?'
    """
    return text.replace("\0", "").encode(errors="replace").decode()


def _known(kind: str) -> str:
    if kind not in EVENT_KINDS:
        raise ValueError("not a kind of event")
    return kind


def _details(body: dict[str, Any]) -> dict[str, Any]:
    if len(body) > _MOST_DETAILS:
        raise ValueError("too many details")
    return {storable(name)[:60]: _detail(value) for name, value in body.items()}


def _detail(value: object) -> str | float | int | bool | None:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not -1e15 <= value <= 1e15:
            raise ValueError("a number out of range")
        return value
    if isinstance(value, str):
        return storable(value)[:500]
    raise ValueError("a detail must be a number or a text")


_Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{8,64}$")]
_Time = Annotated[float, Field(ge=-1e13, le=1e13, allow_inf_nan=False)]
_Pixel = Annotated[float, Field(ge=-0.5, le=20_000, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
_Percent = Annotated[int, Field(ge=0, le=100, strict=True)]
_Flag = Annotated[bool, Field(strict=True)]
_View = Literal["anterior", "posterior"]
_Comment = Annotated[str, Field(max_length=_LONGEST_COMMENT), AfterValidator(storable)]
_Line = StringConstraints(strip_whitespace=True, min_length=1, max_length=200)


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SentEvent(_Sent):
    """Something that a reader did."""

    key: _Key
    kind: Annotated[str, AfterValidator(_known)]
    tab: _Word
    case: _Word | None = None
    t_ms: _Time
    client_s: _Time
    body: Annotated[dict[str, Any], AfterValidator(_details)] = Field(default_factory=dict)


class SentMark(_Sent):
    """A marked focus."""

    view: _View
    row: _Pixel
    column: _Pixel
    rating: _Percent


class SentAnswer(_Sent):
    """A complete answer: only the comment has a default."""

    positive: _Flag
    confidence: _Percent
    no_focus: _Flag
    marks: Annotated[tuple[SentMark, ...], Field(max_length=MOST_MARKS)]
    comment: _Comment = ""


_Events = Annotated[tuple[SentEvent, ...], Field(max_length=MOST_EVENTS)]


class SentSubmission(_Sent):
    """An answer with all events that are not stored yet."""

    key: _Key
    case: _Word
    stage: AnswerStage
    tab: _Word
    t_ms: _Time
    client_s: _Time
    answer: SentAnswer
    events: _Events = ()


class EnteredMark(_Sent):
    """A mark that may lack its rating."""

    view: _View
    row: _Pixel
    column: _Pixel
    rating: _Percent | None = None


class Entered(_Sent):
    """The content of a draft, in which anything may be missing."""

    positive: bool | None = None
    confidence: _Percent | None = None
    no_focus: bool = False
    marks: Annotated[tuple[EnteredMark, ...], Field(max_length=MOST_MARKS)] = ()
    comment: _Comment = ""
    saved_ms: _Time = 0.0


def _entered(draft: dict[str, Any]) -> dict[str, Any]:
    return Entered.model_validate(draft).model_dump()


class SentDraft(_Sent):
    """What is entered so far, with all events that are not stored yet."""

    case: _Word
    stage: AnswerStage
    tab: _Word
    draft: Annotated[dict[str, Any], AfterValidator(_entered)]
    events: _Events = ()


class SentEvents(_Sent):
    """Events without an answer."""

    events: _Events


class SentTab(_Sent):
    """A tab that asks to be the active one."""

    tab: _Word
    take: bool = False


class SentEnvironment(_Sent):
    """The environment in which a reader reads."""

    monitor: Annotated[str, _Line, AfterValidator(storable)]
    calibrated: Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d\d-\d\d|never|unknown)$")]
    light: Literal["dark", "dim", "office", "bright"]
    steps_seen: Annotated[int, Field(ge=0, le=24)]
    screen_width: _Size
    screen_height: _Size
    window_width: _Size
    window_height: _Size
    pixel_ratio: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)]
    colour_depth: Annotated[int, Field(ge=0, le=64)]
    browser: Annotated[str, Field(max_length=400), AfterValidator(storable)]
