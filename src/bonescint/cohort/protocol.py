"""What cohort to simulate: centres with their cameras, patients and numbers of studies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np

from bonescint.scan import ParameterError, Split
from bonescint.scan.checked import (
    check_name,
    check_number,
    check_shares,
    check_table,
    check_text,
    check_whole,
)
from bonescint.schema import PackagedYaml, construct
from bonescint.simulate import CAMERAS, Disease, Population

MOST_STUDIES = 1_000_000
"""Most studies of one split and label; more is taken for a typing error."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Studies:
    """How many studies of a centre go to one split.

    Attributes:
        positive: with metastatic bone disease that can be seen.
        negative: without metastases.

    Raises:
        ParameterError: a number that is not whole, or below 0.
    """

    positive: int
    negative: int

    def __post_init__(self) -> None:
        for name in ("positive", "negative"):
            check_whole(self, name, 0, MOST_STUDIES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """One hospital: its cameras, its patients and its numbers of studies.

    Attributes:
        cameras: share of studies acquired with each of the simulator's cameras; sums to 1.
        studies: numbers by split.
        population: its patients.
        counts: counts of a study relative to its camera's median.

    Raises:
        ParameterError: shares that do not sum to 1, an unknown camera, no study, or counts
            that are not above 0.
    """

    cameras: Mapping[str, float]
    studies: Mapping[Split, Studies]
    population: Population = field(default_factory=Population)
    counts: float = 1.0

    def __post_init__(self) -> None:
        unknown = [name for name in check_table(self, "cameras") if name not in CAMERAS]
        if unknown:
            raise ParameterError("cameras", "Centre", f"among {', '.join(CAMERAS)}", unknown[0])
        check_shares(self, "cameras")
        parts = check_table(self, "studies").values()
        if not any(part.positive + part.negative for part in parts):
            raise ParameterError("studies", "Centre", "at least one study", "none")
        check_number(self, "counts", 0.01, 100)
        object.__setattr__(self, "cameras", MappingProxyType(dict(self.cameras)))
        object.__setattr__(self, "studies", MappingProxyType(dict(self.studies)))


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenHashes:
    """The cohort that a protocol gave when it was frozen.

    Attributes:
        seed: seed of the cohort.
        sha256: for each centre a hash of the labels and counts of its studies, in order.
    """

    seed: int
    sha256: Mapping[str, str]

    def __post_init__(self) -> None:
        check_whole(self, "seed", 0, 2**63)
        for centre, digest in check_table(self, "sha256").items():
            if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
                raise ParameterError(
                    "sha256", "FrozenHashes", f"64 digits for centre {centre}", digest
                )
        object.__setattr__(self, "sha256", MappingProxyType(dict(self.sha256)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """A cohort to simulate.

    Attributes:
        name: what users call it.
        version: counted up whenever the cohort changes.
        centres: by name, in the order in which they are simulated.
        disease: number, size and uptake of metastases, which make the cohort easy or hard.
        description: in a sentence.
        frozen: the cohort that it gave when it was frozen; `None` while it may still change.

    Raises:
        ParameterError: no centre, an empty name, a version below 1.

    Examples:
        >>> centre = Centre(cameras={"symbia": 1.0},
        ...                 studies={Split.TRAIN: Studies(positive=2, negative=3)})
        >>> Protocol(name="mine", version=1, centres={"A": centre}).count
        5
    """

    name: str
    version: int
    centres: Mapping[str, Centre]
    disease: Disease = field(default_factory=Disease)
    description: str = ""
    frozen: FrozenHashes | None = None

    def __post_init__(self) -> None:
        check_name("Protocol", "name", self.name)
        check_whole(self, "version", 1, 1_000_000)
        check_text(self, "description")
        if not check_table(self, "centres"):
            raise ParameterError("centres", "Protocol", "at least one centre", "none")
        for name in self.centres:
            check_name("Protocol", "centres", name)
        strangers = [] if self.frozen is None else set(self.frozen.sha256) - set(self.centres)
        if strangers:
            raise ParameterError("frozen", "Protocol", "of its own centres", min(strangers))
        object.__setattr__(self, "centres", MappingProxyType(dict(self.centres)))

    @property
    def identifier(self) -> str:
        """Name and version, as cohorts record it."""
        return f"{self.name}@{self.version}"

    @property
    def count(self) -> int:
        """Number of studies of all centres together."""
        return sum(
            part.positive + part.negative
            for centre in self.centres.values()
            for part in centre.studies.values()
        )

    def of_centres(self, names: Iterable[str]) -> Protocol:
        """The same protocol with some of its centres; the studies of each stay identical.

        Raises:
            ParameterError: a centre that it does not have.

        Examples:
            >>> centre = Centre(cameras={"symbia": 1.0},
            ...                 studies={Split.TEST: Studies(positive=2, negative=3)})
            >>> both = Protocol(name="mine", version=1, centres={"A": centre, "B": centre})
            >>> list(both.of_centres("B").centres)
            ['B']
        """
        wanted = list(names)
        strangers = set(wanted) - set(self.centres)
        if strangers:
            requirement = f"among {', '.join(self.centres)}"
            raise ParameterError("names", "of_centres", requirement, min(strangers))
        frozen = self.frozen
        if frozen is not None:
            kept = {name: frozen.sha256[name] for name in wanted if name in frozen.sha256}
            frozen = replace(frozen, sha256=kept)
        return replace(self, centres={name: self.centres[name] for name in wanted}, frozen=frozen)


def mixed_protocol(count: int, *, prevalence: float = 0.5) -> Protocol:
    """One centre with every camera and version 2 of the body, for training and for tests.

    Args:
        count: number of studies; 70 % go to training, 15 % each to validation and test,
            with the same prevalence.
        prevalence: share with metastatic bone disease.

    Raises:
        ParameterError: a count below 1, or a prevalence outside 0 to 1.

    Examples:
        >>> mixed_protocol(20).centres["mixed"].studies[Split.TRAIN]
        Studies(positive=7, negative=7)
    """
    if not 1 <= count <= MOST_STUDIES:
        raise ParameterError("count", "mixed_protocol", f"from 1 to {MOST_STUDIES}", count)
    if not 0 <= prevalence <= 1:
        raise ParameterError("prevalence", "mixed_protocol", "from 0 to 1", prevalence)
    positive = round(count * prevalence)
    of_positive, of_negative = _shared_out(positive), _shared_out(count - positive)
    centre = Centre(
        cameras={name: 1 / len(CAMERAS) for name in CAMERAS},
        studies={
            split: Studies(positive=of_positive[split], negative=of_negative[split])
            for split in Split
        },
        population=Population(anatomy=2),
    )
    return Protocol(
        name=f"mixed-{count}-{prevalence:g}",
        version=2,
        centres={"mixed": centre},
        description="Patients and cameras of every kind.",
    )


_SPLIT_SHARES = {Split.TRAIN: 0.70, Split.VALIDATION: 0.15, Split.TEST: 0.15}


def _shared_out(count: int) -> dict[Split, int]:
    """Divide a number by the splits' shares into whole numbers (largest-remainder method)."""
    exact = {split: share * count for split, share in _SPLIT_SHARES.items()}
    given = {split: int(share) for split, share in exact.items()}
    left = count - sum(given.values())
    for split in sorted(exact, key=lambda split: given[split] - exact[split])[:left]:
        given[split] += 1
    return given


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySpec:
    """One study to simulate.

    Attributes:
        seed: seed of the cohort.
        centre: name of the centre.
        split: where it belongs.
        positive: with metastatic bone disease or without.
        number: index within centre, split and label, so that a larger protocol keeps the
            studies of a smaller one.
    """

    seed: int
    centre: str
    split: Split
    positive: bool
    number: int

    def key(self, attempt: int = 0) -> str:
        """The key of the study: 16 hexadecimal digits that do not reveal the label.

        Args:
            attempt: number of patients drawn before for this study and rejected as occult.

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
    """The studies of a protocol: centre by centre, with labels mixed.

    Args:
        protocol: what to simulate.
        seed: seed of the cohort.

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


_PACKAGED = PackagedYaml(package="bonescint.cohort", folder="protocols", noun="protocol")


def protocol_names() -> tuple[str, ...]:
    """Names of the protocols that come with the package.

    Examples:
        >>> "ibrahim2023" in protocol_names()
        True
    """
    return _PACKAGED.names()


def read_protocol(name: str | Path) -> Protocol:
    """Read a protocol by its name, or from a YAML file.

    Args:
        name: one of `protocol_names()` for the newest version, with `@` and a number for an
            earlier one, or a path that ends in `.yaml` or `.yml`.

    Raises:
        ParameterError: no protocol of that name; the message lists those that exist.
        InputError: an unreadable file; an unknown key, a missing one or an impossible value, named
            with its place.
        MissingExtraError: PyYAML is not installed.

    Examples:
        >>> protocol = read_protocol("ibrahim2023")
        >>> protocol.count, list(protocol.centres)
        (2365, ['A', 'B', 'C'])
        >>> protocol.identifier, read_protocol("ibrahim2023@1").identifier
        ('ibrahim2023@2', 'ibrahim2023@1')
    """
    return protocol_from(*_PACKAGED.read(name))


def protocol_from(content: object, source: str) -> Protocol:
    """A protocol from plain tables, as YAML, JSON and `bonescint.schema.plain` give them.

    Args:
        content: the tables.
        source: named in errors.

    Raises:
        InputError: an unknown key, a missing one or an impossible value, named with its place.
    """
    return construct(Protocol, content, source, _PACKAGED.remedy)
