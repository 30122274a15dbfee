"""Reader studies: physicians read a cohort in the browser, and nothing that they enter is lost.

Layer 5. `create_study` makes a study folder, `serving.serve_study` serves it, `export_study`
exports the answers, `analyse_study` compares readers and model, `backup_study` and `restore_study`
keep it. Needs the extra `study`. Each name is imported when it is first used, so that a server
does not load what only the analysis needs.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from bonescint.scan import MissingExtraError

for _library, _module in (("sqlalchemy",) * 2, ("alembic",) * 2, ("argon2-cffi", "argon2")):
    if find_spec(_module) is None:
        raise MissingExtraError(_library, "study")

if TYPE_CHECKING:
    from bonescint.study.analysis import StudyAnalysis, analyse_study
    from bonescint.study.backup import backup_study, restore_study
    from bonescint.study.creating import StudyOptions, create_study
    from bonescint.study.errors import RefusedError, StudyError
    from bonescint.study.export.writing import export_study
    from bonescint.study.folder import StudyFolder, open_study
    from bonescint.study.protocol import AnswerStage, SecondSession, StudyProtocol
    from bonescint.study.readers import (
        Link,
        add_readers,
        invite_readers,
        read_readers,
        set_account_active,
        study_status,
    )
    from bonescint.study.store.accounts import Reader
    from bonescint.study.store.sessions import Phase, ReaderProgress

_HOMES = {
    "analysis": ("StudyAnalysis", "analyse_study"),
    "backup": ("backup_study", "restore_study"),
    "creating": ("StudyOptions", "create_study"),
    "errors": ("RefusedError", "StudyError"),
    "export.writing": ("export_study",),
    "folder": ("StudyFolder", "open_study"),
    "protocol": ("SecondSession", "AnswerStage", "StudyProtocol"),
    "readers": (
        "Link",
        "add_readers",
        "invite_readers",
        "set_account_active",
        "read_readers",
        "study_status",
    ),
    "store.accounts": ("Reader",),
    "store.sessions": ("Phase", "ReaderProgress"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


__all__ = [
    "Link",
    "Phase",
    "Reader",
    "ReaderProgress",
    "RefusedError",
    "SecondSession",
    "AnswerStage",
    "StudyAnalysis",
    "StudyError",
    "StudyFolder",
    "StudyOptions",
    "StudyProtocol",
    "add_readers",
    "analyse_study",
    "backup_study",
    "create_study",
    "export_study",
    "invite_readers",
    "set_account_active",
    "open_study",
    "read_readers",
    "restore_study",
    "study_status",
]
