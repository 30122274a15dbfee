"""Two one-view files are one scan only where something tells it, and never of two patients."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from dicom_files import one_view, save
from pydicom import Dataset

from bonescint.dicom import discover, read_study
from bonescint.dicom.header import Header
from bonescint.dicom.pairing import OneView, StudyFacts, pair, patient_is_known, time_of
from bonescint.scan import View

KNOWN = StudyFacts(patient=("1", "", "", ""), study="1.2")
NOBODY = StudyFacts(patient=("", "", "", ""), study="1.2")
UNSAID = "nothing says that the two belong together, or several files fit"


@dataclass(frozen=True)
class Files:
    """Makes one-view files with names of their own."""

    facts: StudyFacts = KNOWN
    known: bool = True

    def anterior(self, time_s: float | None = None, **facts: object) -> OneView:
        return self._file(View.ANTERIOR, time_s, facts)

    def posterior(self, time_s: float | None = None, **facts: object) -> OneView:
        return self._file(View.POSTERIOR, time_s, facts)

    def unsaid(self, time_s: float | None = None, **facts: object) -> OneView:
        return self._file(None, time_s, facts)

    def _file(self, view: View | None, time_s: float | None, facts: dict[str, object]) -> OneView:
        plain = OneView(
            path=Path(f"folder/IM{next(_NUMBERS):04}x"),
            view=view,
            facts=self.facts,
            shape=(1024, 256),
            series="1",
            time_s=time_s,
            patient_known=self.known,
        )
        return replace(plain, **facts)  # type: ignore[arg-type]


_NUMBERS = itertools.count()
known, unknown = Files(), Files(NOBODY, known=False)


def pairs(*files: OneView) -> set[frozenset[int]]:
    """Places of what was paired, the same in any order of the files."""
    found = {frozenset(item) for item in pair(files).partner.items()}
    for order in itertools.permutations(range(len(files))):
        shuffled = pair([files[place] for place in order]).partner
        assert {frozenset(order[place] for place in item) for item in shuffled.items()} == found
    return found


ONE, BOTH, NONE = {frozenset({0, 1})}, {frozenset({0, 1}), frozenset({2, 3})}, set()


@pytest.mark.parametrize("who", [known, unknown])
@pytest.mark.parametrize(("seconds", "expected"), [(0, ONE), (7, ONE), (60, ONE)])
def test_one_series_at_nearly_one_time(who: Files, seconds: float, expected) -> None:
    assert pairs(who.anterior(9000), who.posterior(9000 + seconds)) == expected


@pytest.mark.parametrize(
    ("who", "minutes", "expected"),
    [(known, 20, ONE), (known, 60, ONE), (known, 61, NONE), (unknown, 1.1, NONE)],
)
def test_one_head_that_scans_the_views_one_after_the_other(who: Files, minutes, expected) -> None:
    assert pairs(who.anterior(9000), who.posterior(9000 + 60 * minutes)) == expected


@pytest.mark.parametrize("late_s", [400, 3 * 3600])
@pytest.mark.parametrize("late_series", ["1", "2"])
def test_early_and_late_images_of_a_study_stay_two_scans(late_s: float, late_series: str) -> None:
    late = [known.anterior(late_s + 9000), known.posterior(late_s + 9009)]
    late = [replace(file, series=late_series) for file in late]
    assert pairs(known.anterior(9000), known.posterior(9007), *late) == BOTH


def test_each_view_in_a_series_of_its_own() -> None:
    apart = known.posterior(9003, series="2")
    assert pairs(known.anterior(9000), apart) == ONE
    assert pairs(known.anterior(9000), replace(apart, time_s=9000 + 1800)) == ONE
    assert pairs(known.anterior(9000), replace(apart, time_s=9000 + 3601)) == NONE


def test_an_unknown_patient_needs_series_or_place_beside_the_study() -> None:
    apart = unknown.posterior(9003, series="2")
    assert pairs(unknown.anterior(9000), apart) == NONE
    here = replace(apart, frame_of_reference="F")
    assert pairs(unknown.anterior(9000, frame_of_reference="F"), here) == ONE
    assert pairs(unknown.anterior(9000, frame_of_reference="G"), here) == NONE
    assert pairs(unknown.anterior(9000, frame_of_reference="G"), replace(here, series="1")) == NONE


def test_without_times_a_known_patient_pairs_with_a_warning() -> None:
    found = pair([known.anterior(), known.posterior(series="2")])
    assert found.partner == {0: 1, 1: 0}
    assert set(found.warnings.values()) == {
        "no times show that its two views were taken together: only the study does"
    }
    found = pair([known.anterior(), known.posterior()])
    assert set(found.warnings.values()) == {
        "no times show that its two views were taken together: only the series does"
    }
    assert pairs(unknown.anterior(), unknown.posterior()) == NONE
    assert pairs(known.anterior(9000), known.posterior()) == NONE


def test_several_candidates_are_not_guessed_among() -> None:
    assert pairs(known.anterior(), known.anterior(), known.posterior()) == NONE
    assert pairs(known.anterior(9000), known.anterior(9001), known.posterior(9002)) == NONE
    named = [replace(known.anterior(), path=Path("a/p1_ant.dcm")), known.anterior()]
    assert pairs(replace(known.posterior(), path=Path("a/p1_post.dcm")), *named) == ONE


def test_two_files_whose_view_nothing_tells_pair_only_in_one_series_at_one_time() -> None:
    assert pairs(known.unsaid(9000), known.unsaid(9000)) == ONE
    assert pairs(known.unsaid(9000), known.unsaid(9001)) == NONE
    assert pairs(known.unsaid(9000), known.unsaid(9000, series="2")) == NONE


@pytest.mark.parametrize(
    ("difference", "said"),
    [
        ({"patient": ("2", "", "", "")}, "they differ in patient"),
        ({"patient": ("", "", "", "")}, "they differ in patient"),
        ({"image_type": "DERIVED\\PRIMARY"}, "they differ in image type"),
        ({"camera": "other"}, "they differ in camera"),
        ({"spacing": (2.3, 2.3)}, "they differ in pixel spacing"),
        ({"pixels": ("2", "0")}, "they differ in what a pixel means"),
        ({"pixels": ("2", "0"), "camera": "x"}, "they differ in camera, what a pixel means"),
    ],
)
def test_facts_that_differ_forbid_a_pair_and_are_said(difference, said: str) -> None:
    other = replace(KNOWN, **difference)
    named = {"path": Path("a/p1_ant.dcm")}, {"path": Path("a/p1_post.dcm"), "facts": other}
    found = pair([known.anterior(9000, **named[0]), known.posterior(9000, **named[1])])
    assert found.partner == {}
    told = f"a file of its study that may be its other view was not used: {said}"
    assert found.warnings == {0: told, 1: told}


def test_time_and_size_forbid_a_pair_and_are_said() -> None:
    late = known.posterior(9000 + 7200, shape=(512, 128), path=Path("a/p1_post.dcm"))
    found = pair([known.anterior(9000, path=Path("a/p1_ant.dcm")), late])
    assert found.partner == {}
    assert found.warnings[0].endswith("they differ in time, by 120 min, size")
    whole = known.anterior(9000, shape=(1000, 100))
    assert pairs(whole, known.posterior(9000, shape=(970, 97))) == ONE  # 3 %
    assert pairs(whole, known.posterior(9000, shape=(969, 97))) == NONE
    assert pairs(whole, known.posterior(9000, shape=(970, 96))) == NONE
    small = known.posterior(9000, shape=(998, 256))
    assert pairs(known.anterior(9000), small) == ONE
    assert pairs(known.anterior(9000), replace(small, shape=(990, 256))) == NONE


def test_a_study_or_a_series_alone_is_no_group() -> None:
    nameless = replace(KNOWN, study="")
    for series in ("", "1"):
        one = known.anterior(9000, facts=nameless, series=series)
        assert pairs(one, known.posterior(9000, facts=nameless, series=series)) == NONE
    one, other = unknown.anterior(9000, series=""), unknown.posterior(9000, series="")
    assert pairs(one, other) == NONE


def test_who_stays_alone_is_told_of_the_other_view_and_of_an_unsaid_one() -> None:
    late = [known.posterior(99_000), known.anterior(199_000), known.anterior(299_000)]
    assert set(pair([known.anterior(9000), *late]).warnings) == {0, 1, 2, 3}
    found = pair([known.anterior(9000), known.unsaid(99_000), known.anterior(199_000)])
    assert set(found.warnings) == {0, 1, 2}
    assert found.warnings[1].endswith("they differ in time, by 1500 min")
    assert set(pair([known.unsaid(9000), known.unsaid(99_000)]).warnings) == {0, 1}
    two = [known.anterior(9000, series="2"), known.anterior(99_000, series="3")]
    assert pair(two).warnings == {}


def test_who_stays_alone_without_need_is_told_nothing() -> None:
    assert pair([known.anterior(9000), known.anterior(9000)]).warnings == {}
    elsewhere = replace(KNOWN, study="9")
    assert pair([known.anterior(9000), known.posterior(9000, facts=elsewhere)]).warnings == {}
    assert pair([]).partner == {}


def test_ten_thousand_files_of_one_number_are_not_compared_each_with_each() -> None:
    count = 10_000
    files = [unknown.anterior(60.0 * 61 * n) for n in range(count)]
    files += [unknown.posterior(60.0 * 61 * n + 5) for n in range(count)]
    compared = 0

    class Watched(tuple):  # type: ignore[type-arg]
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return super().__eq__(other)

        __hash__ = tuple.__hash__

    watched = replace(NOBODY, patient=Watched(NOBODY.patient))
    found = pair([replace(file, facts=watched) for file in files])
    assert len(found.partner) == 2 * count
    assert compared < 10 * len(files)


def header(**values: str) -> Header:
    dataset = Dataset()
    with warnings.catch_warnings():  # pydicom warns of what old files write
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
    return Header(dataset)


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({"AcquisitionDate": "19700101", "AcquisitionTime": "010203"}, 3723.0),
        ({"AcquisitionDate": "19700103", "AcquisitionTime": "0102"}, 2 * 86400 + 3720.0),
        ({"AcquisitionDateTime": "19700102010203.25+0200"}, 86400 + 3723.25),
        ({"StudyDate": "1970.01.02", "AcquisitionTime": "01:02:03"}, 86400 + 3723.0),
        ({"AcquisitionDate": "19711231", "AcquisitionTime": "010203"}, 729 * 86400 + 3723.0),
        ({"AcquisitionTime": "010203"}, 3723.0),
        ({"AcquisitionDate": "19700101", "AcquisitionTime": "000000"}, None),
        ({"AcquisitionDate": "19700101"}, None),
        ({"AcquisitionTime": "2561"}, None),
        ({"StudyTime": "010203"}, None),
    ],
)
def test_times_are_read_as_the_standard_writes_them(values, seconds: float | None) -> None:
    assert time_of(header(**values)) == seconds


@pytest.mark.parametrize(
    ("values", "is_known"),
    [
        ({"PatientID": "7712045"}, True),
        ({"PatientID": "0"}, False),
        ({"PatientID": "Anonymous^"}, False),
        ({}, False),
        ({"PatientName": "DOE^ANNA"}, False),
        ({"PatientName": "DOE^ANNA", "PatientBirthDate": "19500101"}, True),
        ({"PatientName": "ANON", "PatientBirthDate": "19500101"}, False),
    ],
)
def test_placeholders_are_nobody(values, is_known: bool) -> None:
    assert patient_is_known(header(**values)) is is_known


def test_two_patients_in_one_study_without_numbers_stay_apart(
    anterior, posterior, tmp_path: Path
) -> None:
    """Case C of the issue: an anonymiser left the study's number and nothing else."""
    for name, image, angle in (("a", anterior, "180"), ("b", posterior, "0")):
        dataset = one_view(image, 1, series=(name == "a" and "1") or "2", angle=angle)
        dataset.PatientID = dataset.PatientName = dataset.PatientBirthDate = ""
        dataset.PatientSex = dataset.AcquisitionTime = dataset.AcquisitionDate = ""
        save(dataset, tmp_path / f"{name}.dcm")
    found = discover([tmp_path])
    assert [len(study.files) for study in found.studies] == [1, 1]
    scan = read_study(found.studies[0])
    assert scan.missing_views == (View.POSTERIOR,)
    assert scan.warnings == (
        f"a file of its study that may be its other view was not used: {UNSAID}",
    )


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PatientName", "DOE^JOHN"), ("PatientBirthDate", "19300101"), ("PatientSex", "M")],
)
def test_another_person_under_one_number_is_another_patient(
    anterior, posterior, tmp_path: Path, keyword: str, value: str
) -> None:
    save(one_view(anterior, 1, angle="180"), tmp_path / "p_ant.dcm")
    other = one_view(posterior, 2, angle="0")
    setattr(other, keyword, value)
    save(other, tmp_path / "p_post.dcm")
    found = discover([tmp_path])
    assert [len(study.files) for study in found.studies] == [1, 1]
    assert all("they differ in patient" in study.warnings[0] for study in found.studies)


def test_a_name_written_in_two_ways_is_one_patient(anterior, posterior, tmp_path: Path) -> None:
    save(one_view(anterior, 1, angle="180"), tmp_path / "1.dcm")
    other = one_view(posterior, 2, angle="0", time="101119")
    other.PatientName = "Kowalska Anna"
    save(other, tmp_path / "2.dcm")
    (study,) = discover([tmp_path]).studies
    assert len(study.files) == 2
    assert study.warnings == ()
