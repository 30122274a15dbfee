"""What an Obuchowski-Rockette analysis says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bonescint.mrmc.components import (
    DbmComponents,
    ErrorCovariances,
    MeanSquares,
    ReaderComponents,
)
from bonescint.mrmc.covariance import CovarianceMethod
from bonescint.mrmc.design import Design
from bonescint.mrmc.jsonable import jsonable
from bonescint.mrmc.merits import Merits
from bonescint.mrmc.notes import Note
from bonescint.mrmc.testing import Inference, OmnibusTest


class Generalisation(StrEnum):
    """To whom a result applies."""

    READERS_AND_CASES = "random readers, random cases"
    CASES = "fixed readers, random cases"
    READERS = "random readers, fixed cases"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalityMean:
    """The mean figure of merit of a modality's readers.

    Attributes:
        modality: its name.
        mean: with its interval, from this modality's own reads.
    """

    modality: str
    mean: Inference


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Two modalities compared: the first minus the second.

    Attributes:
        first: its name.
        second: its name.
        difference: of the mean figures of merit.
        reader: whose it is; empty for that of all readers.
    """

    first: str
    second: str
    difference: Inference
    reader: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        of_reader = {"reader": self.reader} if self.reader else {}
        names = {"first": self.first, "second": self.second}
        return {**of_reader, **names, **self.difference.as_dict()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalised:
    """What the analysis says under one generalisation.

    Attributes:
        to: whom it applies to.
        test: that all modalities are equal; `None` with one modality.
        means: of each modality.
        differences: of each two modalities.
        readers: for fixed readers, each reader's own differences.
        note: why it is undefined; empty if it is not.
    """

    to: Generalisation
    test: OmnibusTest | None
    means: tuple[ModalityMean, ...]
    differences: tuple[Difference, ...]
    readers: tuple[Difference, ...] = ()
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "test": None if self.test is None else self.test.as_dict(),
            "modalities": [{"modality": one.modality, **one.mean.as_dict()} for one in self.means],
            "differences": [one.as_dict() for one in self.differences],
            **({"readers": [one.as_dict() for one in self.readers]} if self.readers else {}),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OrAnalysis:
    """An Obuchowski-Rockette analysis.

    Attributes:
        endpoint: name of the figure of merit.
        method: of the covariances.
        design: layout of the study.
        merits: the figures of merit that were analysed.
        squares: mean squares.
        errors: averaged covariances of the errors.
        of_modality: the same from each modality's own reads.
        components: of readers.
        dbm: of pseudovalues; `None` unless the study is factorial and jackknifed.
        generalised: random readers and cases, fixed readers, fixed cases.
        notes: what was left out and what has to be known.
    """

    endpoint: str
    method: CovarianceMethod
    design: Design
    merits: Merits
    squares: MeanSquares
    errors: ErrorCovariances
    of_modality: tuple[ErrorCovariances, ...]
    components: ReaderComponents
    dbm: DbmComponents | None
    generalised: tuple[Generalised, ...]
    notes: tuple[Note, ...]

    def to(self, generalisation: Generalisation) -> Generalised:
        """What it says under one generalisation."""
        return next(one for one in self.generalised if one.to == generalisation)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, at full precision."""
        return {
            "method": self.method.value,
            "design": self.design.value,
            "readers": list(self.merits.readers),
            "mean_squares": self.squares.as_dict(),
            "error_covariances": self.errors.as_dict(),
            "error_covariances_of_modality": [
                {"modality": name, **errors.as_dict()}
                for name, errors in zip(self.merits.modalities, self.of_modality, strict=True)
            ],
            "reader_components": self.components.as_dict(),
            "dbm_components": None if self.dbm is None else self.dbm.as_dict(),
            "generalisations": {one.to.value: one.as_dict() for one in self.generalised},
            "notes": jsonable([note.as_dict() for note in self.notes]),
        }
