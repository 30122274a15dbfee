"""Patients into splits: shares, test centres, what is the same for every seed."""

from __future__ import annotations

from collections import Counter

import pytest

from bonescint.cohort.splitting import DEFAULT_SHARES, PatientToSplit, SplitRule, deal, parse_shares
from bonescint.scan import ParameterError, Split


def people(
    count: int, *centres: str, positive: bool = False, start: int = 0
) -> list[PatientToSplit]:
    return [
        PatientToSplit(
            patient_id=f"{centre}{number}", positive=positive, centres=frozenset([centre])
        )
        for centre in centres
        for number in range(start, start + count)
    ]


def test_beside_a_test_centre_train_and_validation_keep_their_ratio() -> None:
    """0.7 to 0.15 is 14 to 3: of 34 patients 28 and 6, whatever the share of tests was."""
    rule = SplitRule(shares=DEFAULT_SHARES, test_centres=("C",))
    dealt = deal([*people(34, "A"), *people(9, "C")], rule)
    assert Counter(dealt[f"A{n}"] for n in range(34)) == {Split.TRAIN: 28, Split.VALIDATION: 6}
    assert {dealt[f"C{n}"] for n in range(9)} == {Split.TEST}


def test_the_ratio_beside_a_test_centre_holds_within_each_label() -> None:
    shares = {Split.TRAIN: 0.3, Split.VALIDATION: 0.1, Split.TEST: 0.6}
    both = [*people(40, "A"), *people(20, "A", positive=True, start=40), *people(3, "C")]
    dealt = deal(both, SplitRule(shares=shares, test_centres=("C",)))
    for positive, train, validation in ((False, 30, 10), (True, 15, 5)):
        found = Counter(
            dealt[one.patient_id]
            for one in both
            if one.positive is positive and one.centres == frozenset("A")
        )
        assert found == {Split.TRAIN: train, Split.VALIDATION: validation}


def test_a_patient_of_several_centres_one_of_them_a_test_centre_is_tested_on() -> None:
    both = PatientToSplit(patient_id="both", positive=False, centres=frozenset("AC"))
    dealt = deal([both, *people(4, "A")], SplitRule(shares=DEFAULT_SHARES, test_centres=("C",)))
    assert dealt["both"] is Split.TEST
    assert Split.TEST not in {dealt[f"A{n}"] for n in range(4)}


def test_the_default_shares() -> None:
    assert DEFAULT_SHARES == {Split.TRAIN: 0.7, Split.VALIDATION: 0.15, Split.TEST: 0.15}
    assert SplitRule(shares=DEFAULT_SHARES) == SplitRule(
        shares=DEFAULT_SHARES, seed=1, test_centres=()
    )
    dealt = deal(people(200, "A"), SplitRule(shares=DEFAULT_SHARES))
    assert Counter(dealt.values()) == {Split.TRAIN: 140, Split.VALIDATION: 30, Split.TEST: 30}


def test_a_pinned_split() -> None:
    """Whoever makes a cohort again must get the split that was published."""
    dealt = deal(people(5, "A", "B"), SplitRule(shares=DEFAULT_SHARES, seed=7))
    assert {split: sorted(n for n, one in dealt.items() if one is split) for split in Split} == {
        Split.TRAIN: ["A1", "A2", "A4", "B0", "B1", "B3", "B4"],
        Split.VALIDATION: ["A3", "B2"],
        Split.TEST: ["A0"],
    }
    other = deal(people(5, "A", "B"), SplitRule(shares=DEFAULT_SHARES, seed=8))
    assert other != dealt
    assert deal(reversed(people(5, "A", "B")), SplitRule(shares=DEFAULT_SHARES, seed=7)) == dealt


@pytest.mark.parametrize(
    ("shares", "seed", "test_centres", "says"),
    [
        ({Split.TRAIN: 0.5}, 1, (), "shares that sum to 1"),
        ({Split.TRAIN: 1.0}, -1, (), "at least 0"),
        ({Split.TEST: 1.0}, 1, ("C",), "above 0 for train or validation with a test centre"),
    ],
)
def test_rules_that_are_refused(
    shares: dict[Split, float], seed: int, test_centres: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ParameterError, match=says):
        SplitRule(shares=shares, seed=seed, test_centres=test_centres)


def test_a_seed_of_0_is_one() -> None:
    assert SplitRule(shares=DEFAULT_SHARES, seed=0).seed == 0


def test_shares_as_people_write_them() -> None:
    assert parse_shares(" train = 0.8, test=.2") == {Split.TRAIN: 0.8, Split.TEST: 0.2}
    for text in ("train", "train=x", "tarin=1", ""):
        with pytest.raises(ParameterError, match=r"like train=0.7,validation=0.15,test=0.15"):
            parse_shares(text)
