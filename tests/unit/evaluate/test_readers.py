import pytest

from bonescint import mrmc
from bonescint.evaluate import readers


def test_the_old_name_of_reader_statistics_forwards_and_says_so() -> None:
    with pytest.warns(DeprecationWarning, match=r"import read_reads from there"):
        assert readers.read_reads is mrmc.read_reads
    with pytest.raises(AttributeError):
        readers.not_there  # noqa: B018
