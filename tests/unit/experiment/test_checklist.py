"""Checklists: their items, who fills them, and the counted score."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.experiment.report.checklist import (
    Filler,
    checklist_names,
    read_checklist,
    read_metadata,
    score,
    topics,
)
from bonescint.scan import InputError, ParameterError


def test_the_checklists_have_the_published_numbers_of_items() -> None:
    """CLAIM 2020: 42 items. STARD 2015: 30 items in 34 rows."""
    claim, stard = read_checklist("claim2020"), read_checklist("stard2015")
    assert [item.item for item in claim.items] == [str(number) for number in range(1, 43)]
    assert (len(stard.numbers()), len(stard.items)) == (30, 34)


def test_an_item_is_filled_by_the_run_unless_people_wrote_more() -> None:
    claim = read_checklist("claim2020")
    filled = {
        entry.item.item: entry
        for entry in claim.filled(
            {"model": "VGG16", "title": " "}, {"model": "ours", "title": "A title"}
        )
    }
    assert (filled["22"].by, filled["22"].content) == (Filler.METADATA, "ours")
    assert filled["1"].by is Filler.PERSON
    assert filled["2"].by is None
    assert score(tuple(filled.values())) == (2, 42)


def test_everything_given_is_everything_filled() -> None:
    everything = dict.fromkeys(topics(), "said")
    for name in checklist_names():
        filled, of = score(read_checklist(name).filled(everything, {}))
        assert filled == of


def test_metadata_is_a_text_a_topic(tmp_path: Path) -> None:
    file = tmp_path / "study-metadata.yaml"
    file.write_text("funding: none\nregistration:\n", encoding="utf-8")
    assert read_metadata(file) == {"funding": "none"}
    file.write_text("fundings: none\nfunding: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"unknown topic 'fundings'; funding: must be a text"):
        read_metadata(file)
    file.write_text("- a\n", encoding="utf-8")
    with pytest.raises(InputError, match="table of topics"):
        read_metadata(file)
    with pytest.raises(InputError, match="no such file"):
        read_metadata(tmp_path / "none.yaml")


def test_an_unknown_checklist_is_refused() -> None:
    with pytest.raises(ParameterError, match="claim2020, stard2015"):
        read_checklist("tripod")
