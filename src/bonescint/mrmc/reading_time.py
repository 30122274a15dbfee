"""How long reading took."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bonescint.mrmc.jsonable import jsonable
from bonescint.mrmc.reads import Reads


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingTime:
    """How long one reader took for a case, in one modality.

    Attributes:
        reader: the name.
        modality: the name.
        cases: of how many cases a time is known.
        median_s: seconds.
        lower_quartile_s: seconds.
        upper_quartile_s: seconds.
        geometric_mean_s: seconds, of the times above 0.
        total_s: seconds.
    """

    reader: str
    modality: str
    cases: int
    median_s: float
    lower_quartile_s: float
    upper_quartile_s: float
    geometric_mean_s: float
    total_s: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(jsonable(asdict(self)))


def reading_times(reads: Reads) -> tuple[ReadingTime, ...]:
    """Of every reader and modality with known times.

    Examples:
        >>> from bonescint.mrmc import Read
        >>> seconds = {"1": 10.0, "2": 40.0}
        >>> study = Reads.of(
        ...     [Read(reader="A", modality="AP", case=c, rating=1, seconds=s)
        ...      for c, s in seconds.items()],
        ...     {"1": True, "2": False},
        ... )
        >>> round(reading_times(study)[0].geometric_mean_s, 9)
        20.0
    """
    found = []
    for modality, of_readers in zip(reads.modalities, reads.seconds, strict=True):
        for reader, row in zip(reads.readers, of_readers, strict=True):
            known = row[~np.isnan(row)]
            if not known.size:
                continue
            lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
            positive = known[known > 0]
            mean = float(np.exp(np.log(positive).mean())) if positive.size else math.nan
            found.append(
                ReadingTime(
                    reader=reader,
                    modality=modality,
                    cases=int(known.size),
                    median_s=float(median),
                    lower_quartile_s=float(lower),
                    upper_quartile_s=float(upper),
                    geometric_mean_s=mean,
                    total_s=float(known.sum()),
                )
            )
    return tuple(found)
