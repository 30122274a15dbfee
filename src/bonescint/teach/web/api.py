"""The interface of the case page: the case to read, its pixels, its answer and the feedback."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from bonescint.scan import ParameterError, UptakeSite, View
from bonescint.study.errors import RefusedError
from bonescint.teach.answers import CaseAnswer, SpotMark
from bonescint.teach.web.context import Learner, TeachDep, WritingLearner

router = APIRouter(prefix="/api")
_Json = dict[str, Any]
_Percent = Annotated[int, Field(ge=0, le=100)]
_Place = Annotated[float, Field(ge=-0.5, le=100_000, allow_inf_nan=False)]


class _Sent(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SentSpotMark(_Sent):
    """A mark; `kind` is what it was named, empty for a metastasis."""

    view: View
    row: _Place
    column: _Place
    kind: UptakeSite | None = None


class SentTeachingAnswer(_Sent):
    """What was entered for one case."""

    positive: bool
    confidence: _Percent
    no_focus: bool = False
    marks: list[SentSpotMark] = Field(default=[], max_length=200)
    comment: str = Field(default="", max_length=0)

    def answer(self, seconds: float) -> CaseAnswer:
        """The answer; every mark is as sure as the whole."""
        return CaseAnswer(
            positive=self.positive,
            confidence=self.confidence,
            seconds=seconds,
            marks=tuple(
                SpotMark(
                    view=mark.view,
                    row=mark.row,
                    column=mark.column,
                    confidence=self.confidence,
                    name=mark.kind,
                )
                for mark in self.marks
            ),
        )


class SentCase(_Sent):
    """An answer to one case."""

    case: str = Field(max_length=64)
    answer: SentTeachingAnswer
    seconds: float = Field(ge=0, le=1e6, allow_inf_nan=False)


@router.get("/case")
def current_case(context: TeachDep, user: Learner, course: str) -> _Json:
    """The case to read now, without anything that tells its truth."""
    found = context.desk.current(user.reader, course)
    if found is None:
        return {"case": None, "preparing": False, "page": "/"}
    issued, picture = found
    if picture is None:
        return {"case": None, "preparing": True}
    total = context.desk.cases_of(course)
    return {
        "case": {
            "token": issued.case_id,
            "number": issued.number + 1,
            "of": total if issued.number < total else 0,
            "picture": dict(picture.facts),
        }
    }


@router.get("/feedback/{token}")
def feedback(context: TeachDep, user: Learner, token: str) -> _Json:
    """An answered case once more, with its feedback."""
    return context.desk.feedback(user.reader, token)


@router.get("/images/{token}")
def image(context: TeachDep, user: Learner, token: str) -> Response:
    """The pixels of a case that this learner was given."""
    return Response(
        context.desk.pixels(user.reader, token),
        media_type="application/octet-stream",
        headers={"content-encoding": "gzip"},
    )


@router.get("/model/{token}")
def model(context: TeachDep, user: Learner, token: str) -> _Json:
    """What the model says of an answered case."""
    return context.desk.model(user.reader, token)


@router.post("/answer")
def answer(context: TeachDep, user: WritingLearner, sent: SentCase) -> _Json:
    """Store an answer, then say what was there; nothing is said before it is on disk."""
    try:
        given = sent.answer.answer(sent.seconds)
        return context.desk.answer(user.reader, sent.case, given)
    except ParameterError as error:
        raise RefusedError("answer", str(error), status=422) from error
