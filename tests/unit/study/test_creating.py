from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bonescint.cohort import read_manifest, read_truth, write_manifest
from bonescint.cohort.truth import write_mask
from bonescint.scan import InputError, OutputError, ParameterError, Split, View
from bonescint.study import (
    Reader,
    SecondSession,
    StudyError,
    StudyFolder,
    StudyOptions,
    create_study,
    open_study,
)
from bonescint.study.export.collecting import collect
from bonescint.study.folder import opaque_token
from bonescint.study.readers import read_readers
from bonescint.study.sampling import draw_sample, numbering, reading_order
from bonescint.study.store.tables import Assignment, ReadingSession, StudyCase
from bonescint.viewer import unpacked


def test_a_balanced_sample_is_balanced_and_the_same_again(cohort: Path) -> None:
    manifest = read_manifest(cohort)
    first, again, other = (
        draw_sample(manifest, count=6, balanced=True, seed=seed) for seed in (3, 3, 4)
    )
    assert first == again != other
    assert sum(case.positive for case in first.reading) == 3
    patients = [case.patient_id for case in (*first.reading, *first.training)]
    assert len(set(patients)) == 8
    assert [case.positive for case in first.training] == [True, False]


def test_a_sample_takes_one_scan_a_patient(cohort: Path) -> None:
    manifest = read_manifest(cohort)
    twins = [replace(c, scan_id=f"{c.scan_id}-2") for c in manifest.cases]
    doubled = replace(manifest, cases=(*manifest.cases, *twins))
    sample = draw_sample(doubled, count=10, training=0, seed=1)
    assert len({case.patient_id for case in sample.reading}) == 10


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"count": 40}, "40 patients are wanted, split test has 12"),
        ({"count": 14, "balanced": True}, "7 patients without disease are wanted"),
        ({"count": 12}, "2 training cases of other patients are wanted, 0 are left"),
        ({"count": 2, "split": Split.TRAIN}, "split train has 0"),
    ],
)
def test_a_cohort_that_is_too_small_says_so(
    cohort: Path, wanted: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        draw_sample(read_manifest(cohort), **wanted)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="even"):
        draw_sample(read_manifest(cohort), count=5, balanced=True)


def test_orders_differ_by_reader_and_session_and_are_permutations() -> None:
    orders = [reading_order(7, reader, session, 50) for reader in "ab" for session in (1, 2)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert len({tuple(order) for order in orders}) == 4
    # No place favours a case: the mean place of each over many readers is the middle.
    places = np.mean([np.argsort(reading_order(7, f"r{n}", 1, 20)) for n in range(2000)], axis=0)
    assert np.abs(places - 9.5).max() < 5 * np.sqrt((20**2 - 1) / 12 / 2000)


def test_the_permutation_is_stored(study: StudyFolder) -> None:
    with study.open_store() as store, store.reading() as db:
        for session in db.query(ReadingSession):
            rows = db.query(Assignment).filter_by(session_id=session.id).order_by("position").all()
            cases = [db.get_one(StudyCase, row.case_id) for row in rows]
            assert [row.position for row in rows] == list(range(8))
            assert [case.training for case in cases] == [True, True] + [False] * 6


def test_pictures_are_the_scans_pixels_under_opaque_names(study: StudyFolder, cohort: Path) -> None:
    import gzip

    from bonescint.dicom import read

    manifest = read_manifest(cohort)
    by_token = {opaque_token(study.secret(), c.scan_id): c for c in manifest.cases}
    with study.open_store() as store, store.reading() as db:
        cases = db.query(StudyCase).all()
    assert len(cases) == 8
    for case in cases:
        scan = read(manifest.path(by_token[case.token]))
        content = gzip.decompress(study.image_file(case.token).read_bytes())
        views = unpacked(content, case.picture)
        np.testing.assert_array_equal(views[View.ANTERIOR], scan.anterior)
        np.testing.assert_array_equal(views[View.POSTERIOR], scan.posterior)
    assert {file.name.split(".")[0] for file in study.images.iterdir()} <= set(by_token)


def test_nothing_outside_private_tells_truth_or_identity(study: StudyFolder) -> None:
    for file in study.path.rglob("*"):
        if file.is_file() and study.private not in file.parents:
            content = file.read_bytes()
            for secret in (b"SECRET", b"lesion", b"scan_id", b"label"):
                assert secret not in content, (file, secret)


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_only_the_owner_enters(study: StudyFolder) -> None:
    assert stat.S_IMODE(study.private.stat().st_mode) == 0o700
    assert stat.S_IMODE(study.truth_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(study.path.stat().st_mode) == 0o700


def test_the_order_of_files_and_rows_tells_nothing(study: StudyFolder) -> None:
    assert {file.stat().st_mtime for file in study.images.iterdir()} == {0.0}
    with study.open_store() as store, store.reading() as db:
        tokens = [case.token for case in db.query(StudyCase).order_by(StudyCase.id)]
    truths = study.truth()
    numbered = [truths[token]["scan_id"] for token in tokens]
    scan_ids = [truth["scan_id"] for truth in truths.values()]
    assert numbered == [scan_ids[place] for place in numbering(study.protocol.seed, scan_ids)]
    places = np.mean([np.argsort(numbering(seed, scan_ids)) for seed in range(2000)], axis=0)
    assert np.allclose(places, 3.5, atol=0.3), "each number is as likely for every scan"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("reader,name\na,Anna\nb,ANNA \n", "two readers have the name 'anna'"),
        ("reader,name\na,Anna\nb,A\n", "two readers have the name 'a'"),
        ("reader,name\na,Anna\n,Nobody\n", "row 3: reader must be"),
        ("reader,name,experience_years\na,Anna,many\n", "experience_years must be a number"),
        ("reader\na\n", "columns missing: name"),
        ("reader,name\n", "no reader"),
    ],
)
def test_a_wrong_table_of_readers_is_named(tmp_path: Path, table: str, problem: str) -> None:
    (tmp_path / "readers.csv").write_text(table)
    with pytest.raises(InputError, match=problem):
        read_readers(tmp_path / "readers.csv")


def test_every_wrong_row_of_readers_is_named(tmp_path: Path) -> None:
    (tmp_path / "readers.csv").write_text("reader,name\n!,A\nb,\n")
    with pytest.raises(InputError, match=r"row 2.*row 3"):
        read_readers(tmp_path / "readers.csv")


def test_a_missing_scan_is_said_before_anything_is_made(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    cohort = world.write_cohort(tmp_path / "cohort", 10)
    (tmp_path / "cohort/scans/003.dcm").unlink()
    with pytest.raises(InputError, match=r"1 scans do not exist: scans/003\.dcm"):
        world.make_study(tmp_path / "study", cohort, sample=8)
    assert not (tmp_path / "study").exists()


def test_unreadable_scans_are_all_named_and_nothing_is_left(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    cohort = world.write_cohort(tmp_path / "cohort", 10)
    for number in (3, 6):
        (tmp_path / f"cohort/scans/{number:03d}.dcm").write_text("no DICOM")
    with pytest.raises(InputError, match=r"2 of 10 scans cannot be used.*003.*006|006.*003"):
        world.make_study(tmp_path / "study", cohort, sample=8)
    assert [entry.name for entry in tmp_path.iterdir()] == ["cohort"]


def test_a_full_disk_is_not_blamed_on_the_cohort(
    world: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = world.write_cohort(tmp_path / "cohort", 10)
    touch = Path.touch
    refused: list[Path] = []

    def full(self: Path, mode: int = 0o666, exist_ok: bool = True) -> None:
        if self.parent.parent.name == "private":
            refused.append(self)
            raise OSError(errno.ENOSPC, "No space left on device")
        touch(self, mode=mode, exist_ok=exist_ok)

    monkeypatch.setattr(Path, "touch", full)
    place = re.escape(str(tmp_path / "study" / "private"))
    with pytest.raises(OutputError, match=rf"^{place}.*No space left on device\). Free some"):
        world.make_study(tmp_path / "study", cohort, sample=8)
    assert len(refused) == 1, "it stops at once"
    assert [entry.name for entry in tmp_path.iterdir()] == ["cohort"]


def test_a_truth_that_contradicts_the_manifest_is_refused(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    cohort = world.write_cohort(tmp_path / "cohort", 8)
    cohort.write_text(cohort.read_text().replace(",test,1,scans/001", ",test,0,scans/001"))
    with pytest.raises(InputError, match="contradicts the manifest's label"):
        world.make_study(tmp_path / "study", cohort, sample=6, balanced=False)


def write_with_physicians_masks(world: SimpleNamespace, folder: Path) -> Path:
    """A cohort whose disease is in masks of the anterior view, in place of truth files."""
    cohort: Path = world.write_cohort(folder, 8)
    cases = []
    for case in read_manifest(cohort).cases:
        file = f"truth/{Path(case.file).stem}.png"
        truth = read_truth(folder / case.truth)
        if case.positive:
            write_mask(truth.masks[View.ANTERIOR], folder / file)
        cases.append(replace(case, truth="", mask_anterior=file if case.positive else ""))
    write_manifest(cases, cohort)
    return cohort


def test_physicians_masks_are_the_truth_that_marks_are_scored_by(
    world: SimpleNamespace, tmp_path: Path
) -> None:
    cohort = write_with_physicians_masks(world, tmp_path / "cohort")
    study = world.make_study(tmp_path / "study", cohort)
    for token, entry in study.truth().items():
        assert len(entry["foci"]) == entry["positive"]
        assert study.masks_file(token).is_file() == bool(entry["truth_sha256"]) == entry["positive"]
    with study.open_store() as store:
        tables = collect(study, store, radius_mm=15)
    assert sorted(tables.lesions.values()) == [0, 0, 0, 1, 1, 1]


def test_a_mask_of_another_shape_is_refused(world: SimpleNamespace, tmp_path: Path) -> None:
    cohort = write_with_physicians_masks(world, tmp_path / "cohort")
    for mask in (tmp_path / "cohort/truth").glob("*.png"):
        write_mask(np.ones((32, 16), dtype=bool), mask)
    with pytest.raises(InputError, match="the anterior mask does not have the shape of the view"):
        world.make_study(tmp_path / "study", cohort)
    assert not (tmp_path / "study").exists()


def test_disease_in_an_empty_mask_is_nowhere_known(world: SimpleNamespace, tmp_path: Path) -> None:
    cohort = write_with_physicians_masks(world, tmp_path / "cohort")
    for mask in (tmp_path / "cohort/truth").glob("*.png"):
        write_mask(np.zeros((world.ROWS, world.COLUMNS), dtype=bool), mask)
    study = world.make_study(tmp_path / "study", cohort)
    with study.open_store() as store:
        tables = collect(study, store, radius_mm=15)
    assert list(tables.lesions.values()) == [0, 0, 0], "those without disease"


def test_an_occupied_place_and_the_administrators_name_are_refused(
    world: SimpleNamespace, cohort: Path, tmp_path: Path
) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study/thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        world.make_study(tmp_path / "study", cohort)
    with pytest.raises(InputError, match="administrator"):
        world.make_study(tmp_path / "other", cohort, readers=[Reader(reader="Admin", name="X")])


def test_a_changed_or_newer_study_is_refused(study: StudyFolder) -> None:
    file = study.path / "study.json"
    whole = file.read_text()
    file.write_text(whole.replace('"washout_days": 28.0', '"washout_days": 0.0'))
    with pytest.raises(StudyError, match="protocol was changed"):
        open_study(study.path)
    file.write_text(whole.replace('"schema_version": 1', '"schema_version": 2'))
    with pytest.raises(StudyError, match="schema 2 is not 1"):
        open_study(study.path)
    file.write_text("{")
    with pytest.raises(StudyError, match="not readable"):
        open_study(study.path)
    with pytest.raises(StudyError, match="no study folder"):
        open_study(study.path / "nowhere")


def test_same_seed_same_sample_and_order(
    world: SimpleNamespace, cohort: Path, tmp_path: Path
) -> None:
    def orders(study: StudyFolder) -> list[str]:
        truths = study.truth()
        with study.open_store() as store, store.reading() as db:
            cases = {case.id: case.token for case in db.query(StudyCase)}
            rows = db.query(Assignment).order_by(Assignment.session_id, Assignment.position)
            return [truths[cases[row.case_id]]["scan_id"] for row in rows]

    studies = [world.make_study(tmp_path / name, cohort) for name in "ab"]
    assert orders(studies[0]) == orders(studies[1])
    # Tokens are keyed by a secret of each study.
    tokens = [{file.name for file in one.images.iterdir()} for one in studies]
    assert not tokens[0] & tokens[1]


def test_options_are_checked(cohort: Path, tmp_path: Path) -> None:
    people = [Reader(reader="a", name="b")]
    repeat = StudyOptions(sample=4, second_session=SecondSession.REPEAT)
    early = replace(repeat, washout_days=-1)
    with pytest.raises(ParameterError, match="washout_days"):
        create_study(tmp_path / "s", cohort, people, early)
    with pytest.raises(ParameterError, match="absent without a second session"):
        StudyOptions(sample=4, washout_days=3)
    for options in (StudyOptions(sample=4), repeat):
        with pytest.raises(ParameterError, match="absent unless the second session is aided"):
            create_study(tmp_path / "s", cohort, people, options, model="shipped")
