"""The texts of the kinds of finding: none is missing, each has its sources and its picture."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from bonescint.scan import UptakeSite
from bonescint.schema import read_yaml
from bonescint.teach.appearances import Appearance
from bonescint.teach.courses import teachable_kinds
from bonescint.teach.kinds import how_to_tell, read_kinds

METASTATIC = {UptakeSite.METASTASIS, UptakeSite.DIFFUSE_METASTASES, UptakeSite.OTHER}


def test_every_kind_that_the_simulator_makes_has_its_text() -> None:
    """It can make nothing that is not in UptakeSite: FocalUptake refuses other causes."""
    assert set(read_kinds()) == (set(UptakeSite) - METASTATIC) | set(Appearance)
    assert set(teachable_kinds()) == set(read_kinds())


@pytest.mark.parametrize("kind", teachable_kinds())
def test_texts_are_whole_sentences_of_their_length(kind: UptakeSite | Appearance) -> None:
    text = read_kinds()[kind]
    for part in (text.what, text.tell, text.text, text.where):
        assert part[0].isupper(), part
        assert part.endswith("."), part
        assert "  " not in part, part
    assert how_to_tell(kind) == text.tell
    assert len(re.findall(r"[.?!](?=\s|$)", text.tell)) == 1, "one sentence"
    assert 35 <= len(text.text.split()) <= 140
    assert len(text.tell.split()) <= 50
    assert text.example.caption.endswith(".")


def test_names_are_unique() -> None:
    names = [text.name for text in read_kinds().values()]
    assert len(names) == len(set(names))


def test_sources_are_all_used_and_those_that_a_text_names_are_listed() -> None:
    file = resources.files("bonescint.teach.content") / "kinds.yaml"
    content = read_yaml(file.read_text("utf-8"), "kinds.yaml", "")
    used = {source for kind in content["kinds"].values() for source in kind["sources"]}
    assert used == set(content["sources"])
    for kind, text in read_kinds().items():
        for author, year in re.findall(
            r"([A-Z][A-Za-z-]+)(?: [A-Z]{2})? ((?:19|20)\d\d)", text.text
        ):
            named = [one for one in text.sources if author.split()[0] in one and year in one]
            assert named or author == "EANM", f"{kind}: {author} {year}"
