"""Simulated cohorts on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bonescint.cohort import Protocol, mixed_protocol, read_manifest, read_truth, simulate_cohort
from bonescint.cohort.simulated import _settings_for, can_resume
from bonescint.dicom import read
from bonescint.scan import BonescintError, OutputError, ParameterError, View
from bonescint.simulate import Population


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"workers": 0}])
def test_impossible_cohorts_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    settings: dict[str, int] = {"seed": 1}
    with pytest.raises(ParameterError):
        simulate_cohort(tmp_path / "c", mixed_protocol(2), **(settings | wrong))
    assert not (tmp_path / "c").exists()


class SmallDisk:
    """A file system in memory that is soon full."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def grow(self) -> None:
        subprocess.run(["mount", "-o", "remount,size=50m", str(self.path)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    made = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(path)],
        check=False,
        capture_output=True,
    )
    if not made or made.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)


class TestSimulated:
    """Needs the simulator's libraries."""

    pytestmark = pytest.mark.timeout(600)

    @pytest.fixture(autouse=True)
    def _libraries(self) -> None:
        pytest.importorskip("mujoco", reason="needs the extra 'simulate'")
        pytest.importorskip("musclemimic_models", reason="needs the extra 'simulate'")

    def hashes(self, folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def test_same_seed_same_bytes_for_any_number_of_workers(self, tmp_path: Path) -> None:
        one = simulate_cohort(tmp_path / "one", mixed_protocol(4), seed=7, workers=1)
        eight = simulate_cohort(tmp_path / "eight", mixed_protocol(4), seed=7, workers=8)
        assert one.manifest.cases == eight.manifest.cases
        assert self.hashes(tmp_path / "one") == self.hashes(tmp_path / "eight")

    def test_occult_patients_lie_apart(self, tmp_path: Path) -> None:
        protocol = mixed_protocol(6)
        strict = replace(protocol.disease, visible_contrast_to_noise=30.0, solitary_share=1.0)
        cohort = simulate_cohort(tmp_path, replace(protocol, disease=strict), seed=3, workers=2)
        assert cohort.occult.cases  # about half of all single metastases stay below this bound
        for folder, manifest in (("scans", cohort.manifest), ("occult", cohort.occult)):
            files = {
                file.relative_to(tmp_path).as_posix() for file in (tmp_path / folder).iterdir()
            }
            assert files == {case.file for case in manifest.cases}
        assert all(read_truth(tmp_path / case.truth).positive for case in cohort.occult.cases)

    def test_a_full_disk_is_said_and_loses_nothing(
        self, tmp_path: Path, small_disk: SmallDisk
    ) -> None:
        with pytest.raises(OutputError, match="No space left"):
            simulate_cohort(small_disk.path / "c", mixed_protocol(3), seed=8, workers=1)
        small_disk.grow()
        simulate_cohort(small_disk.path / "c", mixed_protocol(3), seed=8, workers=1)
        simulate_cohort(tmp_path / "whole", mixed_protocol(3), seed=8, workers=1)
        assert self.hashes(small_disk.path / "c") == self.hashes(tmp_path / "whole")

    def test_goes_on_where_it_stopped(self, tmp_path: Path) -> None:
        simulate_cohort(tmp_path / "whole", mixed_protocol(3), seed=8, workers=1)
        done: list[int] = []

        class StopError(Exception):
            pass

        def stop(finished: int, _: int) -> None:
            done.append(finished)
            if finished == 2:
                raise StopError

        with pytest.raises(StopError):
            simulate_cohort(tmp_path / "part", mixed_protocol(3), seed=8, workers=1, progress=stop)
        before = {file: file.stat().st_mtime_ns for file in (tmp_path / "part/scans").iterdir()}
        assert before
        simulate_cohort(tmp_path / "part", mixed_protocol(3), seed=8, workers=1)
        assert all(file.stat().st_mtime_ns == time for file, time in before.items())
        assert self.hashes(tmp_path / "part") == self.hashes(tmp_path / "whole")

    def test_manifest_and_files_agree(self, tmp_path: Path) -> None:
        cohort = simulate_cohort(tmp_path, mixed_protocol(4), seed=9, workers=1).manifest
        assert read_manifest(tmp_path).cases == cohort.cases
        assert sum(case.positive for case in cohort.cases) == 2
        for case in cohort.cases:
            scan = read(cohort.path(case))
            assert scan.scan_id == case.scan_id
            truth = read_truth(tmp_path / case.truth)
            assert truth.positive == case.positive
            assert truth.masks[View.ANTERIOR].shape == scan.shape
            assert truth.masks[View.ANTERIOR].any() <= case.positive

    def test_a_cohort_can_grow(self, tmp_path: Path) -> None:
        small = simulate_cohort(tmp_path, mixed_protocol(2), seed=3, workers=1).manifest
        large = simulate_cohort(tmp_path, mixed_protocol(4), seed=3, workers=1).manifest
        assert set(small.cases) < set(large.cases)

    def test_what_a_killed_worker_began_is_removed(self, tmp_path: Path) -> None:
        simulate_cohort(tmp_path, mixed_protocol(1), seed=1, workers=1)
        begun = tmp_path / "scans" / ".0123.dcm.7.abcd.part"
        begun.write_bytes(b"half")
        simulate_cohort(tmp_path, mixed_protocol(1), seed=1, workers=1)
        assert not begun.exists()

    def test_a_frozen_protocol_knows_its_own(self, tmp_path: Path) -> None:
        protocol = mixed_protocol(2)
        first = simulate_cohort(tmp_path / "a", protocol, seed=1, workers=1)
        assert first.changed_centres(protocol) == ()
        frozen = replace(protocol, frozen=first.frozen)
        assert (
            simulate_cohort(tmp_path / "b", frozen, seed=1, workers=1).changed_centres(frozen) == ()
        )
        other = replace(protocol, frozen=replace(first.frozen, sha256={"mixed": "0" * 64}))
        again = simulate_cohort(tmp_path / "a", other, seed=1, workers=1)
        assert again.frozen == first.frozen
        assert again.changed_centres(other) == ("mixed",)

    def test_the_hash_is_of_the_counts(self, tmp_path: Path) -> None:
        """Made anew from the files alone."""
        cohort = simulate_cohort(tmp_path, mixed_protocol(2), seed=1, workers=1)
        digest = hashlib.sha256()
        for case in cohort.manifest.cases:
            scan = read(cohort.manifest.path(case))
            counts = np.stack([scan.anterior, scan.posterior]).astype("<u2")
            pixels = hashlib.sha256(counts.tobytes()).hexdigest()
            digest.update(f"{int(case.positive)} {pixels}\n".encode())
        assert cohort.frozen.sha256 == {"mixed": digest.hexdigest()}

    @pytest.mark.parametrize("lost", ["scans", "truth", "cases"])
    def test_what_was_lost_is_made_again(self, tmp_path: Path, lost: str) -> None:
        first = simulate_cohort(tmp_path, mixed_protocol(1), seed=1, workers=1)
        before = self.hashes(tmp_path)
        (file,) = (tmp_path / lost).iterdir()
        if lost == "cases":
            file.write_text("{")
        else:
            file.unlink()
        again = simulate_cohort(tmp_path, mixed_protocol(1), seed=1, workers=1)
        assert again.manifest.cases == first.manifest.cases
        assert self.hashes(tmp_path) == before

    @pytest.mark.parametrize(
        "content", ['{"protocol": 5, "seed": 1}', "[]", "{", '{"protocol": {}}']
    )
    def test_damaged_settings_are_one_clear_line(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "settings.json").write_text(content)
        with pytest.raises(BonescintError, match=r"settings\.json"):
            simulate_cohort(tmp_path, mixed_protocol(1), seed=1, workers=1)

    def test_settings_of_a_release_that_knew_fewer_keys_are_the_same(self, tmp_path: Path) -> None:
        mixed = mixed_protocol(1)
        centres = {
            name: replace(one, population=Population()) for name, one in mixed.centres.items()
        }
        protocol = replace(mixed, centres=centres)
        simulate_cohort(tmp_path, protocol, seed=1, workers=1)
        settings = json.loads((tmp_path / "settings.json").read_text())
        for centre in settings["protocol"]["centres"].values():
            assert centre["population"].pop("anatomy") == 1
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        again = simulate_cohort(tmp_path, protocol, seed=1, workers=1)
        assert len(again.manifest.cases) == 1

    def test_another_cohort_is_not_overwritten(self, tmp_path: Path) -> None:
        simulate_cohort(tmp_path, mixed_protocol(1), seed=1, workers=1)
        with pytest.raises(OutputError, match="other settings"):
            simulate_cohort(tmp_path, mixed_protocol(1), seed=2, workers=1)

    def test_the_order_of_cameras_counts_and_that_of_centres_does_not(self, tmp_path: Path) -> None:
        def protocol(cameras: list[str], centres: str) -> Protocol:
            (mixed,) = mixed_protocol(1).centres.values()
            centre = replace(mixed, cameras=dict.fromkeys(cameras, 0.5))
            return replace(mixed_protocol(1), centres=dict.fromkeys(centres, centre))

        cameras = ["symbia", "infinia"]
        settings = _settings_for(protocol(cameras, "AB"), 1)
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        assert can_resume(tmp_path, protocol(cameras, "BA"), 1)
        assert not can_resume(tmp_path, protocol(cameras[::-1], "AB"), 1)

    def test_a_place_that_cannot_be_written_is_said_first(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OutputError, match="cannot be written"):
            simulate_cohort(tmp_path / "file" / "cohort", mixed_protocol(1), seed=1, workers=1)
