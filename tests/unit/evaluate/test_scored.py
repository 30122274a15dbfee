import numpy as np
import pytest

from bonescint.evaluate.scored import ScoredCases
from bonescint.scan import ParameterError


@pytest.mark.parametrize(
    ("scores", "positive", "says"),
    [
        ([], [], "one for each case"),
        ([[0.1]], [True], "one for each case"),
        ([0.1, np.nan], [0, 1], "finite numbers.*nan for case 1"),
        ([0.1, np.inf], [0, 1], "finite"),
        ([0.1, 0.2], [0], r"shape \(2,\)"),
        ([0.1, 0.2], [0, 2], "0 or 1.*Got .*2"),
        ([0.1, 0.2], [0, 0.5], "0 or 1.*Got .*0.5"),
    ],
)
def test_what_are_no_scored_cases(scores: list[float], positive: list[int], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        ScoredCases(scores=np.array(scores), positive=np.array(positive))


def test_classes_and_probabilities_are_asked_for() -> None:
    one = ScoredCases(scores=np.array([0.1, 1.2]), positive=np.array([True, True]))
    with pytest.raises(ParameterError, match=r"both classes.*2 with disease, 0 without"):
        one.require_both_classes("here")
    with pytest.raises(ParameterError, match=r"probabilities.*1\.2"):
        one.require_probabilities("here")


def test_arrays_are_frozen_copies() -> None:
    scores = np.array([0.1, 0.2])
    cases = ScoredCases(scores=scores, positive=np.array([True, False]))
    scores[0] = 5
    assert cases.scores[0] == 0.1
    with pytest.raises(ValueError, match="read-only"):
        cases.scores[0] = 1
    assert cases.prevalence == 0.5
    assert cases.of(np.array([True, False])).count == 1
