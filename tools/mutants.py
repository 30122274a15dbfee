"""Changes modules at random and tells which changes their own tests do not notice.

    python tools/mutants.py                              all modules of tools/mutants.toml
    python tools/mutants.py evaluate/roc files           these only
    python tools/mutants.py --survivors evaluate/roc     again, only what survived the last time

Cosmic Ray makes the changes (mutants): in a copy of the working tree, never in the tree itself.
Each is tested in a process that is forked from this one, which has loaded the libraries already,
so that a mutant costs its tests and not the imports.
Of every module a sample is drawn, the same for the same text and seed: places first, then one
change at each, so that no kind of expression counts more because it can be changed in more
ways. A run that was interrupted goes on. What cannot matter is not drawn: annotations (they
are not evaluated), the flags of `@dataclass`, `strict=` of `zip`, stars that are no products,
`==` against `is`; and what any test would notice: a missing decorator, bit operators in place of
arithmetic, what does not compile.

`tools/mutants.toml` names the modules, their tests, and the mutants that change nothing
(equivalent ones), each with its reason; those count neither as noticed nor as unnoticed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import hashlib
import importlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cosmic_ray.commands import init
from cosmic_ray.mutating import MutationVisitor, use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkItem, WorkResult

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
SEED = 1
COUNT = 25
ARITHMETIC = {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"}
IDENTITY = {"Is", "IsNot"}
LIBRARIES = ("hypothesis", "numpy", "PIL.Image", "pydicom", "scipy.ndimage", "scipy.stats",
             "sklearn.metrics", "sqlalchemy", "statsmodels.api", "typer")  # fmt: skip
OPTIONS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-n", "0",
           "-W", "ignore::pytest.PytestAssertRewriteWarning")  # fmt: skip

Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module to change, with the tests that must notice."""

    name: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Of its source, in the tree."""
        return Path("src/bonescint") / f"{self.name}.py"

    @property
    def session(self) -> Path:
        """Where Cosmic Ray keeps what was drawn and what came of it."""
        drawn = f"{SEED} {COUNT}\n{(TREE / self.path).read_text(encoding='utf-8')}"
        return WORK / f"{self.name.replace('/', '-')}-{_digest(drawn)}.sqlite"


def main() -> int:
    """Run what was asked for; the exit status says whether every module is noticed enough."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("modules", nargs="*", help="such as evaluate/roc; all if none is named")
    parser.add_argument("--survivors", action="store_true", help="only what survived before")
    asked = parser.parse_args()
    listed = tomllib.loads((ROOT / "tools" / "mutants.toml").read_text(encoding="utf-8"))
    modules = {name: Module(name=name, tests=tests) for name, tests in _tests(listed["modules"])}
    if unknown := set(asked.modules) - set(modules):
        parser.error(f"tools/mutants.toml does not name {', '.join(sorted(unknown))}")
    _copy_tree()
    os.chdir(TREE)
    # The copy's own package, and nothing written outside it.
    os.environ |= {"PYTHONPATH": str(TREE / "src"), "TMPDIR": str(_made(WORK / "tmp"))}
    sys.path.insert(0, str(TREE / "src"))
    for library in LIBRARIES:
        importlib.import_module(library)
    equivalent = {
        (one["module"], _squeezed(one["before"]), _squeezed(one["after"]))
        for one in listed.get("equivalent", [])
    }
    rows, survivors = [], []
    for name in asked.modules or list(modules):
        _run(modules[name], survivors_only=asked.survivors)
        noticed, left, named = _outcome(modules[name], equivalent)
        rows.append((name, noticed, len(left), named))
        survivors += left
        print(_line(*rows[-1]), flush=True)
    report = "\n".join([*_table(rows), "", *survivors])
    (WORK / "report.md").write_text(report + "\n", encoding="utf-8")
    print(f"\n{report}\n\nwritten to {WORK / 'report.md'}")
    return 0 if all(_score(noticed, left) >= 90 for _, noticed, left, _ in rows) else 1


def _tests(modules: dict[str, list[str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each module's tests: the file that mirrors it, those named, and its own examples."""
    for name, more in modules.items():
        package, _, stem = name.rpartition("/")
        mirror = Path("tests/unit") / package / f"test_{stem}.py"
        own = [str(mirror)] if (ROOT / mirror).exists() else []
        yield name, (*own, *more, f"src/bonescint/{name}.py")


def _copy_tree() -> None:
    """Copy what git knows, and what it would be asked to know."""
    shutil.rmtree(TREE, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            shutil.copy2(ROOT / name, _made((TREE / name).parent) / Path(name).name)


def _run(module: Module, *, survivors_only: bool) -> None:
    """Draw a sample if there is none for this text, and run what has no result yet."""
    began = _processor_s()
    if not _passes(module, limit_s=3600, changed=False):
        said = (WORK / "output.txt").read_text(encoding="utf-8", errors="replace")
        raise SystemExit(f"{module.name}: its tests fail before anything is changed\n{said}")
    limit_s = 30 + 4 * (_processor_s() - began)
    # What was compiled by that run is loaded by the others, all but the module to be changed.
    for compiled in module.path.parent.glob(f"__pycache__/{module.path.stem}.*"):
        compiled.unlink()
    tests = module.session.with_suffix(".tests")
    now = _digest("".join(_read(Path(one)) for one in module.tests))
    with use_db(module.session, WorkDB.Mode.create) as session:
        if not session.num_work_items:
            init([module.path], session, {})
            _keep(session, _sample(session.work_items, _read(module.path)))
        elif survivors_only:
            _forget(session, noticed_too=False)
        elif not tests.exists() or tests.read_text() != now:
            _forget(session, noticed_too=True)
        tests.write_text(now)
        for item in sorted(session.pending_work_items, key=_key):
            session.set_result(item.job_id, _tried(module, item, limit_s))


def _tried(module: Module, item: WorkItem, limit_s: float) -> WorkResult:
    """Make one change, run the tests, take the change back."""
    (change,) = item.mutations
    operator = get_operator(change.operator_name)(**change.operator_args)
    with use_mutation(module.path, operator, change.occurrence) as (before, after):
        if after is None:
            return WorkResult(worker_outcome=WorkerOutcome.NO_TEST)
        survived = _passes(module, limit_s=limit_s, changed=True)
    files = f"a/{module.path}", f"b/{module.path}"
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *files, lineterm="")
    return WorkResult(
        worker_outcome=WorkerOutcome.NORMAL,
        test_outcome=TestOutcome.SURVIVED if survived else TestOutcome.KILLED,
        diff="\n".join(lines),
    )


def _passes(module: Module, *, limit_s: float, changed: bool) -> bool:
    """Run the tests in a forked process; too long is not passed.

    Time is the processor's, so that other work on the machine makes no test fail; a test that only
    waits has ten times as long.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (int(limit_s), int(limit_s)))
            if changed:
                sys.dont_write_bytecode = True
                os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
            with (WORK / "output.txt").open("wb") as output:
                for stream in (1, 2):
                    os.dup2(output.fileno(), stream)
            status = int(pytest.main([*OPTIONS, *module.tests]))
        finally:
            os._exit(status)
    ends = time.monotonic() + 10 * limit_s
    while time.monotonic() < ends:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _processor_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _sample(items: tuple[WorkItem, ...], source: str) -> list[WorkItem]:
    """One change at each of `COUNT` places, the same whenever the source is the same."""
    ignored = list(_ignored(ast.parse(source)))
    lines = source.splitlines()
    places: dict[Place, list[WorkItem]] = {}
    for item in sorted(items, key=_key):
        row, column = at = item.mutations[0].start_pos
        alone = lines[row - 1][column : column + 2] in ("*,", "/,")  # of a signature
        kept = not alone and not any(a <= at < b for a, b in ignored)
        if kept and _telling(item.mutations[0].operator_name):
            places.setdefault(at, []).append(item)
    drawn = random.Random(SEED)  # noqa: S311 nothing secret
    chosen = drawn.sample(sorted(places), min(COUNT, len(places)))
    return [
        drawn.choice([one for one in places[place] if _compiles(one, source)]) for place in chosen
    ]


def _compiles(item: WorkItem, source: str) -> bool:
    (change,) = item.mutations
    operator = get_operator(change.operator_name)(**change.operator_args)
    changed = MutationVisitor.mutate_code(source, operator, change.occurrence)
    try:
        compile(changed or "", item.job_id, "exec")
    except SyntaxError:
        return False
    return True


def _key(item: WorkItem) -> tuple[Place, str, int]:
    (change,) = item.mutations
    return change.start_pos, change.operator_name, change.occurrence


def _telling(operator: str) -> bool:
    """Whether a change of this kind can escape a good test, or be noticed by any."""
    kind, *between = operator.removeprefix("core/").split("_")
    if kind == "RemoveDecorator":
        return False
    if kind == "ReplaceBinaryOperator":
        return between[0] not in ARITHMETIC or between[1] in ARITHMETIC
    if kind == "ReplaceComparisonOperator":
        return len(IDENTITY & set(between)) != 1
    return True


def _ignored(tree: ast.Module) -> Iterator[tuple[Place, Place]]:
    """Stretches of the source whose changes change nothing."""
    for node in ast.walk(tree):
        found: list[ast.expr | None] = []
        if isinstance(node, ast.Starred):
            yield (node.lineno, node.col_offset), (node.lineno, node.col_offset + 1)
        if isinstance(node, ast.arg | ast.AnnAssign):
            found = [node.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found = [node.returns]
        elif isinstance(node, ast.ClassDef):
            calls = [one for one in node.decorator_list if isinstance(one, ast.Call)]
            found = [word.value for one in calls for word in one.keywords]
        elif isinstance(node, ast.Call):
            found = [word.value for word in node.keywords if word.arg == "strict"]
        for one in filter(None, found):
            end = (one.end_lineno or one.lineno, one.end_col_offset or one.col_offset)
            yield (one.lineno, one.col_offset), end


def _keep(session: WorkDB, items: list[WorkItem]) -> None:
    session.clear()
    session.add_work_items(items)


def _forget(session: WorkDB, *, noticed_too: bool) -> None:
    """Forget what came of earlier runs: of the survivors, or of all."""
    items, done = list(session.work_items), session.completed_work_items
    _keep(session, items)
    for item, result in done:
        if not noticed_too and result.test_outcome != TestOutcome.SURVIVED:
            session.set_result(item.job_id, result)


def _outcome(module: Module, equivalent: set[tuple[str, str, str]]) -> tuple[int, list[str], int]:
    """How many were noticed, the differences of those that were not, how many change nothing."""
    noticed, named, left = 0, 0, []
    with use_db(module.session, WorkDB.Mode.open) as session:
        for _, result in sorted(session.completed_work_items, key=lambda one: _key(one[0])):
            if result.is_killed:
                noticed += 1
                continue
            lines = (result.diff or "").splitlines()
            before, after = (
                " ".join(line[1:] for line in lines if line[:1] == sign and line[:3] != sign * 3)
                for sign in "-+"
            )
            if (module.name, _squeezed(before), _squeezed(after)) in equivalent:
                named += 1
            else:
                left.append("\n".join(["```diff", *lines, "```"]))
    return noticed, left, named


def _table(rows: list[tuple[str, int, int, int]]) -> list[str]:
    head = ["| module | noticed | not | equivalent | score |", "|---|---|---|---|---|"]
    total = tuple(sum(row[column] for row in rows) for column in (1, 2, 3))
    return [*head, *(_line(*row) for row in rows), _line("all", *total)]


def _line(name: str, noticed: int, left: int, named: int) -> str:
    return f"| {name} | {noticed} | {left} | {named} | {_score(noticed, left):.0f} % |"


def _score(noticed: int, left: int) -> float:
    return 100 * noticed / (noticed + left) if noticed + left else 100.0


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _read(path: Path) -> str:
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return "".join(file.read_text(encoding="utf-8") for file in files)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


if __name__ == "__main__":
    sys.exit(main())
