"""Scans decoded once come back as they were, or are refused."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from safetensors.numpy import save

from bonescint.cohort import Manifest, read_manifest, read_truth, write_mask, write_truth
from bonescint.scan import Case, InputError, OutputError, Split, Truth
from bonescint.train.cached import cached_scans, files_identity


def _positive(cohort: Path) -> tuple[Manifest, Case, Truth]:
    manifest = read_manifest(cohort)
    positive = next(case for case in manifest.cases if case.positive)
    return manifest, positive, read_truth(manifest.folder / positive.truth)


def test_masks_of_any_order_of_axes_are_kept_as_they_are(tmp_path: Path, cohort: Path) -> None:
    """A NIfTI file of tall rows, or a truth written that way, is not C-contiguous."""
    manifest, positive, truth = _positive(cohort)
    turned = {view: np.asfortranarray(mask) for view, mask in truth.masks.items()}
    write_truth(replace(truth, masks=turned), manifest.folder / "turned.npz")
    one = Manifest(cases=(replace(positive, truth="turned.npz"),), folder=manifest.folder)
    sample = cached_scans(one, positive.split, tmp_path / "cache").sample(0)
    assert sample.masks is not None
    for view, mask in truth.masks.items():
        assert np.array_equal(sample.masks[view], mask)


def test_a_damaged_cached_scan_is_named(tmp_path: Path, cohort: Path) -> None:
    """One bit of its pixels is enough; so is a file of another kind."""
    scans = cached_scans(read_manifest(cohort), Split.TRAIN, tmp_path / "cache")
    file = scans.files[0]
    whole = file.read_bytes()
    flipped = bytearray(whole)
    flipped[-1000] ^= 4
    for damaged in (bytes(flipped), whole[:-7], save({"a": np.zeros(1)})):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match="cached scan not readable"):
            scans.sample(0)
    file.write_bytes(whole)
    scans.sample(0)


def test_what_changed_in_a_folder_is_decoded_anew(tmp_path: Path, cohort: Path) -> None:
    """The folder of a study keeps its own size and time when a file in it is written over."""
    manifest = read_manifest(cohort)
    first, other, *_ = manifest.split(Split.TRAIN)
    study = manifest.folder / "study"
    study.mkdir()
    shutil.copy(manifest.path(first), study / "a.dcm")
    one = replace(manifest, cases=(replace(first, file="study", truth=""),))
    before = cached_scans(one, Split.TRAIN, tmp_path / "cache")
    identity = files_identity(one, (Split.TRAIN,))
    times = study.stat()
    (study / "a.dcm").write_bytes(manifest.path(other).read_bytes())
    os.utime(study, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = cached_scans(one, Split.TRAIN, tmp_path / "cache")
    assert before.files != after.files
    assert not np.array_equal(before.sample(0).scan.anterior, after.sample(0).scan.anterior)
    assert files_identity(one, (Split.TRAIN,)) != identity


def test_what_cannot_be_written_leaves_nothing_half_done(tmp_path: Path, cohort: Path) -> None:
    manifest = read_manifest(cohort)
    cache = tmp_path / "cache"
    taken = cached_scans(manifest, Split.TRAIN, cache).files[0]
    taken.unlink()
    taken.mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        cached_scans(manifest, Split.TRAIN, cache)
    assert not list(cache.glob("*.part"))


def test_processes_that_cannot_be_made_are_one_clear_line(
    tmp_path: Path, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> NoReturn:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pipe", refused)
    with pytest.raises(OutputError, match=r"cache: cannot be written \(Too many open files\)"):
        cached_scans(read_manifest(cohort), Split.TRAIN, tmp_path / "cache", workers=2)


def test_a_physicians_masks_are_learnt_from(tmp_path: Path, cohort: Path) -> None:
    """PNG masks in place of a simulator's truth give the same lesions."""
    manifest, positive, truth = _positive(cohort)
    for view, mask in truth.masks.items():
        write_mask(mask, manifest.folder / f"{view.value}.png")
    by_hand = replace(
        positive, truth="", mask_anterior="anterior.png", mask_posterior="posterior.png"
    )
    one = Manifest(cases=(by_hand,), folder=manifest.folder)
    sample = cached_scans(one, by_hand.split, tmp_path / "cache").sample(0)
    assert sample.masks is not None
    for view, mask in truth.masks.items():
        assert np.array_equal(sample.masks[view], mask)


def test_masks_of_one_view_are_no_truth_of_both_and_say_which_view(
    tmp_path: Path, cohort: Path
) -> None:
    manifest, positive, truth = _positive(cohort)
    write_mask(next(iter(truth.masks.values())), manifest.folder / "m.png")
    columns = ("mask_anterior", "mask_posterior")
    rows = [replace(positive, truth="", **{column: "m.png"}) for column in columns]
    one, other = (Manifest(cases=(row,), folder=manifest.folder) for row in rows)
    assert files_identity(one, [positive.split]) != files_identity(other, [positive.split])
    kept = [cached_scans(made, positive.split, tmp_path / "cache") for made in (one, other)]
    assert kept[0].files != kept[1].files
    assert [scans.sample(0).masks for scans in kept] == [None, None]
