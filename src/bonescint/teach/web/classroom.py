"""The teacher's page: students, their confusions, the course set, frozen tests."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from bonescint.study.errors import RefusedError
from bonescint.study.store.accounts import Role, SignedInUser
from bonescint.study.web.dependencies import require_csrf
from bonescint.teach.classroom import Classroom, StudentLink
from bonescint.teach.web.context import Learner, TeachDep
from bonescint.teach.web.pages import shown

router = APIRouter(prefix="/classroom")
_Text = Annotated[str, Form(max_length=100)]
_Number = Annotated[int, Form(ge=1, le=500)]


async def teacher(user: Learner) -> SignedInUser:
    """The teacher who sends a request."""
    if user.role is not Role.ADMINISTRATOR:
        raise RefusedError("role", "Only the teacher may open this page.", status=403)
    return user


Teacher = Annotated[SignedInUser, Depends(teacher)]


async def writing_teacher(user: Teacher, csrf: _Text) -> SignedInUser:
    """The teacher who sends a form of the page."""
    require_csrf(csrf, user)
    return user


WritingTeacher = Annotated[SignedInUser, Depends(writing_teacher)]


def the_classroom(context: TeachDep) -> Classroom:
    """The classroom that this server holds."""
    found = context.board.classroom
    if found is None:
        raise RefusedError("not-found", "This page does not exist.", status=404)
    return found


TheClassroom = Annotated[Classroom, Depends(the_classroom)]


def _page(
    context: TeachDep,
    request: Request,
    user: SignedInUser,
    links: tuple[StudentLink, ...] = (),
    **more: Any,
) -> Response:
    return shown(
        context,
        request,
        "classroom.html.jinja",
        user,
        new_links=links,
        address=f"{context.settings.scheme}://{request.headers['host']}",
        **context.board.classroom_page(),
        **more,
    )


@router.get("")
def classroom_page(context: TeachDep, request: Request, user: Teacher) -> Response:
    """The group: who answered what, and what was confused with what."""
    return _page(context, request, user)


@router.post("/students")
def add_students(
    context: TeachDep,
    request: Request,
    user: WritingTeacher,
    classroom: TheClassroom,
    count: _Number,
) -> Response:
    """Add students under pseudonyms, and show their links once."""
    return _page(context, request, user, classroom.add_students(count))


@router.post("/invite")
def invite_again(
    context: TeachDep,
    request: Request,
    user: WritingTeacher,
    classroom: TheClassroom,
    student: _Text,
) -> Response:
    """A new link for a student who lost the link or the password."""
    return _page(context, request, user, (classroom.invite_again(student),))


@router.post("/course")
def set_course(
    context: TeachDep,
    request: Request,
    user: WritingTeacher,
    classroom: TheClassroom,
    course: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Set the course that students find marked."""
    if course:
        context.board.course(course)
    classroom.set_course(course)
    return _page(context, request, user)


@router.post("/test")
def freeze_test(
    context: TeachDep,
    request: Request,
    user: WritingTeacher,
    classroom: TheClassroom,
    course: _Text,
    cases: _Number,
) -> Response:
    """Freeze a test: the same cases for everybody."""
    title = f"{context.board.course(course).title}: {cases} cases"
    classroom.freeze_test(title, context.desk.test_specs(course, cases))
    return _page(context, request, user)


@router.post("/release")
def release_test(
    context: TeachDep,
    request: Request,
    user: WritingTeacher,
    classroom: TheClassroom,
    test: _Text,
) -> Response:
    """Close a test, so that its answers are shown."""
    classroom.release(test)
    return _page(context, request, user)
