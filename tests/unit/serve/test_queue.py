"""Studies on disk: states, duplicates, and what a new process finds."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import dicom_files

from bonescint.scan import OutputError, ParameterError
from bonescint.serve import queue as queue_module
from bonescint.serve.peers import hashed_uid
from bonescint.serve.queue import (
    OtherContentError,
    QueueFullError,
    StudyQueue,
    StudyState,
)

ANSWERED = {"scans": []}


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[StudyQueue]:
    with StudyQueue(tmp_path / "queue", most=3) as opened:
        yield opened


def finish(queue: StudyQueue, *, objects: int = 0) -> None:
    """Classify and answer what is there."""
    for study in queue.take_quiet(0):
        study.answer.mkdir(exist_ok=True)
        for number in range(objects):
            (study.answer / f"{hashed_uid(f'9.{number}')}.dcm").write_bytes(b"answer")
        moved = queue.classified(study, ANSWERED)
        if objects:
            assert moved.folder.parent.name == StudyState.ANSWERING
            for path in moved.unsent():
                moved.mark_sent(path)
            queue.answered(moved)


def names(queue: StudyQueue, state: StudyState) -> list[str]:
    return [one.name for one in queue.all_in(state)]


def test_an_object_is_private_and_named_by_hashes(queue: StudyQueue) -> None:
    assert queue.add("1.2", "1.2.3", b"content")
    (path,) = queue.folder.rglob("*.dcm")
    assert path.read_bytes() == b"content"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(queue.folder.stat().st_mode) == 0o700
    assert "1.2" not in str(path.relative_to(queue.folder))
    assert not any(word in str(path) for word in dicom_files.IDENTIFIERS)


@pytest.mark.parametrize("objects", [0, 2])
def test_a_duplicate_is_known_in_every_state(queue: StudyQueue, objects: int) -> None:
    queue.add("1.2", "1.2.3", b"content")
    assert not queue.add("1.2", "1.2.3", b"content")
    (study,) = queue.take_quiet(0)
    assert not queue.add("1.2", "1.2.3", b"content")
    study.answer.mkdir()
    for number in range(objects):
        (study.answer / f"{hashed_uid(f'9.{number}')}.dcm").write_bytes(b"answer")
    moved = queue.classified(study, ANSWERED)
    assert not queue.add("1.2", "1.2.3", b"content")
    if objects:
        assert not queue.add("1.2", "9.1", b"comes back from the PACS")
        for path in moved.unsent():
            moved.mark_sent(path)
        queue.answered(moved)
        assert not queue.add("1.2", "9.1", b"comes back from the PACS")
    assert not queue.add("1.2", "1.2.3", b"content")
    with pytest.raises(OtherContentError):
        queue.add("1.2", "1.2.3", b"other content")
    assert queue.waiting == 0
    assert list(queue.folder.rglob("incoming/*")) == []


def test_an_object_that_was_forgotten_is_taken_again(queue: StudyQueue) -> None:
    """The sender is told that it is here, and the study is to be classified as a whole."""
    queue.add("1.2", "1.2.3", b"one")
    queue.add("1.2", "1.2.4", b"two")
    finish(queue)
    assert queue.forget_objects(-1) == 2
    assert not queue.holds("1.2.3")
    with pytest.raises(OtherContentError):
        queue.add("1.2", "1.2.3", b"other content")
    assert queue.add("1.2", "1.2.5", b"late")
    (study,) = queue.take_quiet(0)
    assert study.gone() == 2
    queue.classified(study, ANSWERED)
    assert queue.add("1.2", "1.2.3", b"one")
    assert not queue.add("1.2", "1.2.3", b"one")
    assert queue.holds("1.2.3")
    (study,) = queue.take_quiet(0)
    assert study.gone() == 1
    contents = sorted(path.read_bytes() for path in study.objects.glob("*.dcm"))
    assert contents == [b"late", b"one"]


def test_a_study_waits_until_it_is_quiet(queue: StudyQueue) -> None:
    queue.add("1.2", "1.2.3", b"one")
    assert queue.take_quiet(3600) == []
    left_s = queue.quiet_in_s(3600)
    assert left_s is not None
    assert 3500 < left_s <= 3600
    (study,) = queue.take_quiet(0)
    assert [path.read_bytes() for path in study.objects.iterdir()] == [b"one"]
    assert queue.quiet_in_s(3600) is None


def test_a_late_object_is_classified_with_the_others_once_answered(
    queue: StudyQueue,
) -> None:
    queue.add("1.2", "1.2.3", b"one")
    (study,) = queue.take_quiet(0)
    queue.add("1.2", "1.2.4", b"two")
    assert queue.take_quiet(0) == []  # the first is with the worker
    study.answer.mkdir()
    (study.answer / "0123.dcm").write_bytes(b"answer")
    moved = queue.classified(study, ANSWERED)
    assert queue.take_quiet(0) == []  # its answer is on the way
    moved.mark_sent(moved.answer / "0123.dcm")
    queue.answered(moved)
    assert queue.waiting == 1
    (again,) = queue.take_quiet(0)
    assert sorted(path.read_bytes() for path in again.objects.iterdir()) == [b"one", b"two"]
    assert [path.name for path in again.answer.iterdir()] == ["0123.sent"]
    assert names(queue, StudyState.DONE) == []
    queue.classified(again, ANSWERED)
    assert names(queue, StudyState.DONE) == [again.name]
    assert queue.waiting == 0


def test_the_next_process_finds_every_study_where_it_was(tmp_path: Path) -> None:
    with StudyQueue(tmp_path / "queue") as queue:
        for number in range(4):
            queue.add(f"1.{number}", f"1.{number}.1", b"content")
        taken = queue.take_quiet(0)
        queue.add("1.9", "1.9.1", b"arriving")
        taken[1].answer.mkdir()
        (taken[1].answer / "0123.dcm").write_bytes(b"answer")
        queue.classified(taken[1], ANSWERED)
        queue.classified(taken[2], ANSWERED)
        (queue.folder / "incoming" / "half").write_bytes(b"hal")
    with StudyQueue(tmp_path / "queue") as queue:
        assert names(queue, StudyState.ARRIVING) == [hashed_uid("1.9")]
        assert sorted(names(queue, StudyState.CLASSIFYING)) == sorted(
            (taken[0].name, taken[3].name)
        )
        assert names(queue, StudyState.ANSWERING) == [taken[1].name]
        assert names(queue, StudyState.DONE) == [taken[2].name]
        assert queue.waiting == 4
        assert list((queue.folder / "incoming").iterdir()) == []
        assert len(queue.take_quiet(0)) == 1


def test_joining_an_earlier_study_goes_on_after_a_kill(tmp_path: Path) -> None:
    with StudyQueue(tmp_path / "queue") as queue:
        for number in range(3):
            queue.add("1.2", f"1.2.{number}", b"early")
        finish(queue)
        queue.add("1.2", "1.2.9", b"late")
        done, arriving = (queue.at(hashed_uid("1.2"), s) for s in ("done", "studies"))  # type: ignore[arg-type]
        moved = sorted(done.objects.iterdir())[0]  # as if killed after one of three
        moved.rename(arriving.objects / moved.name)
    with StudyQueue(tmp_path / "queue") as queue:
        assert not queue.add("1.2", "1.2.1", b"early")
        (study,) = queue.take_quiet(0)
        assert len(list(study.objects.iterdir())) == 4
        assert not done.folder.exists()


def test_too_many_studies_and_a_full_disk_are_refused(
    queue: StudyQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        queue.add(f"1.{number}", f"1.{number}.1", b"content")
    with pytest.raises(QueueFullError, match="3 studies wait"):
        queue.add("1.7", "1.7.1", b"content")
    assert queue.add("1.1", "1.1.2", b"of a study that waits")
    finish(queue)
    assert queue.add("1.7", "1.7.1", b"content")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(queue_module.os, "fsync", full)
    with pytest.raises(QueueFullError, match="disk is full"):
        queue.add("1.8", "1.8.1", b"content")
    monkeypatch.undo()
    assert list((queue.folder / "incoming").iterdir()) == []
    assert queue.add("1.8", "1.8.1", b"content")


def test_one_process_has_it_open(queue: StudyQueue) -> None:
    with pytest.raises(OutputError, match="is writing there"):
        StudyQueue(queue.folder)
    with pytest.raises(ParameterError):
        StudyQueue(queue.folder, most=0)


def test_everything_is_on_disk_before_the_sender_is_answered(
    queue: StudyQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file before its name, the name before the answer, and new folders too."""
    synced: list[str] = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    monkeypatch.setattr(queue_module.os, "fsync", watched)
    queue.add("1.2", "1.2.3", b"content")
    assert len(synced[0]) == 16  # in `incoming`, under a random name
    assert synced[1:] == ["objects", hashed_uid("1.2"), "studies"]
