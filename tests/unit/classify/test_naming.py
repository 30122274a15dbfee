"""No name of a file or folder that identifies a patient is in results, unless it was given."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bonescint.classify import ClassifySummary, classify
from bonescint.classify.naming import SourceNames, private_folder
from bonescint.dicom import Discovery, StudyFiles
from bonescint.model import ModelFolder
from bonescint.scan import InputError

WriteStudies = Callable[..., list[Path]]
PATIENT = "DOE JOHN 123456"
IDENTITIES = ("DOE", "JOHN", "123456", "archive")


def study(*paths: str) -> StudyFiles:
    files = tuple(Path(path) for path in paths)
    return StudyFiles(files=files, source=" + ".join(paths))


def found(*studies: StudyFiles, refused: tuple[str, ...] = ()) -> Discovery:
    errors = tuple(InputError(path, "is empty", "Export it again") for path in refused)
    return Discovery(studies=studies, refused=errors)


@pytest.mark.parametrize(
    ("given", "path", "name"),
    [
        (["archive"], f"archive/{PATIENT}/IM1", f"{PATIENT}/IM1"),
        ([f"archive/{PATIENT}"], f"archive/{PATIENT}/IM1", "IM1"),
        ([f"archive/{PATIENT}/IM1"], f"archive/{PATIENT}/IM1", "IM1"),
        (["."], "archive/IM1", "archive/IM1"),
        (["/data/archive/"], "/data/archive/a/b", "a/b"),
        (["archive/a", "archive"], "archive/a/b", "b"),
        (["archive", "archive/a"], "archive/a/b", "a/b"),
        (["archive"], "archive", "archive"),
    ],
)
def test_names_are_relative_to_what_was_given(given: list[str], path: str, name: str) -> None:
    assert SourceNames.relative(found(study(path)), given).of(path) == name


def test_names_that_would_be_two_files_have_the_number_of_their_source() -> None:
    names = SourceNames.relative(
        found(study("a/IM1"), study("b/IM1"), study("b/IM2"), refused=("c/IM3",)), ["a", "b", "c"]
    )
    assert [names.of(path) for path in ("a/IM1", "b/IM1", "b/IM2", "c/IM3")] == [
        "source 1: IM1", "source 2: IM1", "IM2", "IM3"
    ]  # fmt: skip


def test_files_outside_what_was_given_have_names_of_their_own() -> None:
    """Results are found by them; the absolute paths of a manifest may end alike."""
    paths = [f"/data/p{number}/scan.dcm" for number in (1, 2, 3)]
    names = SourceNames.relative(found(*map(study, paths)), ["cohort"])
    assert [names.of(path) for path in paths] == [
        "source 0: scan.dcm", "source 0: scan.dcm (2)", "source 0: scan.dcm (3)"
    ]  # fmt: skip


def test_both_files_of_a_pair_are_named() -> None:
    pair = StudyFiles(files=(Path("in/p/a_ANT"), Path("in/p/a_POST")), source="in/p/a_ANT + a_POST")
    apart = study("in/ant/1", "in/post/1")
    names = SourceNames.relative(found(pair, apart), ["in"])
    assert names.of(pair.source) == "p/a_ANT + a_POST"
    assert names.of(apart.source) == "ant/1 + post/1"
    assert names.of("in/p/a_POST") == "p/a_POST"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("is a copy of in/DOE JOHN/1", "is a copy of A"),
        ("in/DOE JOHN/12: cannot be read", "B: cannot be read"),
        ("in/DOE JOHN/12, in/DOE JOHN/1.", "B, A."),
        ("in/DOE JOHN/123", "in/DOE JOHN/123"),
        ("within/DOE JOHN/1", "within/DOE JOHN/1"),
        ("nothing of it", "nothing of it"),
        ("", ""),
    ],
)
def test_paths_in_messages_are_replaced(text: str, cleaned: str) -> None:
    names = SourceNames({"in/DOE JOHN/1": "A", "in/DOE JOHN/12": "B"})
    assert names.clean(text) == cleaned
    assert SourceNames({}).clean(text) == text


def archive(tmp_path: Path, studies: list[Path]) -> Path:
    """Two scans, a copy of one, and a file that is no scan, under a patient's name."""
    folder = tmp_path / "archive" / PATIENT
    folder.mkdir(parents=True)
    for number, path in enumerate(studies):
        shutil.copyfile(path, folder / f"IM{number}")
    shutil.copyfile(studies[0], folder / "IM9")
    (folder / "report.txt").write_text("no scan")
    return tmp_path / "archive"


def everything_in(out: Path, summary: ClassifySummary) -> str:
    texts = [path.read_bytes().decode("latin-1") for path in out.rglob("*") if path.is_file()]
    names = [str(path.relative_to(out)) for path in out.rglob("*")]
    shown = {**summary.to_json(), "folder": ""}
    return "\n".join([*texts, *names, json.dumps(shown)])


@pytest.mark.parametrize("workers", [0, 2])
def test_hashed_sources_hold_no_name_and_the_table_apart_tells_them(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies, workers: int
) -> None:
    scans, out = archive(tmp_path, write_studies(2)), tmp_path / "out"
    summary = classify(scans, out, model=stand_in_model, workers=workers, hash_sources=True)
    assert (len(summary.results), len(summary.refused)) == (2, 2)
    told = everything_in(out, summary)
    assert [text for text in (*IDENTITIES, "IM0", "IM9", "report.txt") if text in told] == []
    private = private_folder(out)
    assert private == tmp_path / "out.private"
    assert private.stat().st_mode & 0o777 == 0o700
    assert (private / "key").stat().st_mode & 0o777 == 0o600
    assert (private / "sources.csv").stat().st_mode & 0o777 == 0o600
    with (private / "sources.csv").open(newline="") as stream:
        path_of = {row["source"]: row["path"] for row in csv.DictReader(stream)}
    for number, result in enumerate(summary.results):
        assert re.fullmatch(r"file-[0-9a-f]{16}", result.source)
        assert path_of[result.source] == str(scans / PATIENT / f"IM{number}")
    copy, text = summary.refused
    assert path_of[copy.source].endswith("IM9")
    assert summary.results[0].source in copy.reason, "the other one is named by its hash, too"
    assert path_of[text.source].endswith("report.txt")


def test_a_file_is_called_the_same_again_and_otherwise_with_another_key(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    studies = write_studies(1)

    def name(out: str, source: Path) -> str:
        run = classify(source, tmp_path / out, model=stand_in_model, workers=0, hash_sources=True)
        return run.results[0].source

    first = name("a", studies[0])
    assert name("a", studies[0].parent) == first
    assert name("b", studies[0]) != first


def test_by_default_paths_end_where_what_was_given_begins(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    scans, out = archive(tmp_path, write_studies(2)), tmp_path / "out"
    summary = classify(scans / PATIENT, out, model=stand_in_model, workers=0)
    assert [result.source for result in summary.results] == ["IM0", "IM1"]
    assert [refusal.source for refusal in summary.refused] == ["IM9", "report.txt"]
    told = everything_in(out, summary)
    assert [text for text in (*IDENTITIES, str(tmp_path)) if text in told] == []
    assert not private_folder(out).exists()


def test_a_key_that_was_emptied_is_refused(
    tmp_path: Path, stand_in_model: ModelFolder, write_studies: WriteStudies
) -> None:
    (tmp_path / "out.private").mkdir()
    (tmp_path / "out.private" / "key").touch()
    with pytest.raises(InputError, match=r"out.private/key: no longer holds a key\. Delete it"):
        classify(
            write_studies(1), tmp_path / "out", model=stand_in_model, workers=0, hash_sources=True
        )
