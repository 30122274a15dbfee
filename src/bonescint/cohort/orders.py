"""Which studies a protocol asks for: each has a key of its own that all its draws come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bonescint.cohort.protocol import Protocol
from bonescint.scan import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """One study to simulate.

    Attributes:
        seed: of the cohort.
        centre: name of the centre.
        split: where it belongs.
        positive: with metastatic bone disease or without.
        number: counted within centre, split and label, so that a cohort that grows keeps
            the studies that it has.
    """

    seed: int
    centre: str
    split: Split
    positive: bool
    number: int

    def key(self, attempt: int = 0) -> str:
        """16 hexadecimal digits that tell nothing of the label.

        Args:
            attempt: counts patients whose metastases could not be seen and who were drawn
                again.

        Examples:
            >>> spec = StudySpec(seed=1, centre="A", split=Split.TRAIN, positive=True, number=0)
            >>> len(spec.key()), spec.key() == spec.key(1)
            (16, False)
        """
        return self._digest(attempt).hex()[:16]

    def generator(self, attempt: int = 0) -> np.random.Generator:
        """The source of everything that is random in this study."""
        return np.random.default_rng(list(self._digest(attempt)))

    def _digest(self, attempt: int) -> bytes:
        said = (self.seed, self.centre, self.split.value, self.positive, self.number, attempt)
        return hashlib.blake2b("/".join(map(str, said)).encode(), digest_size=32).digest()


def study_specs(protocol: Protocol, seed: int) -> Iterator[StudySpec]:
    """The studies of a protocol: centre by centre, labels in no order.

    Args:
        protocol: what to simulate.
        seed: of the cohort.

    Examples:
        >>> from bonescint.cohort import mixed_protocol
        >>> len(list(study_specs(mixed_protocol(12), seed=1)))
        12
    """
    for name, centre in protocol.centres.items():
        for split, studies in centre.studies.items():
            specs = [
                StudySpec(seed=seed, centre=name, split=split, positive=positive, number=number)
                for positive, count in ((True, studies.positive), (False, studies.negative))
                for number in range(count)
            ]
            yield from sorted(specs, key=StudySpec.key)
