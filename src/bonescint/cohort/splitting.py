"""Deal patients into splits by given shares, balanced by label and centre, from a seed."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bonescint.scan import ParameterError, Split
from bonescint.scan.checked import check_shares

DEFAULT_SHARES: Mapping[Split, float] = {Split.TRAIN: 0.7, Split.VALIDATION: 0.15, Split.TEST: 0.15}
"""The default shares."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitRule:
    """How patients are dealt into splits.

    Attributes:
        shares: shares of the patients, by split; they sum to 1.
        seed: seed of the order in which patients are dealt.
        test_centres: external centres, all of whose patients go to the test split; train and
            validation then share the rest in proportion.

    Raises:
        ParameterError: shares that do not sum to 1, or a negative seed.
    """

    shares: Mapping[Split, float]
    seed: int = 1
    test_centres: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shares(self, "shares")
        if self.seed < 0:
            raise ParameterError("seed", "SplitRule", "at least 0", self.seed)
        if self.test_centres and not _others(self.shares):
            requirement = "above 0 for train or validation with a test centre"
            raise ParameterError("shares", "SplitRule", requirement, dict(self.shares))


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientToSplit:
    """What the split of a patient depends on.

    Attributes:
        patient_id: pseudonym.
        positive: whether any scan shows the disease.
        centres: where the patient was scanned.
    """

    patient_id: str
    positive: bool
    centres: frozenset[str]


def _others(shares: Mapping[Split, float]) -> dict[Split, float]:
    kept = {split: share for split, share in shares.items() if split is not Split.TEST and share}
    whole = sum(kept.values())
    return {split: share / whole for split, share in kept.items()} if whole else {}


def deal(patients: Iterable[PatientToSplit], rule: SplitRule) -> dict[str, Split]:
    """Give every patient one split.

    Within each label, patients go centre by centre, in an order drawn from the seed, each to
    the split that is furthest behind its share: counts differ from the shares by less than one
    patient a label, and by about one a centre.

    Args:
        patients: each once.
        rule: shares, seed and test centres.

    Returns:
        The split of each patient.

    Examples:
        >>> people = [PatientToSplit(patient_id=str(n), positive=n % 2 == 0, centres=frozenset("A"))
        ...           for n in range(40)]
        >>> dealt = deal(people, SplitRule(shares={Split.TRAIN: 0.75, Split.TEST: 0.25}))
        >>> sum(split is Split.TEST for split in dealt.values())
        10
    """
    chosen: dict[str, Split] = {}
    strata: dict[bool, list[PatientToSplit]] = defaultdict(list)
    for patient in patients:
        if patient.centres & set(rule.test_centres):
            chosen[patient.patient_id] = Split.TEST
        else:
            strata[patient.positive].append(patient)
    shares = _others(rule.shares) if rule.test_centres else dict(rule.shares)
    for positive in (True, False):
        counts = dict.fromkeys(shares, 0)
        ordered = sorted(strata[positive], key=lambda patient: _place(patient, rule.seed))
        for done, patient in enumerate(ordered, start=1):
            split = max(shares, key=lambda name: shares[name] * done - counts[name])
            counts[split] += 1
            chosen[patient.patient_id] = split
    return chosen


def _place(patient: PatientToSplit, seed: int) -> tuple[str, str]:
    text = f"{seed}/{patient.patient_id}"
    return min(patient.centres), hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def parse_shares(text: str) -> dict[Split, float]:
    """Parse the shares of the splits from text such as `train=0.8,validation=0.2`.

    Raises:
        ParameterError: an unknown split, or a share that is no number.

    Examples:
        >>> parse_shares("train=0.8,validation=0.2")
        {<Split.TRAIN: 'train'>: 0.8, <Split.VALIDATION: 'validation'>: 0.2}
    """
    shares: dict[Split, float] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        try:
            shares[Split(name.strip())] = float(number)
        except ValueError:
            wanted = "like train=0.7,validation=0.15,test=0.15"
            raise ParameterError("shares", "cohort create", wanted, text) from None
    return shares
