"""The errors that bonescint raises on purpose.

One template: what must hold, what was got, which file, what to do. A message never carries
a patient's name or identifier, only paths that the user gave.
"""

from __future__ import annotations


class BonescintError(Exception):
    """Anything that bonescint refuses, with one clear line that says why."""


class ParameterError(BonescintError, ValueError):
    """A setting or an argument that cannot be used.

    Examples:
        >>> raise ParameterError("count", "simulate_cohort", "a whole number above 0", -3)
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.ParameterError: The 'count' parameter of simulate_cohort must be \
a whole number above 0. Got -3 instead.
    """

    def __init__(self, parameter: str, owner: str, requirement: str, got: object) -> None:
        self.parameter = parameter
        self._parts = (parameter, owner, requirement, got)
        super().__init__(
            f"The '{parameter}' parameter of {owner} must be {requirement}. Got {got!r} instead."
        )

    def __reduce__(self) -> tuple[type[ParameterError], tuple[str, str, str, object]]:
        # Exceptions cross process borders: rebuild from the parts, not from the message.
        return type(self), self._parts


class InputError(BonescintError):
    """A file, or a group of files, that cannot be read as a bone scan.

    Args:
        source: the path as the user knows it (no header content).
        problem: what is wrong, without a full stop.
        remedy: what to do about it, without a full stop.
    """

    def __init__(self, source: object, problem: str, remedy: str) -> None:
        self.source = str(source)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{self.source}: {problem}. {remedy}.")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        return type(self), (self.source, self.problem, self.remedy)


class NotABoneScanError(InputError):
    """A readable image that is no planar whole-body bone scan (a CT, a thyroid static, a dog)."""


class ViewConflictError(InputError):
    """Two rules name different views for the same image, or two images claim the same view."""


class UnitError(BonescintError):
    """Pixels in the wrong unit for a step, such as normalising twice."""


class ModelFolderError(BonescintError):
    """A model folder that is incomplete, altered or of a newer schema."""


class OutputError(BonescintError):
    """A place that cannot be written to; raised before the work begins."""


class MissingExtraError(BonescintError):
    """A library that comes with an extra of this package and is not installed.

    Examples:
        >>> print(MissingExtraError("torch", "train"))
        'torch' is not installed. It comes with an extra: pip install 'bonescint[train]'.
    """

    def __init__(self, library: str, extra: str) -> None:
        self.library = library
        self.extra = extra
        super().__init__(
            f"'{library}' is not installed. It comes with an extra: "
            f"pip install 'bonescint[{extra}]'."
        )

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.library, self.extra)


def os_reason(error: BaseException) -> str:
    """Why the system refused, in its own words; also where a library wrapped its error.

    Examples:
        >>> wrapped = OSError("while writing: [Errno 28]")
        >>> wrapped.__cause__ = OSError(28, "No space left on device")
        >>> os_reason(wrapped)
        'No space left on device'
        >>> os_reason(OSError("odd"))
        'OSError'
    """
    seen: BaseException | None = error
    while seen is not None:
        reason = getattr(seen, "strerror", None)
        if reason:
            return str(reason)
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__
