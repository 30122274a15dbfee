"""Errors of reader studies, each with one clear line."""

from __future__ import annotations

from bonescint.scan import BonescintError


class StudyError(BonescintError):
    """A study folder or its store that cannot be used as it is."""


class RefusedError(BonescintError):
    """A request that the study does not allow, with a code for programs.

    Args:
        problem: code such as `"other-tab"`, which the pages know.
        message: for people.
        status: status of the HTTP response.
    """

    def __init__(self, problem: str, message: str, *, status: int = 409) -> None:
        self.problem = problem
        self.status = status
        super().__init__(message)

    def __reduce__(self) -> tuple[type[RefusedError], tuple[str, str]]:
        return type(self), (self.problem, str(self))
