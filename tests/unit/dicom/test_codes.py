"""Tables of codes against pydicom's copy of the standard's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

from bonescint.dicom.orientation import (
    FEET_FIRST,
    PRONE,
    VIEWS,
    is_another_view,
    is_one_of,
    view_of,
)
from bonescint.scan import View


def codes_of(group: int) -> Iterator[tuple[str, str, str]]:
    """Scheme, value and meaning of a context group, SNOMED RT's beside SNOMED CT's."""
    for scheme, keywords in cid_concepts[group].items():
        for keyword in keywords:
            for value, (meaning, groups) in concepts[scheme][keyword].items():
                if group in groups:
                    yield scheme, value, meaning.lower()
                    if scheme == "SCT" and value in mapping["SCT"]:
                        yield "SRT", mapping["SCT"][value], meaning.lower()


FRONTAL = {
    "anterior projection": View.ANTERIOR, "antero-posterior": View.ANTERIOR,
    "posterior projection": View.POSTERIOR, "postero-anterior": View.POSTERIOR,
}  # fmt: skip


@pytest.mark.parametrize("group", [26, 4010])
def test_every_projection_of_the_standard_is_known_for_what_it_is(group: int) -> None:
    seen = set()
    for scheme, value, meaning in codes_of(group):
        view = FRONTAL.get(meaning)
        assert view_of((scheme, value)) is view, meaning
        sideways = "oblique" in meaning or "lateral" in meaning
        assert is_another_view((scheme, value)) is sideways, meaning
        seen.add(view)
    assert seen == {*View, None}


def test_every_code_of_ours_means_in_the_standard_what_it_means_here() -> None:
    for (scheme, value), view in VIEWS.items():
        if (scheme, value) == ("SRT", "R-10214"):  # the first of two codes; pydicom has the last
            continue
        current = mapping["SRT"][value] if scheme == "SRT" else value
        named = concepts["SCT" if scheme == "SRT" else scheme]
        meanings = [codes[current][0].lower() for codes in named.values() if current in codes]
        assert meanings, value
        for meaning in meanings:
            assert meaning.startswith(view.value[:4]), (value, meaning)


def test_position_codes() -> None:
    for codes, group, wanted in ((FEET_FIRST, 21, "feet-first"), (PRONE, 20, "prone")):
        standard = {(scheme, value) for scheme, value, text in codes_of(group) if text == wanted}
        assert codes == standard
        assert is_one_of(("", next(iter(codes))[1]), codes)
