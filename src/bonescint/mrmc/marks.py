"""Marked foci: what readers pointed at, with ratings (the free-response paradigm)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.notes import Note
from bonescint.mrmc.reads import Reads, natural_order
from bonescint.scan import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One mark of a reader.

    Attributes:
        reader: name of the reader.
        modality: name of the modality or session.
        case: name of the case.
        lesion: which lesion of the case was hit, as its truth names it; `None` for a mark
            where no lesion is.
        rating: higher for surer.
    """

    reader: str
    modality: str
    case: str
    lesion: str | None
    rating: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.rating):
            raise ParameterError("rating", "Mark", "a finite number", self.rating)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedReads:
    """All marks of a study.

    Attributes:
        modalities: names.
        readers: names.
        cases: names.
        lesions: number of lesions in each case, int (cases,); 0 without disease.
        weights: float64 (cases, most lesions), how much each lesion of a case matters; sums to 1
            in a case with disease, 0 where a case has fewer.
        read: bool (modalities, readers, cases), who looked at what.
        hits: float64 (modalities, readers, cases, most lesions), the highest rating given to
            each lesion; minus infinity where it was not marked.
        false_marks: for each modality and reader, (numbers of cases, ratings) of marks where no
            lesion is.
        notes: what was left out on the way here.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    lesions: NDArray[np.int64]
    weights: NDArray[np.float64]
    read: NDArray[np.bool_]
    hits: NDArray[np.float64]
    false_marks: tuple[tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...], ...]
    notes: tuple[Note, ...] = ()

    @classmethod
    def of(
        cls,
        marks: Iterable[Mark],
        lesions: Mapping[str, Mapping[str, float]],
        *,
        readers: Iterable[str] = (),
        modalities: Iterable[str] = (),
        read: Iterable[tuple[str, str, str]] | None = None,
        notes: tuple[Note, ...] = (),
    ) -> Self:
        """From a list of marks.

        Args:
            marks: in any order; of several on one lesion the highest counts.
            lesions: for every case, its lesions with their weights; none without disease.
                Weights that are all 0 are equal; they are scaled to sum to 1.
            readers: names, where some may have marked nothing.
            modalities: names, where in some nothing may have been marked.
            read: (modality, reader, case) of what was looked at; everything by everybody if
                `None`, as a case without marks is a case that was read.
            notes: what was left out before.

        Raises:
            ParameterError: no case, a mark on a case or a lesion that is not listed.
        """
        listed = list(marks)
        cases = natural_order(lesions)
        everybody = natural_order([*readers, *(mark.reader for mark in listed)])
        everything = natural_order([*modalities, *(mark.modality for mark in listed)])
        if not (cases and everybody and everything):
            raise ParameterError("marks", "MarkedReads.of", "of a case, a reader, a modality", 0)
        names = [tuple(lesions[case]) for case in cases]
        most = max(1, *(len(of_case) for of_case in names))
        shape = (len(everything), len(everybody), len(cases))
        where = [
            {name: index for index, name in enumerate(kind)}
            for kind in (everything, everybody, cases)
        ]
        looked = np.ones(shape, bool) if read is None else np.zeros(shape, bool)
        for modality, reader, case in read or ():
            looked[where[0][modality], where[1][reader], where[2][case]] = True
        hits = np.full((*shape, most), -np.inf)
        false: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for mark in listed:
            if mark.case not in where[2]:
                raise ParameterError("case", "Mark", "one of the study's", mark.case)
            at = (where[0][mark.modality], where[1][mark.reader], where[2][mark.case])
            if mark.lesion is None:
                false.setdefault(at[:2], []).append((at[2], mark.rating))
                continue
            if mark.lesion not in names[at[2]]:
                raise ParameterError("lesion", "Mark", f"one of case {mark.case}", mark.lesion)
            lesion = names[at[2]].index(mark.lesion)
            hits[(*at, lesion)] = max(hits[(*at, lesion)], mark.rating)
        return cls(
            modalities=everything,
            readers=everybody,
            cases=cases,
            lesions=np.array([len(of_case) for of_case in names]),
            weights=_weights([list(lesions[case].values()) for case in cases], most),
            read=looked,
            hits=hits,
            false_marks=tuple(
                tuple(_columns(false.get((i, j), [])) for j in range(shape[1]))
                for i in range(shape[0])
            ),
            notes=notes,
        )

    @property
    def truth(self) -> NDArray[np.bool_]:
        """Bool (cases,), whether disease is there."""
        return np.asarray(self.lesions > 0)

    def with_notes(self, *notes: Note) -> MarkedReads:
        """The same, and more that has to be known."""
        return replace(self, notes=(*self.notes, *notes))

    def highest(self) -> Reads:
        """Reads whose rating is that of the surest mark of the case: the inferred ROC data.

        A case without any mark gets a rating one below the lowest mark of the study.
        """
        surest = self.hits.max(axis=3)
        for modality, of_readers in enumerate(self.false_marks):
            for reader, (cases, ratings) in enumerate(of_readers):
                np.maximum.at(surest[modality, reader], cases, ratings)
        marked = surest[np.isfinite(surest)]
        floor = float(marked.min()) - 1.0 if marked.size else 0.0
        ratings = np.where(np.isfinite(surest), surest, floor)
        return Reads(
            modalities=self.modalities,
            readers=self.readers,
            cases=self.cases,
            truth=self.truth,
            ratings=np.where(self.read, ratings, np.nan),
            seconds=np.full(self.read.shape, np.nan),
            notes=self.notes,
        )


def _weights(of_cases: list[list[float]], most: int) -> NDArray[np.float64]:
    weights = np.zeros((len(of_cases), most))
    for row, given in zip(weights, of_cases, strict=True):
        if given and (min(given) < 0 or not all(map(math.isfinite, given))):
            raise ParameterError("lesions", "MarkedReads.of", "of weights of at least 0", given)
        total = sum(given)
        row[: len(given)] = [weight / total if total else 1 / len(given) for weight in given]
    return weights


def _columns(
    listed: Sequence[tuple[int, float]],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    cases = np.array([case for case, _ in listed], dtype=np.int64)
    return cases, np.array([rating for _, rating in listed], dtype=np.float64)
