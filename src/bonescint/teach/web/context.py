"""Who is asking, and what a server of `bonescint teach` holds: for one learner, or a classroom."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from bonescint.study.errors import RefusedError
from bonescint.study.store.accounts import Role, SignedInUser
from bonescint.study.web.dependencies import (
    PageContext,
    ServedContext,
    optional_user,
    require_csrf,
)
from bonescint.teach.serving import LOCAL
from bonescint.teach.web.board import Board
from bonescint.teach.web.desk import Desk

TITLE = "bonescint teach"
NOTICE = "For teaching. Not a medical device."
NOTICE_SIMULATED = "For teaching. Simulated patients. Not a medical device."

_PAGES = (("/", "Courses"), ("/progress", "Progress"))
_TEACHERS_PAGES = (("/", "Courses"), ("/classroom", "Classroom"))


def _shown(board: Board) -> dict[str, Any]:
    return {
        "title": TITLE,
        "notice": NOTICE_SIMULATED if board.simulated else NOTICE,
        "links": (),
        "here": "",
        "administrator": "your teacher",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalContext(PageContext):
    """One learner on one computer, without an account.

    Attributes:
        desk: hands out cases and takes answers.
        board: content of the other pages.
        user: the learner; the pages of this start of the server carry the token.
    """

    desk: Desk
    board: Board
    user: SignedInUser = field(
        default_factory=lambda: SignedInUser(
            account_id=0,
            reader=LOCAL,
            name="",
            role=Role.READER,
            simulated=False,
            csrf=secrets.token_urlsafe(32),
            sign_in_id=0,
        )
    )

    def shown(self) -> dict[str, Any]:
        """What every page shows."""
        return _shown(self.board)

    def user_of(self, request: Request) -> SignedInUser | None:
        """The learner."""
        del request
        return self.user


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassroomContext(ServedContext):
    """A classroom: accounts for a teacher and students.

    Attributes:
        desk: hands out cases and takes answers.
        board: content of the other pages.
    """

    desk: Desk
    board: Board

    def shown(self) -> dict[str, Any]:
        """What every page shows."""
        return _shown(self.board)

    def user_of(self, request: Request) -> SignedInUser | None:
        """Who is signed in."""
        return optional_user(request, self)


TeachContext = LocalContext | ClassroomContext


async def teach_context(request: Request) -> TeachContext:
    """What this server holds."""
    context: TeachContext = request.app.state.context
    return context


TeachDep = Annotated[TeachContext, Depends(teach_context)]


def maybe_learner(request: Request, context: TeachDep) -> SignedInUser | None:
    """Who asks for a page, if anybody is signed in."""
    return context.user_of(request)


MaybeLearner = Annotated[SignedInUser | None, Depends(maybe_learner)]


def learner(user: MaybeLearner) -> SignedInUser:
    """The learner, or the teacher, who sends a request."""
    if user is None:
        raise RefusedError("signed-out", "Sign in first.", status=401)
    return user


Learner = Annotated[SignedInUser, Depends(learner)]


def writing_learner(request: Request, user: Learner) -> SignedInUser:
    """The learner who sends a request that changes something, from one of our pages."""
    require_csrf(request.headers.get("x-csrf-token", ""), user)
    return user


WritingLearner = Annotated[SignedInUser, Depends(writing_learner)]


def links_of(user: SignedInUser) -> tuple[tuple[str, str], ...]:
    """The pages in the bar: path and words."""
    return _TEACHERS_PAGES if user.role is Role.ADMINISTRATOR else _PAGES
