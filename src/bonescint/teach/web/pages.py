"""The pages of a learner: courses, a course, its cases, progress, certificate, exports."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from bonescint.study.errors import RefusedError
from bonescint.study.store.accounts import Role, SignedInUser
from bonescint.study.web.sign_in import page, redirect
from bonescint.teach.web.context import (
    Learner,
    MaybeLearner,
    TeachContext,
    TeachDep,
    links_of,
)

router = APIRouter()


def shown(
    context: TeachContext,
    request: Request,
    template: str,
    user: SignedInUser | None,
    **content: Any,
) -> Response:
    """A page of a learner or a teacher; whoever is not signed in is sent to do so."""
    if user is None:
        return redirect("/sign-in")
    here = request.url.path
    return page(context, request, template, user=user, links=links_of(user), here=here, **content)


@router.get("/health")
def health() -> dict[str, str]:
    """Whether the server answers; nothing else."""
    return {"status": "ok"}


@router.get("/")
def start_page(context: TeachDep, request: Request, user: MaybeLearner) -> Response:
    """The page with all courses, and how far the learner is in each."""
    name = "" if user is None else user.reader
    return shown(
        context,
        request,
        "start.html.jinja",
        user,
        courses=context.board.courses_of(name) if user else (),
        tests=context.board.tests_of(name) if user else (),
        kept=context.board.kept,
    )


@router.get("/course/{name}")
def course_page(context: TeachDep, request: Request, user: MaybeLearner, name: str) -> Response:
    """The introduction to a course."""
    content = context.board.course_page(user.reader, name) if user else {}
    return shown(context, request, "course.html.jinja", user, **content)


@router.get("/case/{name}")
def case_page(context: TeachDep, request: Request, user: MaybeLearner, name: str) -> Response:
    """The page on which the cases of a course are read."""
    content = context.board.case_page(name) if user else {}
    return shown(context, request, "case.html.jinja", user, **content)


@router.get("/review/{name}")
def review_page(context: TeachDep, request: Request, user: MaybeLearner, name: str) -> Response:
    """The answers of a course or a closed test, to be looked at again."""
    content = context.board.review_page(user.reader, name) if user else {}
    return shown(context, request, "case.html.jinja", user, **content)


@router.get("/progress")
def progress_page(context: TeachDep, request: Request, user: MaybeLearner) -> Response:
    """How a learner does, in numbers, figures and tables."""
    content = context.board.progress_page(user.reader) if user else {}
    return shown(context, request, "progress.html.jinja", user, **content)


@router.get("/certificate")
def certificate_page(context: TeachDep, request: Request, user: MaybeLearner) -> Response:
    """What was done, to be printed."""
    content = context.board.certificate(user.reader) if user else {}
    return shown(context, request, "certificate.html.jinja", user, **content)


@router.get("/example/{name}/{number}")
def example(context: TeachDep, user: Learner, name: str, number: int) -> Response:
    """A picture of the introduction to a course."""
    del user
    return Response(context.board.example(name, number), media_type="image/webp")


@router.get("/kind/{number}")
def kind_picture(context: TeachDep, user: Learner, number: int) -> Response:
    """The picture of a kind of finding."""
    del user
    return Response(context.board.kind_picture(number), media_type="image/webp")


@router.get("/export/{name}")
def export(context: TeachDep, user: Learner, name: str) -> Response:
    """The learner's own answers as a file."""
    if user.role is not Role.READER:
        raise RefusedError("role", "Only learners have answers.", status=403)
    content, kind = context.board.export(user.reader, name)
    headers = {"content-disposition": f'attachment; filename="bonescint-teach-{name}"'}
    return Response(content, media_type=kind, headers=headers)
