"""The reader study: physicians read a cohort in the browser, and nothing is lost.

Floor 5 of the house. `create_study` makes a study folder, `serve_study` serves it,
`export_study` writes what was read, `backup_study` and `restore_study` keep it. Needs the extra
`study`; the web framework is loaded when a study is served.
"""

from importlib.util import find_spec

from bonescint.scan import MissingExtraError

for _library, _module in (("sqlalchemy",) * 2, ("alembic",) * 2, ("argon2-cffi", "argon2")):
    if find_spec(_module) is None:
        raise MissingExtraError(_library, "study")

from bonescint.study.analysis import StudyAnalysis, analyse_study  # noqa: E402
from bonescint.study.backup import backup_study, restore_study  # noqa: E402
from bonescint.study.creating import StudyOptions, create_study  # noqa: E402
from bonescint.study.errors import RefusedError, StudyError  # noqa: E402
from bonescint.study.export.writing import export_study  # noqa: E402
from bonescint.study.folder import StudyFolder, open_study  # noqa: E402
from bonescint.study.people import (  # noqa: E402
    Link,
    add_readers,
    invite_readers,
    keep_out,
    study_status,
)
from bonescint.study.protocol import SecondSession, Stage, StudyProtocol  # noqa: E402
from bonescint.study.readers_file import Reader, read_readers  # noqa: E402
from bonescint.study.store.progress import Phase, ReaderProgress  # noqa: E402

__all__ = [
    "Link",
    "Phase",
    "Reader",
    "ReaderProgress",
    "RefusedError",
    "SecondSession",
    "Stage",
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
    "keep_out",
    "open_study",
    "read_readers",
    "restore_study",
    "study_status",
]
