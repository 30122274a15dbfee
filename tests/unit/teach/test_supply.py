"""Cases are made ahead by workers, are the same again after a restart, and never run out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from tests.support.teaching import answered, mark, small_case, spot

from bonescint.cohort import write_manifest
from bonescint.dicom import write_nm
from bonescint.scan import Case, Focus, InputError, ParameterError, Split, UptakeSite, View
from bonescint.teach.answers import CaseAnswer, grade
from bonescint.teach.case_files import first_case, first_specs, read_case, write_case
from bonescint.teach.cases import CaseSpec, TeachingCase, simulate_case
from bonescint.teach.courses import Course, read_course, read_courses
from bonescint.teach.outcomes import Outcome
from bonescint.teach.records import AnsweredCase, IssuedCase, Records, Trainee
from bonescint.teach.supply import AHEAD, COHORT, CaseSupply, course_done


@pytest.fixture(scope="module")
def short() -> Course:
    """A course of three cases that no case of the package belongs to."""
    course = read_course("solitary-lesions")
    completion = replace(course.completion, of_last=3, right=0.0)
    return replace(course, name="short", cases=3, completion=completion)


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    with Records(tmp_path / "p.sqlite") as opened:
        yield opened


def _supply(records: Records, short: Course, seed: int = 11) -> CaseSupply:
    return CaseSupply(
        records, {"short": short}, seed=seed, workers=1, clock=iter(range(1000, 9999)).__next__
    )


@pytest.fixture(scope="module")
def running(
    short: Course, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[CaseSupply, Records]]:
    """One supply for several tests: its worker takes seconds to be ready."""
    path = tmp_path_factory.mktemp("records") / "p.sqlite"
    with Records(path) as records, _supply(records, short) as supply:
        yield supply, records


def _answer(supply: CaseSupply, records: Records, trainee: Trainee, case: TeachingCase) -> None:
    answer = CaseAnswer(positive=case.truth.positive, confidence=80, seconds=5)
    records.store_answer(trainee, grade(case, answer), now_s=1000.0)
    supply.answered(trainee, "short")


def test_a_course_from_its_first_case_to_its_end(records: Records, short: Course) -> None:
    trainee = records.trainee("N1", now_s=0.0)
    with _supply(records, short) as supply:
        seen = []
        while (issued := supply.issued(trainee, "short")) is not None:
            case = supply.wait(issued)
            assert case.case_id == issued.case_id == case.scan.scan_id
            assert len(records.waiting(trainee, "short")) == AHEAD + 1
            seen.append(case)
            _answer(supply, records, trainee, case)
        assert [one.issued.number for one in supply.history(trainee)] == [0, 1, 2]
        assert supply.state(trainee).cards
    expected = simulate_case(seen[1].spec, "again")
    assert np.array_equal(expected.scan.anterior, seen[1].scan.anterior)
    assert expected.truth.foci == seen[1].truth.foci
    folder = records.path.with_suffix(".ahead")
    assert folder.stat().st_mode & 0o077 == 0
    assert not {case.case_id for case in seen} & {file.stem for file in folder.iterdir()}


def test_a_restart_finds_what_was_made_and_the_same_seed_the_same_cases(
    tmp_path: Path, short: Course
) -> None:
    specs = []
    for name in ("a", "b"):
        with Records(tmp_path / f"{name}.sqlite") as records:
            trainee = records.trainee("N1", now_s=0.0)
            with _supply(records, short) as supply:
                first = supply.issued(trainee, "short")
                assert first is not None
                if name == "a":
                    supply.wait(first)
                specs.append([one.spec for one in records.waiting(trainee, "short")])
            with _supply(records, short) as supply:
                again = supply.issued(trainee, "short")
                assert again == first
                # Of "a" from its file, at once.
                assert (supply.made(again) is not None) == (name == "a")
    assert specs[0] == specs[1]


def test_names_of_cases_differ_between_records_and_do_not_follow_from_the_seed(
    tmp_path: Path, short: Course
) -> None:
    names = set()
    for name in ("a", "b"):
        with Records(tmp_path / f"{name}.sqlite") as records:
            trainee = records.trainee("N1", now_s=0.0)
            with _supply(records, short) as supply:
                supply.issued(trainee, "short")
                names |= {one.case_id for one in records.waiting(trainee, "short")}
    assert len(names) == 2 * (AHEAD + 1)


def test_a_damaged_file_is_made_again(running: tuple[CaseSupply, Records]) -> None:
    supply, records = running
    issued = supply.issued(records.trainee("N1", now_s=0.0), "short")
    assert issued is not None
    case = supply.wait(issued)
    file = records.path.with_suffix(".ahead") / f"{issued.case_id}.npz"
    file.write_bytes(file.read_bytes()[:1000])
    again = supply.wait(issued)
    assert np.array_equal(again.scan.posterior, case.scan.posterior)


def test_a_case_that_cannot_be_made_says_why(running: tuple[CaseSupply, Records]) -> None:
    supply, records = running
    trainee = records.trainee("N2", now_s=0.0)
    spec = CaseSpec(seed=1, camera="no such camera")
    wrong = records.issue(trainee, "test-1", 0, case_id="w", spec=spec, now_s=0.0)
    supply.prepare(wrong)
    with pytest.raises(ParameterError, match="camera"):
        supply.wait(wrong)
    with pytest.raises(ParameterError, match="course"):
        supply.issued(trainee, "unknown")


def test_a_worker_that_is_killed_costs_time_and_no_case(
    running: tuple[CaseSupply, Records],
) -> None:
    supply, records = running
    issued = supply.issued(records.trainee("N3", now_s=0.0), "short")
    assert issued is not None
    for process in list(supply._pool._processes):
        os.kill(process.pid, signal.SIGKILL)
    assert supply.wait(issued).case_id == issued.case_id


def test_a_course_is_done_when_enough_of_the_last_are_right(short: Course) -> None:
    strict = replace(short, completion=replace(short.completion, right=0.6))

    def history(*right: bool) -> list[AnsweredCase]:
        return [
            AnsweredCase(
                issued=IssuedCase(case_id=str(n), course="short", number=n, spec=CaseSpec(seed=n)),
                answered_s=0.0,
                outcome=Outcome(positive=True, called=one, confidence=50, seconds=1),
            )
            for n, one in enumerate(right)
        ]

    assert not course_done(strict, history(True, True))
    assert course_done(strict, history(True, False, True))
    assert not course_done(strict, history(True, False, False))
    assert course_done(strict, history(False, False, False, True, True))
    assert course_done(short, history(False, False, False))
    assert not course_done(replace(short, name="other"), history(True, True, True))


def test_a_case_survives_its_file(tmp_path: Path) -> None:
    case = small_case([spot(UptakeSite.METASTASIS, 50, 20), spot(UptakeSite.HIP, 90, 40)])
    write_case(case, tmp_path / "c.npz")
    again = read_case(tmp_path / "c.npz", "other")
    assert again.case_id == again.scan.scan_id == "other"
    assert (again.truth.foci, again.areas, again.bones, again.spec) == (
        case.truth.foci,
        case.areas,
        case.bones,
        case.spec,
    )
    for view in View:
        assert np.array_equal(again.scan.view(view), case.scan.view(view))
        assert np.array_equal(again.truth.masks[view], case.truth.masks[view])
    assert again.scan.acquisition == case.scan.acquisition
    answer = answered(mark(50, 20))
    assert grade(again, answer).spots == grade(case, answer).spots
    (tmp_path / "d.npz").write_bytes(b"no case")
    with pytest.raises(InputError):
        read_case(tmp_path / "d.npz", "x")


def _cohort_of(folder: Path, names: str, *, seed: int = 4) -> Path:
    """A cohort of one simulated scan under several names."""
    scan = simulate_case(CaseSpec(seed=seed), "s").scan
    folder.mkdir(exist_ok=True)
    cases = []
    for name in names:
        write_nm(scan, folder / f"{name}.dcm")
        case = Case(
            scan_id=name,
            patient_id=name,
            centre="A",
            split=Split.TEST,
            positive=False,
            file=f"{name}.dcm",
        )
        cases.append(case)
    write_manifest(cases, folder / "manifest.csv")
    return folder / "manifest.csv"


def test_answers_to_one_cohort_are_not_taken_for_those_to_another(
    tmp_path: Path, records: Records
) -> None:
    first = _cohort_of(tmp_path / "a", "abc")
    for _ in range(2):  # and again after a restart
        CaseSupply(records, {}, cohort=first, workers=1).close()
    pixels, names = (_cohort_of(tmp_path / "b", "abc", seed=5), _cohort_of(tmp_path / "c", "ab"))
    for other in (pixels, names):
        with pytest.raises(InputError, match=r"p\.sqlite.*another cohort.*--progress"):
            CaseSupply(records, {}, cohort=other, workers=1)


def test_a_cohort_is_read_through_before_a_scan_comes_again(
    tmp_path: Path, records: Records
) -> None:
    manifest = _cohort_of(tmp_path, "abc")
    trainee = records.trainee("N1", now_s=0.0)
    order = []
    with CaseSupply(records, {}, seed=3, cohort=manifest, workers=1) as supply:
        assert supply.courses == (COHORT,)
        folder = supply._folder
        for _ in range(6):
            issued = supply.issued(trainee, COHORT)
            assert issued is not None
            order.append(issued.spec.scan_id)
            case = supply.wait(issued)
            assert case.scan.scan_id == issued.case_id
            answer = CaseAnswer(positive=False, confidence=10, seconds=5)
            records.store_answer(trainee, grade(case, answer), now_s=1.0)
            supply.answered(trainee, COHORT)
    assert set(order[:3]) == set(order[3:]) == set("abc")
    assert not folder.exists()  # no picture of a patient stays behind


def require_same_foci(foci: Sequence[Focus], others: Sequence[Focus]) -> None:
    """The same but for rounding, which differs between processors."""
    for one, other in zip(foci, others, strict=True):
        for name, value in asdict(one).items():
            wanted = getattr(other, name)
            near = pytest.approx(wanted, rel=1e-6) if isinstance(wanted, float) else wanted
            assert value == near, name


def test_the_first_cases_of_the_package_are_what_the_simulator_makes() -> None:
    first, *others = read_courses()
    specs = first_specs(first.name)
    assert sorted(spec.positive for spec in specs) == [False, False, True, True]
    packaged, made = first_case(specs[0], "a"), simulate_case(specs[0], "a")
    assert packaged is not None
    assert np.array_equal(packaged.scan.anterior, made.scan.anterior)
    require_same_foci(packaged.truth.foci, made.truth.foci)
    assert first_case(CaseSpec(seed=1), "a") is None
    for course in others:
        (spec,) = first_specs(course.name)
        case = first_case(spec, "b")
        assert case is not None
        assert case.truth.positive == spec.positive


def test_a_course_in_the_place_of_a_packaged_one_does_not_begin_with_its_case(
    tmp_path: Path,
) -> None:
    packaged = read_course("rib-fractures")
    own = replace(packaged, prevalence=0.0, mimics={}, lesions={})
    begins = []
    for number, course in enumerate((packaged, own)):
        with Records(tmp_path / f"{number}.sqlite") as records:
            with CaseSupply(records, {course.name: course}, workers=1) as supply:
                issued = supply.issued(records.trainee("N1", now_s=0.0), course.name)
            assert issued is not None
            begins.append(issued.spec in first_specs(course.name))
    assert begins == [True, False]


@pytest.mark.slow
@pytest.mark.parametrize("course", read_courses(), ids=lambda course: course.name)
def test_every_case_of_the_package_is_what_the_simulator_makes(course: Course) -> None:
    for spec in first_specs(course.name):
        packaged, made = first_case(spec, "a"), simulate_case(spec, "a")
        assert packaged is not None
        assert np.array_equal(packaged.scan.anterior, made.scan.anterior)
        assert np.array_equal(packaged.scan.posterior, made.scan.posterior)
        require_same_foci(packaged.truth.foci, made.truth.foci)


def test_a_new_learner_gets_a_first_case_without_a_wait(records: Records) -> None:
    course = read_courses()[0]
    trainee = records.trainee("N1", now_s=0.0)
    with CaseSupply(records, {course.name: course}, workers=1) as supply:
        issued = supply.issued(trainee, course.name)
        assert issued is not None
        case = supply.made(issued)  # no worker can have finished, nor been asked
        assert case is not None
        assert issued.case_id not in supply._making
