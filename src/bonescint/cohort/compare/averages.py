"""Averages over a cohort, for comparisons and for a *normal database*.

A normal database is an npz file of averages over at least 20 patients: the maps, rounded to 16
bits, and of each characteristic its mean, spread and percentiles. No single scan can be recovered
from it. Two databases whose cohorts differ by a few scans do reveal something of those scans.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

import bonescint
from bonescint.cohort.compare.characteristics import (
    BANDS,
    CHARACTERISTICS,
    landmark_shares,
    uptake_ratios,
)
from bonescint.cohort.compare.maps import PREPROCESSING, SIDE, FrameMap, FrameMaps
from bonescint.files import DAMAGED_NPZ, json_in, write_whole
from bonescint.scan import RESEARCH_USE, BonescintError, InputError, ParameterError

LEAST_PATIENTS = 20
"""Fewest patients of a normal database."""
PERCENTILES = (5, 25, 50, 75, 95)
_FORMAT = 1
_MAPS = ("mean", "sd", "asymmetry_sd")
_PREFIXES = ("", "real_")
_LARGEST = 64 * 1024 * 1024
_GIVE = "Give a file of bonescint cohort compare --save"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The distribution of a characteristic over the scans for which it is known.

    Attributes:
        scans: number of those scans.
        mean: mean.
        sd: standard deviation.
        percentiles: the 5th, 25th, 50th, 75th and 95th percentile.
    """

    scans: int
    mean: float
    sd: float
    percentiles: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.percentiles) != len(PERCENTILES) or self.scans < 1:
            got = (self.scans, self.percentiles)
            raise ParameterError("percentiles", "Spread", "five of at least 1 scan", got)

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Spread | None:
        """The spread of the finite values; `None` if there is none.

        Examples:
            >>> Spread.of(np.array([1.0, 2.0, 3.0, np.nan])).percentiles[2]
            2.0
        """
        finite = values[np.isfinite(values)]
        if not finite.size:
            return None
        points = np.percentile(finite, PERCENTILES).tolist()
        return cls(
            scans=int(finite.size),
            mean=float(finite.mean()),
            sd=float(finite.std()),
            percentiles=tuple(points),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Averages:
    """Averages over the scans of a cohort, or what a normal database holds.

    Attributes:
        maps: mean, spread and asymmetry.
        spreads: spreads of characteristics, by name; empty where only maps are known.
        spectrum: mean power spectrum in decibels, float64 (10,); NaN where unknown.
        patients: number of patients; 0 if unknown.
        unlabelled: how many of the scans had no label.
    """

    maps: FrameMaps
    spreads: Mapping[str, Spread]
    spectrum: NDArray[np.float64]
    patients: int
    unlabelled: int = 0

    def of_mean_maps(self) -> dict[str, float]:
        """Landmarks and uptake ratios measured on the mean maps, by name."""
        squares = self.maps.mean**2 + self.maps.sd**2
        return landmark_shares(self.maps.mean) | uptake_ratios(squares)


def averages_of(
    maps: FrameMaps,
    values: NDArray[np.float64],
    spectra: NDArray[np.float64],
    patients: Sequence[str],
    labels: Sequence[bool | None],
) -> Averages:
    """Average the measurements of scans.

    Args:
        maps: maps of the scans.
        values: (scans, characteristics), in the order of `CHARACTERISTICS`.
        spectra: power spectra in decibels, (scans, 10).
        patients: the patient of each scan.
        labels: the label of each scan, `None` if unknown.
    """
    spreads = {
        kind.name: spread
        for kind, column in zip(CHARACTERISTICS, values.T, strict=True)
        if (spread := Spread.of(column)) is not None
    }
    known = np.isfinite(spectra)
    total = np.where(known, spectra, 0).sum(axis=0)
    # A band that most scans have no structure in would be the mean of the luckiest.
    enough = known.sum(axis=0) >= max(1, len(spectra) // 2)
    mean = np.where(enough, total / np.maximum(known.sum(axis=0), 1), np.nan)
    return Averages(
        maps=maps,
        spreads=spreads,
        spectrum=mean,
        patients=len(set(patients)),
        unlabelled=sum(label is None for label in labels),
    )


def write_normal_database(path: Path, averages: Averages) -> None:
    """Write a normal database.

    Args:
        path: the npz file to write; its folder must exist.
        averages: averages over at least 20 patients.

    Raises:
        ParameterError: fewer patients.
        OutputError: it cannot be written.
    """
    if averages.patients < LEAST_PATIENTS:
        requirement = f"of at least {LEAST_PATIENTS} patients, so that no scan can be recovered"
        raise ParameterError("averages", "write_normal_database", requirement, averages.patients)
    about = {
        "bonescint_normals": _FORMAT,
        "notice": RESEARCH_USE,
        "software": bonescint.__version__,
        "recipe": PREPROCESSING,
        "scans": averages.maps.scans,
        "patients": averages.patients,
        "unlabelled": averages.unlabelled,
        # Of fewer scans than that a percentile would be one scan's own figure.
        "spreads": {
            name: asdict(spread)
            for name, spread in averages.spreads.items()
            if spread.scans >= LEAST_PATIENTS
        },
        "bands": BANDS,
        "spectrum": [value if np.isfinite(value) else None for value in averages.spectrum.tolist()],
    }
    arrays: dict[str, Any] = {
        name: values.astype(np.float16) for name, values in averages.maps.arrays().items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, about=np.array(json.dumps(about)), **arrays)
    write_whole(path, buffer.getvalue())


def read_normal_database(path: Path) -> Averages:
    """Read a normal database, or any npz file with maps laid out like one.

    Without the entry `about` the maps may be called `mean`, `sd` and `asymmetry_sd` or `real_mean`,
    `real_sd` and `real_asymmetry_sd`, (256, 256) each; what cannot be read off them is unknown.

    Args:
        path: the npz file.

    Raises:
        InputError: no such file, or not a normal database.
    """
    try:
        with path.open("rb") as stream:
            _require_small(stream, path)
            with np.load(stream, allow_pickle=False) as stored:
                prefix = next((one for one in _PREFIXES if f"{one}mean" in stored), "")
                maps = {name: _stored_map(stored[f"{prefix}{name}"], name, path) for name in _MAPS}
                about = json_in(str(stored["about"])) if "about" in stored else {}
        return _averages(maps, about)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(path, "no such file", "Check the path") from error
    except KeyError as error:
        raise InputError(path, f"is no normal database: {error.args[0]}", _GIVE) from error
    except DAMAGED_NPZ as error:
        problem = f"is no normal database ({type(error).__name__})"
        raise InputError(path, problem, _GIVE) from error
    except BonescintError as error:
        raise InputError(path, f"is no normal database: {error}", _GIVE) from error


def _require_small(stream: BinaryIO, path: Path) -> None:
    """Refuse a file that would unpack to more than any normal database holds.

    Raises:
        InputError: it would.
        BadZipFile: it is not an npz file.
    """
    with zipfile.ZipFile(stream) as archive:
        if sum(member.file_size for member in archive.infolist()) > _LARGEST:
            raise InputError(path, "is too large for a normal database", _GIVE)
    stream.seek(0)


def _stored_map(values: NDArray[Any], name: str, path: Path) -> FrameMap:
    if values.shape != (SIDE, SIDE):
        problem = f"its map {name} is {values.shape}, not ({SIDE}, {SIDE})"
        raise InputError(path, problem, _GIVE)
    return values.astype(np.float32)


def _averages(maps: Mapping[str, FrameMap], about: Mapping[str, Any]) -> Averages:
    """The averages that a file holds.

    Raises:
        ValueError: another format or another preprocessing.
        KeyError, TypeError, BonescintError: the content is not a normal database's.
    """
    if about and (about["bonescint_normals"] != _FORMAT or about["recipe"] != PREPROCESSING):
        raise ValueError("another format")
    known = {kind.name for kind in CHARACTERISTICS}
    spreads = {
        name: Spread(**{**spread, "percentiles": tuple(map(float, spread["percentiles"]))})
        for name, spread in about.get("spreads", {}).items()
        if name in known
    }
    spectrum = np.full(len(BANDS) - 1, np.nan)
    if about and list(about["bands"]) == list(BANDS):
        spectrum = np.array([np.nan if v is None else v for v in about["spectrum"]], np.float64)
    return Averages(
        maps=FrameMaps(**maps, scans=int(about.get("scans", 0))),
        spreads=spreads,
        spectrum=spectrum,
        patients=int(about.get("patients", 0)),
        unlabelled=int(about.get("unlabelled", 0)),
    )
