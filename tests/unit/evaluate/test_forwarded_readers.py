import pytest

from bonescint import mrmc
from bonescint.evaluate import readers


def test_the_old_name_of_reader_statistics_forwards_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match=r"import read_reads from there"):
        assert readers.read_reads is mrmc.read_reads
    with pytest.raises(AttributeError):
        readers.not_there  # noqa: B018


def test_the_old_names_in_it_forward_to_their_successors() -> None:
    with pytest.warns(DeprecationWarning, match="import Hypothesis from there"):
        assert readers.Aim is mrmc.Hypothesis
    for old, new in readers._RENAMED.items():
        assert not hasattr(mrmc, old)
        assert hasattr(mrmc, new)
