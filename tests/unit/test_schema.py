"""Plain tables to dataclasses: what is taken, what is refused, and where errors say it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bonescint.scan import InputError, ParameterError
from bonescint.schema import PackagedYaml, construct, plain, read_yaml, read_yaml_file


class Colour(StrEnum):
    GREY = "grey"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    level: float
    count: int = 1
    colour: Colour | None = None

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ParameterError("count", "Inner", "at least 0", self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    name: str
    parts: tuple[Inner, ...] = ()
    by_colour: Mapping[Colour, Inner] = field(default_factory=dict)
    by_name: Mapping[str, float] = field(default_factory=dict)
    ends: tuple[float, float] = (0.0, 1.0)
    file: Path | None = None
    flag: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_colour", MappingProxyType(dict(self.by_colour)))


def made(content: object, **more: str) -> Outer:
    return construct(Outer, content, "mine.yaml", "Correct it", **more)


def test_tables_lists_and_words_become_what_the_annotations_say() -> None:
    outer = made(
        {
            "name": "a",
            "parts": [{"level": 0.5, "colour": "blue"}],
            "by_colour": {"grey": {"level": 2, "count": 3}},
            "ends": [1, 2.5],
            "file": "x/y.yaml",
        }
    )
    assert outer.parts == (Inner(level=0.5, colour=Colour.BLUE),)
    assert outer.by_colour[Colour.GREY] == Inner(level=2, count=3)
    assert (outer.ends, outer.file) == ((1, 2.5), Path("x/y.yaml"))


def test_whole_numbers_stay_whole_so_that_a_file_written_again_is_the_same() -> None:
    content = {"name": "a", "ends": [1, 2.5], "by_colour": {"grey": {"level": 2}}}
    again = plain(made(content))
    assert repr(again["ends"]) == "[1, 2.5]"
    assert repr(again["by_colour"]["grey"]["level"]) == "2"
    assert made(again) == made(content)


def test_parts_that_are_constructed_already_are_taken() -> None:
    inner = Inner(level=1.0)
    assert made({"name": "a", "parts": [inner]}).parts[0] == inner


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"name": "a", "nome": 1}, "unknown key 'nome'; known are name, parts, by_colour, by_name"),
        ({"nome": 1}, "unknown key 'nome'"),
        ({}, "name: is missing"),
        ([1], "must be a table of names and values"),
        (None, "must be a table of names and values"),
        ({"name": 5}, "name: must be a text, not 5"),
        ({"name": "a", "flag": "yes"}, "flag: must be true or false, not 'yes'"),
        ({"name": "a", "flag": 1}, "flag: must be true or false"),
        ({"name": "a", "parts": 3}, "parts: must be a list, not 3"),
        ({"name": "a", "parts": [{"lev": 1}]}, r"parts\[0\]: unknown key 'lev'; known are level"),
        ({"name": "a", "parts": [{"level": "1e9"}]}, r"parts\[0\].level: must be a number \(1.0e"),
        ({"name": "a", "parts": [{"level": True}]}, r"parts\[0\].level: must be a number"),
        (
            {"name": "a", "parts": [{"level": 1, "count": 1.5}]},
            r"parts\[0\].count: must be a whole number",
        ),
        (
            {"name": "a", "parts": [{"level": 1, "count": True}]},
            r"parts\[0\].count: must be a whole number",
        ),
        ({"name": "a", "parts": [{"level": 1, "count": -1}]}, r"parts\[0\]: The 'count' param"),
        (
            {"name": "a", "parts": [{"level": 1, "colour": "red"}]},
            r"parts\[0\].colour: must be one of grey, blue, not 'red'",
        ),
        ({"name": "a", "by_colour": {"red": {"level": 1}}}, "by_colour: unknown key 'red'; known"),
        ({"name": "a", "by_colour": {"grey": {"x": 1}}}, "by_colour.grey: unknown key 'x'"),
        ({"name": "a", "by_name": {1: 0.5}}, "by_name: unknown key 1: it must be a text"),
        ({"name": "a", "by_colour": [1]}, "by_colour: must be a table"),
        ({"name": "a", "ends": [1]}, r"ends\[1\]: is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(content: object, says: str) -> None:
    with pytest.raises(InputError, match=f"mine.yaml: {says}"):
        made(content)


def test_a_place_in_a_larger_file_goes_before() -> None:
    with pytest.raises(InputError, match=r"mine\.yaml: models\.a\.name: is missing\. Correct it"):
        made({}, place="models.a")


def test_keys_that_occur_twice_and_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'a' occurs twice"):
        read_yaml("a: 1\na: 2", "here", "Correct it")
    with pytest.raises(InputError, match="not readable as YAML"):
        read_yaml("a: [1\n- b: {", "here", "Correct it")
    with pytest.raises(InputError, match="no such file"):
        read_yaml_file(tmp_path / "none.yaml", "Correct it")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe4")
    with pytest.raises(InputError, match="cannot be read"):
        read_yaml_file(tmp_path / "latin.yaml", "Correct it")


def test_packaged_files_are_found_by_name_and_by_path(tmp_path: Path) -> None:
    packaged = PackagedYaml(package="bonescint.cohort", folder="protocols", noun="protocol")
    content, source = packaged.read("development")
    assert (source, isinstance(content, dict)) == ("protocol development", True)
    assert packaged.read("protocols/development.yaml") == (content, source)
    own = tmp_path / "development.yaml"
    own.write_text("name: mine")
    read: tuple[Any, str] = packaged.read(own)
    assert read == ({"name": "mine"}, str(own))
    with pytest.raises(ParameterError, match=r"one of .*development"):
        packaged.read("nobody")
