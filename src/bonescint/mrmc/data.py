"""The data of a reader study: ratings of cases (`Reads`), or marks on them (`MarkedReads`)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.results import Note, chosen
from bonescint.scan import ParameterError

_DIGITS = re.compile(r"(\d+)")


class Nest(StrEnum):
    """Whether each reader, or each modality, has cases of its own under the same names."""

    READERS = "readers"
    MODALITIES = "modalities"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One reader's answer on one case in one modality.

    Attributes:
        reader: name of the reader.
        modality: name of the modality or session.
        case: name of the case.
        rating: higher for disease; a binary decision is 0 or 1.
        seconds: how long it took; `None` where it was not measured.
    """

    reader: str
    modality: str
    case: str
    rating: float
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("reader", "modality", "case"):
            if not getattr(self, name):
                raise ParameterError(name, "Read", "a name", getattr(self, name))
        if not math.isfinite(self.rating):
            raise ParameterError("rating", "Read", "a finite number", self.rating)
        if self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0):
            raise ParameterError("seconds", "Read", "a number of at least 0", self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reads:
    """All reads of a study, of any design; names in natural order (2 before 10).

    Attributes:
        modalities: names.
        readers: names.
        cases: names.
        truth: bool (cases,), whether disease is there.
        ratings: float64 (modalities, readers, cases); NaN where a reader did not read.
        seconds: float64, the same shape; NaN where no time is known.
        notes: what was left out so far.
    """

    modalities: tuple[str, ...]
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    truth: NDArray[np.bool_]
    ratings: NDArray[np.float64]
    seconds: NDArray[np.float64]
    notes: tuple[Note, ...] = ()

    def __post_init__(self) -> None:
        shape = (len(self.modalities), len(self.readers), len(self.cases))
        if self.ratings.shape != shape or self.seconds.shape != shape:
            got = (self.ratings.shape, self.seconds.shape)
            raise ParameterError("ratings", "Reads", f"of the shape {shape}", got)
        if self.truth.shape != shape[2:] or self.truth.dtype != np.bool_:
            raise ParameterError("truth", "Reads", "a bool for each case", self.truth.shape)
        if np.isinf(self.ratings).any():
            raise ParameterError("ratings", "Reads", "finite, or not a number", "infinite ones")
        for name in ("modalities", "readers", "cases"):
            if len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ParameterError(name, "Reads", "different names", getattr(self, name))
        for array in (self.truth, self.ratings, self.seconds):
            array.setflags(write=False)

    @classmethod
    def of(
        cls, reads: Iterable[Read], truth: Mapping[str, bool], *, notes: tuple[Note, ...] = ()
    ) -> Self:
        """Collect a list of reads.

        Args:
            reads: in any order; no two of the same reader, modality and case.
            truth: whether disease is there, for every case that was read.
            notes: what was left out before.

        Raises:
            ParameterError: no read, a read listed twice, a case without truth.

        Examples:
            >>> study = Reads.of(
            ...     [Read(reader="A", modality="AP", case="1", rating=3.0)], {"1": True}
            ... )
            >>> study.ratings.shape
            (1, 1, 1)
        """
        listed = list(reads)
        if not listed:
            raise ParameterError("reads", "Reads.of", "at least one read", "none")
        modalities = natural_order(read.modality for read in listed)
        readers = natural_order(read.reader for read in listed)
        cases = natural_order(read.case for read in listed)
        unknown = [case for case in cases if case not in truth]
        if unknown:
            raise ParameterError("truth", "Reads.of", "known of every case", unknown[:5])
        ratings = np.full((len(modalities), len(readers), len(cases)), np.nan)
        seconds = np.full(ratings.shape, np.nan)
        where = [
            {name: index for index, name in enumerate(kind)}
            for kind in (modalities, readers, cases)
        ]
        for read in listed:
            at = (where[0][read.modality], where[1][read.reader], where[2][read.case])
            if not math.isnan(ratings[at]):
                got = (read.reader, read.modality, read.case)
                raise ParameterError("reads", "Reads.of", "one for a reader and a case", got)
            ratings[at] = read.rating
            seconds[at] = math.nan if read.seconds is None else read.seconds
        positive = np.array([bool(truth[case]) for case in cases], dtype=np.bool_)
        return cls(
            modalities=modalities,
            readers=readers,
            cases=cases,
            truth=positive,
            ratings=ratings,
            seconds=seconds,
            notes=notes,
        )

    @property
    def read(self) -> NDArray[np.bool_]:
        """Bool (modalities, readers, cases), whether the reader read the case."""
        return ~np.isnan(self.ratings)

    @property
    def binary(self) -> bool:
        """Whether all ratings are 0 or 1: decisions."""
        return bool(np.isin(self.ratings[self.read], (0.0, 1.0)).all())

    def of_modality(self, modality: str) -> Reads:
        """The reads of one modality, with its readers and cases only."""
        if modality not in self.modalities:
            raise ParameterError("modality", "Reads", f"one of {self.modalities}", modality)
        row = [self.modalities.index(modality)]
        readers, cases = (np.asarray(self.read[row].any(axis=axes)) for axes in ((0, 2), (0, 1)))
        here = replace(
            self,
            modalities=(modality,),
            readers=_kept(self.readers, readers),
            ratings=self.ratings[row][:, readers],
            seconds=self.seconds[row][:, readers],
        )
        return here.of_cases(cases)

    def of_cases(self, wanted: NDArray[np.bool_]) -> Reads:
        """Select the reads of some cases.

        Args:
            wanted: bool (cases,).
        """
        return replace(
            self,
            cases=_kept(self.cases, wanted),
            truth=self.truth[wanted],
            ratings=self.ratings[:, :, wanted],
            seconds=self.seconds[:, :, wanted],
        )

    def nested_in(self, nest: Nest) -> Reads:
        """Nest cases in readers or modalities that use the same names for different cases.

        A case name that two readers (or modalities) share becomes two cases with the same truth.
        If their truth differs, nest the rows with `read_reads(..., nest=...)` instead.
        """
        nest = chosen(Nest, nest, "nest", "Reads.nested_in")
        axis = 1 if nest is Nest.READERS else 0
        names = self.readers if nest is Nest.READERS else self.modalities
        anybody = self.read.any(axis=1 - axis)  # (owners, cases)
        if int(anybody.sum(axis=0).max()) == 1:
            return self  # nobody shares a case
        owners, columns = np.nonzero(anybody)
        owned = np.equal.outer(np.arange(len(names)), owners)
        mine = owned[None, :, :] if nest is Nest.READERS else owned[:, None, :]
        return replace(
            self,
            cases=tuple(
                nested_name(names[owner], self.cases[case])
                for owner, case in zip(owners, columns, strict=True)
            ),
            truth=self.truth[columns],
            ratings=np.where(mine, self.ratings[:, :, columns], np.nan),
            seconds=np.where(mine, self.seconds[:, :, columns], np.nan),
        )


def nested_name(owner: str, case: str) -> str:
    """Name a case that belongs to one reader or modality."""
    return f"{owner}: {case}"


def natural_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort names so that numbers in them go by value, each name once.

    Examples:
        >>> natural_order(["case 10", "case 2", "case 2"])
        ('case 2', 'case 10')
    """
    return tuple(sorted(set(names), key=_natural_key))


def _natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    parts = [part for part in _DIGITS.split(name) if part]
    key = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
    return key, name


def _numbered(names: tuple[str, ...]) -> dict[str, int]:
    return {name: number for number, name in enumerate(names)}


def _kept(names: tuple[str, ...], wanted: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, keep in zip(names, wanted, strict=True) if keep)


@dataclass(frozen=True, slots=True, kw_only=True)
class RatedMark:
    """One mark of a reader.

    Attributes:
        reader: name of the reader.
        modality: name of the modality or session.
        case: name of the case.
        lesion: name of the lesion that was hit, as in the truth; `None` for a false mark.
        rating: higher for more confidence.
    """

    reader: str
    modality: str
    case: str
    lesion: str | None
    rating: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.rating):
            raise ParameterError("rating", "RatedMark", "a finite number", self.rating)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarkedReads:
    """All marks of a study.

    Attributes:
        modalities: names.
        readers: names.
        cases: names.
        lesions: number of lesions in each case, int (cases,); 0 without disease.
        weights: float64 (cases, most lesions), weight of each lesion; sums to 1 in a case with
            disease, 0 where a case has fewer lesions.
        read: bool (modalities, readers, cases), whether the reader read the case.
        hits: float64 (modalities, readers, cases, most lesions), the highest rating given to
            each lesion; minus infinity where it was not marked.
        false_marks: for each modality and reader, (indices of cases, ratings) of false marks.
        notes: what was left out so far.
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
        marks: Iterable[RatedMark],
        lesions: Mapping[str, Mapping[str, float]],
        *,
        readers: Iterable[str] = (),
        modalities: Iterable[str] = (),
        read: Iterable[tuple[str, str, str]] | None = None,
        notes: tuple[Note, ...] = (),
    ) -> Self:
        """Collect a list of marks.

        Args:
            marks: in any order; of several on one lesion the highest counts.
            lesions: for every case, its lesions with their weights; none without disease.
                Weights that are all 0 are equal; they are scaled to sum to 1.
            readers: names of all readers, if some may have marked nothing.
            modalities: names of all modalities, if some may have no marks.
            read: (modality, reader, case) of every reading, with or without marks; if `None`,
                every reader read every case in every modality.
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
        where = [_numbered(kind) for kind in (everything, everybody, cases)]
        looked = np.ones(shape, bool) if read is None else np.zeros(shape, bool)
        for modality, reader, case in read or ():
            looked[where[0][modality], where[1][reader], where[2][case]] = True
        hits = np.full((*shape, most), -np.inf)
        false: dict[tuple[int, int], list[tuple[int, float]]] = {}
        for mark in listed:
            if mark.case not in where[2]:
                raise ParameterError("case", "RatedMark", "one of the study's", mark.case)
            at = (where[0][mark.modality], where[1][mark.reader], where[2][mark.case])
            if mark.lesion is None:
                false.setdefault(at[:2], []).append((at[2], mark.rating))
                continue
            if mark.lesion not in names[at[2]]:
                raise ParameterError("lesion", "RatedMark", f"one of case {mark.case}", mark.lesion)
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

    def highest(self) -> Reads:
        """Return reads rated by the highest mark of each case: the inferred ROC data.

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
