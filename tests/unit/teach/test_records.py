"""No answered case is lost, whatever happens; learners do not see each other's records."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.teaching import answered, mark, small_case, spot

from bonescint.scan import UptakeSite
from bonescint.teach.answers import grade
from bonescint.teach.cases import CaseSpec
from bonescint.teach.outcomes import FalseMark, FindingOutcome, LesionOutcome, Outcome
from bonescint.teach.records import Records, RecordsError, Trainee

SPEC = CaseSpec(seed=1, course="joints")
CASE = small_case(
    [
        spot(UptakeSite.METASTASIS, 50, 20),
        spot(UptakeSite.METASTASIS, 120, 60, contrast=2.0),
        spot(UptakeSite.RIB_FRACTURE, 90, 40),
        spot(UptakeSite.RIB_FRACTURE, 95, 40, contrast=2.0),
        spot(UptakeSite.HIP, 150, 40, contrast_to_noise=2.0),
    ],
    "a",
)
ANSWER = answered(
    mark(50, 20, confidence=70), mark(90, 40, confidence=55), mark(190, 5, confidence=30)
)


def _with_case(records: Records, name: str = "N1", case_id: str = "a", number: int = 0) -> Trainee:
    trainee = records.trainee(name, now_s=1000.0)
    records.issue(trainee, "joints", number, case_id=case_id, spec=SPEC, now_s=1001.0)
    return trainee


def test_an_answer_is_there_after_the_file_was_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "progress.sqlite"
    feedback = grade(CASE, ANSWER)
    with Records(path) as records:
        trainee = _with_case(records)
        assert [one.case_id for one in records.waiting(trainee, "joints")] == ["a"]
        assert records.feedback(trainee, "a") is None
        records.store_model(trainee, "a", 0.25)
        records.store_answer(trainee, feedback, now_s=1060.0)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Records(path) as records:
        (again,) = records.trainees()
        assert again == trainee
        assert records.waiting(again, "joints") == ()
        assert records.feedback(again, "a") == feedback
        (found,) = records.answered(again)
    assert (found.answered_s, found.issued.spec, found.issued.model_probability) == (
        1060.0,
        SPEC,
        0.25,
    )


def test_the_outcome_says_what_was_found_missed_and_mistaken() -> None:
    assert Outcome.of(grade(CASE, ANSWER)) == Outcome(
        positive=True,
        called=True,
        confidence=90,
        seconds=10,
        lesions=(
            LesionOutcome(bone="ribs", contrast_to_noise=20.0, confidence=70),
            LesionOutcome(bone="ribs", contrast_to_noise=20.0, confidence=None),
        ),
        findings=(FindingOutcome(site=UptakeSite.RIB_FRACTURE, mistaken=True, named=None),),
        false_marks=(
            FalseMark(site=UptakeSite.RIB_FRACTURE, confidence=55),
            FalseMark(site=None, confidence=30),
        ),
    )


def test_the_same_answer_twice_is_one_and_another_is_refused(tmp_path: Path) -> None:
    with Records(tmp_path / "p.sqlite") as records:
        trainee = _with_case(records)
        for _ in range(2):
            records.store_answer(trainee, grade(CASE, ANSWER), now_s=1.0)
        assert len(records.answered(trainee)) == 1
        with pytest.raises(RecordsError, match="final"):
            records.store_answer(trainee, grade(CASE, answered(positive=False)), now_s=2.0)
        assert records.feedback(trainee, "a") == grade(CASE, ANSWER)


def test_a_case_that_was_never_issued_cannot_be_answered(tmp_path: Path) -> None:
    with Records(tmp_path / "p.sqlite") as records:
        _with_case(records, "N1")
        stranger = records.trainee("N2", now_s=0.0)
        assert records.find(stranger, "a") is None
        with pytest.raises(RecordsError, match="no such case"):
            records.store_answer(stranger, grade(CASE, ANSWER), now_s=1.0)


def test_two_learners_may_get_the_same_case_and_a_place_has_one(tmp_path: Path) -> None:
    with Records(tmp_path / "p.sqlite") as records:
        first, second = _with_case(records, "N1"), _with_case(records, "N2")
        other = CaseSpec(seed=2)
        kept = records.issue(first, "joints", 0, case_id="b", spec=other, now_s=9.0)
        assert (kept.case_id, kept.spec) == ("a", SPEC)
        records.store_answer(first, grade(CASE, ANSWER), now_s=1.0)
        assert len(records.waiting(second, "joints")) == 1
        assert records.answered(second) == ()
        assert records.feedback(second, "a") is None
        secret = records.setting("secret", "x")
        assert records.setting("secret", "y") == secret == "x"


def test_a_newer_file_and_no_database_are_refused(tmp_path: Path) -> None:
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(RecordsError, match="newer release"):
        Records(newer)
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"no database at all" * 100)
    with pytest.raises(RecordsError, match="cannot be used"):
        Records(other)


_WRITERS = """
import os, sys
from pathlib import Path
from tests.support.teaching import answered, mark, small_case, spot
from bonescint.scan import UptakeSite
from bonescint.teach.answers import grade
from bonescint.teach.cases import CaseSpec
from bonescint.teach.records import Records

def write():
    spots = [spot(UptakeSite.METASTASIS, 50, 20)]
    with Records(Path(sys.argv[1])) as records:
        trainee = records.trainee("N1", now_s=0.0)
        begun = len(records.answered(trainee))
        print("begun", os.getpid(), flush=True)
        for number in range(begun, 100_000):
            name = f"case-{number}"
            spec = CaseSpec(seed=number)
            records.issue(trainee, "joints", number, case_id=name, spec=spec, now_s=number)
            feedback = grade(small_case(spots, name), answered(mark(50, 20)))
            records.store_answer(trainee, feedback, now_s=number)
            print("stored", name, flush=True)

for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        write()
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def _killed(path: Path, times: int) -> None:
    """Kill a process that answers as fast as it can; each is a fork, so that it starts at once."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    acknowledged: set[str] = set()
    with subprocess.Popen(
        [sys.executable, "-c", _WRITERS, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment,
    ) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        for round_ in range(times):
            writers.stdin.write("next\n")
            _, number = writers.stdout.readline().split()
            if round_ % 2:  # after the first answer, else before or during it
                acknowledged.add(writers.stdout.readline().split()[1])
            time.sleep(0.013 * (round_ % 17))  # at another moment of the work each time
            os.kill(int(number), signal.SIGKILL)
            for line in iter(writers.stdout.readline, ""):
                if line == "ended\n":
                    break
                acknowledged.add(line.split()[1])
            with Records(path) as records:
                trainee = records.trainee("N1", now_s=0.0)
                cases = records.answered(trainee)
                stored = {one.issued.case_id for one in cases}
                assert acknowledged <= stored  # a line is one write to the pipe: none is cut off
                assert [one.issued.number for one in cases] == list(range(len(cases)))
    assert all(_have_feedback(path))
    assert len(acknowledged) >= times // 2


def _have_feedback(path: Path) -> list[bool]:
    """Whether each stored answer has its feedback."""
    with Records(path) as records:
        trainee = records.trainee("N1", now_s=0.0)
        return [
            records.feedback(trainee, one.issued.case_id) is not None
            for one in records.answered(trainee)
        ]


def test_killed_at_any_moment_no_acknowledged_answer_is_lost(tmp_path: Path) -> None:
    _killed(tmp_path / "p.sqlite", 5)


@pytest.mark.slow
def test_killed_a_hundred_times_no_acknowledged_answer_is_lost(tmp_path: Path) -> None:
    _killed(tmp_path / "p.sqlite", 100)
