"""Normal databases: what they keep, what they refuse, and files of others."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.support.damaged_npz import damaged_npz

from bonescint.cohort.compare import Averages, read_normal_database, write_normal_database
from bonescint.cohort.compare.averages import Spread, averages_of
from bonescint.cohort.compare.characteristics import BANDS, CHARACTERISTICS
from bonescint.cohort.compare.maps import FrameMaps
from bonescint.scan import InputError, OutputError, ParameterError

COUNT = 24


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    found = np.random.default_rng(1).random((COUNT, len(CHARACTERISTICS)))
    found[:, 3] = np.nan
    found[5:, 4] = np.nan
    return found


@pytest.fixture(scope="module")
def averages(values: np.ndarray) -> Averages:
    rng = np.random.default_rng(2)
    mean, sd, asymmetry = rng.random((3, 256, 256), np.float32)
    maps = FrameMaps(mean=mean, sd=sd, asymmetry_sd=asymmetry, scans=COUNT)
    spectra = rng.normal(-10, 1, (COUNT, len(BANDS) - 1))
    spectra[1:, -1] = np.nan
    return averages_of(
        maps,
        values,
        spectra,
        [f"p{number}" for number in range(COUNT)],
        [None, *[False] * (COUNT - 1)],
    )


def test_spreads_are_those_of_numpy_over_what_is_known(
    averages: Averages, values: np.ndarray
) -> None:
    names = [kind.name for kind in CHARACTERISTICS]
    assert names[3] not in averages.spreads
    for place in (0, 4, 10):
        column = values[:, place][np.isfinite(values[:, place])]
        spread = averages.spreads[names[place]]
        assert spread.scans == column.size
        assert spread.mean == pytest.approx(column.mean())
        assert spread.sd == pytest.approx(column.std())
        assert spread.percentiles == pytest.approx(np.percentile(column, [5, 25, 50, 75, 95]))


def test_a_band_that_hardly_any_scan_has_is_no_mean(averages: Averages) -> None:
    assert np.isnan(averages.spectrum[-1])
    assert np.isfinite(averages.spectrum[:-1]).all()


def test_what_is_written_is_read_again(tmp_path: Path, averages: Averages) -> None:
    file = tmp_path / "normals.npz"
    write_normal_database(file, averages)
    again = read_normal_database(file)
    assert np.allclose(again.maps.mean, averages.maps.mean, atol=5e-4)
    assert (again.maps.scans, again.patients, again.unlabelled) == (COUNT, COUNT, 1)
    name = CHARACTERISTICS[0].name
    assert again.spreads[name] == averages.spreads[name]
    assert np.allclose(again.spectrum, averages.spectrum, equal_nan=True)


def test_a_database_holds_averages_of_twenty_or_more_and_nothing_else(
    tmp_path: Path, averages: Averages
) -> None:
    file = tmp_path / "normals.npz"
    write_normal_database(file, averages)
    with np.load(file, allow_pickle=False) as stored:
        assert set(stored) == {"mean", "sd", "asymmetry_sd", "about"}
        assert {stored[name].shape for name in stored} == {(256, 256), ()}
        about = json.loads(str(stored["about"]))
    assert all(spread["scans"] >= 20 for spread in about["spreads"].values())
    assert CHARACTERISTICS[4].name not in about["spreads"]  # of 5 scans
    assert "Research use only" in about["notice"]
    assert "p1" not in json.dumps(about)


@pytest.mark.parametrize("patients", [0, 1, 19])
def test_fewer_than_twenty_patients_are_refused(
    tmp_path: Path, averages: Averages, patients: int
) -> None:
    few = Averages(
        maps=averages.maps, spreads=averages.spreads, spectrum=averages.spectrum, patients=patients
    )
    with pytest.raises(ParameterError, match="at least 20 patients"):
        write_normal_database(tmp_path / "few.npz", few)
    assert not (tmp_path / "few.npz").exists()


def test_maps_of_others_are_read_too(tmp_path: Path, averages: Averages) -> None:
    maps = {f"real_{name}": values.astype(np.float16)
            for name, values in averages.maps.arrays().items()}  # fmt: skip
    np.savez(tmp_path / "maps.npz", sim_mean=np.zeros(3), **maps)
    found = read_normal_database(tmp_path / "maps.npz")
    assert (found.maps.scans, found.patients, dict(found.spreads)) == (0, 0, {})
    assert np.array_equal(found.maps.sd, maps["real_sd"].astype(np.float32))
    assert set(found.of_mean_maps()) <= {kind.name for kind in CHARACTERISTICS}


def test_uptake_off_the_maps_is_that_of_the_mean_of_squares(averages: Averages) -> None:
    image = np.full((256, 256), 0.5, np.float32)
    maps = FrameMaps(mean=image, sd=image / 2, asymmetry_sd=image, scans=30)
    found = Averages(maps=maps, spreads={}, spectrum=averages.spectrum, patients=30)
    assert found.of_mean_maps()["sacrum"] == pytest.approx(1.0)


def bad_files() -> dict[str, bytes]:
    import io

    def packed(**arrays: object) -> bytes:
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        return buffer.getvalue()

    good = np.zeros((256, 256), np.float16)
    about = {"bonescint_normals": 1, "recipe": "body-root", "bands": [], "spectrum": []}
    return {
        "text": b"mean,sd\n1,2\n",
        "empty": b"",
        "a pickle": pickle.dumps({"mean": 1}),
        "objects": packed(mean=np.array([{}], dtype=object), sd=good, asymmetry_sd=good),
        "other keys": packed(image=good),
        "one map missing": packed(mean=good, sd=good),
        "another shape": packed(mean=good[:10], sd=good, asymmetry_sd=good),
        "not finite": packed(mean=good + np.nan, sd=good, asymmetry_sd=good),
        "below zero": packed(mean=good - 1, sd=good, asymmetry_sd=good),
        "text for a map": packed(mean=np.full((256, 256), "x"), sd=good, asymmetry_sd=good),
        "a newer format": packed(
            mean=good, sd=good, asymmetry_sd=good,
            about=np.array(json.dumps({**about, "bonescint_normals": 99})),
        ),
        "spreads of nothing": packed(
            mean=good, sd=good, asymmetry_sd=good,
            about=np.array(json.dumps({**about, "spreads": {"knee": {"scans": 3}}})),
        ),
        "no JSON": packed(mean=good, sd=good, asymmetry_sd=good, about=np.array("[" * 5000)),
        "a list": packed(mean=good, sd=good, asymmetry_sd=good, about=np.array("[1]")),
        "a swollen file": packed(mean=np.zeros((4096, 4096)), sd=good, asymmetry_sd=good),
        **damaged_npz("mean"),
        "cut off": packed(mean=good, sd=good, asymmetry_sd=good)[:-500],
    }  # fmt: skip


@pytest.mark.parametrize("kind", sorted(bad_files()))
def test_other_files_are_refused_in_a_line(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "normals.npz"
    file.write_bytes(bad_files()[kind])
    with pytest.raises(InputError, match=r"normals\.npz.*cohort compare --save"):
        read_normal_database(file)


def test_a_missing_file_and_a_full_place_are_said(tmp_path: Path, averages: Averages) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_normal_database(tmp_path / "none.npz")
    with pytest.raises(OutputError):
        write_normal_database(tmp_path / "no-folder" / "normals.npz", averages)


def test_spreads_need_a_scan() -> None:
    assert Spread.of(np.array([np.nan])) is None
    with pytest.raises(ParameterError):
        Spread(scans=0, mean=1.0, sd=0.0, percentiles=(1, 1, 1, 1, 1))
