"""A study to try: simulated scans, simulated readers, and a place for whoever looks at it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bonescint.files import one_writer, require_free
from bonescint.study.creating import StudyOptions, create_study
from bonescint.study.folder import StudyFolder
from bonescint.study.people import add_readers
from bonescint.study.readers_file import Reader
from bonescint.study.simulated import read_all, reader_panel

_SEED = 5
_TITLE = "Demonstration"
_YOU = "reader,name\nyou,You\n"
Progress = Callable[[str, int, int], None]


def make_demonstration(
    folder: Path | str,
    *,
    cases: int = 16,
    readers: int = 6,
    progress: Progress | None = None,
) -> tuple[StudyFolder, str]:
    """Simulate scans, make a study of them, and let simulated readers read it.

    Args:
        folder: to be made; holds `scans/`, `study/` and `readers.csv`.
        cases: number of cases, even.
        readers: number of simulated readers.
        progress: called with what is done, how much of it, and of how much.

    Returns:
        The study, and the path of the link with which the user enters as a reader.

    Raises:
        MissingExtraError: the extra `simulate` is not installed.
        OutputError: the folder is there already.
    """
    from bonescint.cohort import mixed_protocol, simulate_cohort

    home = Path(folder)
    require_free(home, remedy="Choose another --out")

    def tell(what: str) -> Callable[[int, int], None] | None:
        return None if progress is None else lambda done, total: progress(what, done, total)

    with one_writer(home):
        scans = home / "scans"
        simulate_cohort(
            scans,
            mixed_protocol(cases + 6),
            seed=_SEED,
            workers=None,
            progress=tell("Simulating scans"),
        )
        panel = reader_panel(readers, seed=_SEED)
        people = [
            Reader(reader=who.reader, name=who.reader.replace("sim-", "Simulated "))
            for who in panel
        ]
        options = StudyOptions(
            title=_TITLE, sample=cases, balanced=True, seed=_SEED, split=None, training=2,
            simulated_readers=True,
        )  # fmt: skip
        study = create_study(
            home / "study", scans, people, options, progress=tell("Preparing cases")
        )
        read_all(study, panel, seed=_SEED, progress=tell("Simulated readers read"))
        you = home / "readers.csv"
        you.write_text(_YOU, encoding="utf-8")
        (link,) = add_readers(study.path, you)
    return study, link.path
