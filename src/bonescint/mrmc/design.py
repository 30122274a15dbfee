"""How a study is laid out: what is crossed with what, and what is nested in what."""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from bonescint.mrmc.notes import some


class Design(StrEnum):
    """Layouts of a multi-reader study."""

    FACTORIAL = "factorial"
    CASES_IN_READERS = "cases nested in readers"
    CASES_IN_MODALITIES = "cases nested in modalities"
    CASES_IN_CELLS = "cases nested in readers and modalities"
    READERS_IN_MODALITIES = "readers nested in modalities"
    READERS_AND_CASES_IN_MODALITIES = "readers and cases nested in modalities"
    UNBALANCED = "unbalanced"

    @property
    def readers_nested(self) -> bool:
        """Whether each modality has readers of its own."""
        return self in (Design.READERS_IN_MODALITIES, Design.READERS_AND_CASES_IN_MODALITIES)


def detect_design(read: NDArray[np.bool_]) -> Design:
    """The layout, from who read what.

    Args:
        read: bool (modalities, readers, cases).

    Examples:
        >>> detect_design(np.ones((2, 3, 10), bool)).value
        'factorial'
    """
    modalities, readers, _ = read.shape
    reads_in = read.any(axis=2)  # (modalities, readers)
    by_modality = np.asarray(read.any(axis=1))  # (modalities, cases)
    cases_apart = modalities > 1 and int(by_modality.sum(axis=0).max()) == 1
    if modalities > 1 and int(reads_in.sum(axis=0).max()) == 1:
        if cases_apart:
            return Design.READERS_AND_CASES_IN_MODALITIES
        return Design.READERS_IN_MODALITIES
    by_reader = np.asarray(read.any(axis=0))  # (readers, cases)
    readers_apart = readers > 1 and int(by_reader.sum(axis=0).max()) == 1
    if readers_apart and cases_apart:
        return Design.CASES_IN_CELLS
    if readers_apart:
        whole = bool((read == by_reader[None]).all())
        return Design.CASES_IN_READERS if whole else Design.UNBALANCED
    if cases_apart:
        whole = bool((read == by_modality[:, None]).all())
        return Design.CASES_IN_MODALITIES if whole else Design.UNBALANCED
    return Design.FACTORIAL if bool(read.all()) else Design.UNBALANCED


def holes(
    read: NDArray[np.bool_],
    modalities: tuple[str, ...],
    readers: tuple[str, ...],
    cases: tuple[str, ...],
) -> tuple[str, ...]:
    """What is missing from a study that is nearly factorial, named.

    Args:
        read: bool (modalities, readers, cases).
        modalities: names.
        readers: names.
        cases: names.
    """
    found = []
    for modality, by_reader in zip(modalities, read, strict=True):
        for reader, mine in zip(readers, by_reader, strict=True):
            if mine.all():
                continue
            if not mine.any():
                found.append(f"reader {reader} read nothing in modality {modality}")
                continue
            missing = [cases[index] for index in np.flatnonzero(~mine)]
            number = "case" if len(missing) == 1 else "cases"
            found.append(
                f"reader {reader} did not read {len(missing)} {number} in modality {modality}: "
                f"{some(missing)}"
            )
    return tuple(found)
