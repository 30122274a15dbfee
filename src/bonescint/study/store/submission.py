"""What a browser may send; it is validated, so that all that is stored can be read again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from bonescint.study.protocol import Stage

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

_Word = StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")
_Key = StringConstraints(pattern=r"^[A-Za-z0-9_.-]{8,64}$")
_Time = Field(ge=-1e13, le=1e13, allow_inf_nan=False)
_Pixel = Field(ge=-0.5, le=20_000, allow_inf_nan=False)
_Percent = Field(ge=0, le=100, strict=True)


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SentEvent(_Sent):
    """Something that a reader did."""

    key: Annotated[str, _Key]
    kind: str
    tab: Annotated[str, _Word]
    case: Annotated[str, _Word] | None = None
    t_ms: Annotated[float, _Time]
    client_s: Annotated[float, _Time]
    body: dict[str, Any] = Field(default_factory=dict)

    @field_validator("kind")
    @classmethod
    def _known(cls, kind: str) -> str:
        if kind not in EVENT_KINDS:
            raise ValueError("not a kind of event")
        return kind

    @field_validator("body")
    @classmethod
    def _plain(cls, body: dict[str, Any]) -> dict[str, Any]:
        if len(body) > _MOST_DETAILS:
            raise ValueError("too many details")
        return {storable(name)[:60]: _detail(value) for name, value in body.items()}


def storable(text: str) -> str:
    """Text without what a database refuses: NUL and halves of surrogate pairs.

    Examples:
        >>> storable("a" + chr(0) + "b" + chr(0xD800))
        'ab?'
    """
    return text.replace("\0", "").encode(errors="replace").decode()


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


class SentMark(_Sent):
    """A marked focus."""

    view: Literal["anterior", "posterior"]
    row: Annotated[float, _Pixel]
    column: Annotated[float, _Pixel]
    rating: Annotated[int, _Percent]


class SentAnswer(_Sent):
    """A complete answer: only the comment has a default."""

    positive: Annotated[bool, Field(strict=True)]
    confidence: Annotated[int, _Percent]
    no_focus: Annotated[bool, Field(strict=True)]
    marks: Annotated[tuple[SentMark, ...], Field(max_length=MOST_MARKS)]
    comment: Annotated[str, Field(max_length=_LONGEST_COMMENT)] = ""

    @field_validator("comment")
    @classmethod
    def _storable(cls, comment: str) -> str:
        return storable(comment)


_Events = Annotated[tuple[SentEvent, ...], Field(max_length=MOST_EVENTS)]


class SentSubmission(_Sent):
    """An answer with all events that are not stored yet."""

    key: Annotated[str, _Key]
    case: Annotated[str, _Word]
    stage: Stage
    tab: Annotated[str, _Word]
    t_ms: Annotated[float, _Time]
    client_s: Annotated[float, _Time]
    answer: SentAnswer
    events: _Events = ()


class SentDraft(_Sent):
    """A draft, in which anything may be missing."""

    case: Annotated[str, _Word]
    stage: Stage
    tab: Annotated[str, _Word]
    draft: dict[str, Any]
    events: _Events = ()

    @field_validator("draft")
    @classmethod
    def _small(cls, draft: dict[str, Any]) -> dict[str, Any]:
        return Entered.model_validate(draft).model_dump()


class EnteredMark(_Sent):
    """A mark that may lack its rating."""

    view: Literal["anterior", "posterior"]
    row: Annotated[float, _Pixel]
    column: Annotated[float, _Pixel]
    rating: Annotated[int, _Percent] | None = None


class Entered(_Sent):
    """The content of a draft."""

    positive: bool | None = None
    confidence: Annotated[int, _Percent] | None = None
    no_focus: bool = False
    marks: Annotated[tuple[EnteredMark, ...], Field(max_length=MOST_MARKS)] = ()
    comment: Annotated[str, Field(max_length=_LONGEST_COMMENT)] = ""
    saved_ms: Annotated[float, _Time] = 0.0

    @field_validator("comment")
    @classmethod
    def _storable(cls, comment: str) -> str:
        return storable(comment)


class SentEvents(_Sent):
    """Events without an answer."""

    events: _Events


class SentTab(_Sent):
    """A tab that asks to be the active one."""

    tab: Annotated[str, _Word]
    take: bool = False


class SentEnvironment(_Sent):
    """The environment in which a reader reads."""

    monitor: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    calibrated: Annotated[str, StringConstraints(pattern=r"^(\d{4}-\d\d-\d\d|never|unknown)$")]
    light: Literal["dark", "dim", "office", "bright"]
    steps_seen: Annotated[int, Field(ge=0, le=24)]
    screen_width: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
    screen_height: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
    window_width: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
    window_height: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
    pixel_ratio: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)]
    colour_depth: Annotated[int, Field(ge=0, le=64)]
    browser: Annotated[str, Field(max_length=400)]

    @field_validator("monitor", "browser")
    @classmethod
    def _storable(cls, text: str) -> str:
        return storable(text)
