"""Runs commands of `bonescint study` in forks of one process, so that each starts at once.

Reads jobs as JSON lines: `{"words": [...], "told": file, "most": bytes or null}` answers with the
number of a process, `{"wait": number}` with its exit code once it has ended. What a command
prints goes through a pipe into the file, which no limit on the size of its own files cuts.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from importlib import import_module

MODULES = (
    "cli.app",
    "cli.study",
    "study.creating",
    "study.backup",
    "study.readers",
    "study.analysis",
    "study.export.writing",
)


def work(words: list[str], most: int | None) -> None:
    """The command itself; never returns."""
    from bonescint.cli import main

    if most is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    sys.stdin = open(os.devnull)  # noqa: PTH123, SIM115 - as a new process finds it
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    sys.argv = ["bonescint", "study", *words]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:  # noqa: BLE001 - printed as Python does
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stderr.flush()
        finally:
            os._exit(code)


def supervise(job: dict[str, object]) -> None:
    """Run a command, write down what it prints, end with its code; never returns."""
    os.setsid()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        os.close(reading)
        os.close(writing)
        work(job["words"], job["most"])  # type: ignore[arg-type]
    os.close(writing)
    with open(reading, "rb") as told, open(str(job["told"]), "wb") as file:  # noqa: PTH123
        while piece := told.read(65536):
            file.write(piece)
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main() -> None:
    """Answer jobs until there are no more."""
    for module in MODULES:
        import_module(f"bonescint.{module}")
    for line in sys.stdin:
        job = json.loads(line)
        if "wait" in job:
            code = os.waitstatus_to_exitcode(os.waitpid(job["wait"], 0)[1])
            print(code, flush=True)  # noqa: T201
            continue
        number = os.fork()
        if number == 0:
            supervise(job)
        print(number, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
