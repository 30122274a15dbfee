"""Protocols: what they ask for, how they are read, what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bonescint.cohort import mixed_protocol, protocol_names, read_protocol
from bonescint.cohort.protocol import protocol_from, study_specs
from bonescint.scan import InputError, ParameterError, Split
from bonescint.schema import plain

# Table 1 of Ibrahim et al. 2023: centre, split, with metastasis, normal.
TABLE_1 = {
    ("A", Split.TRAIN): (235, 668),
    ("A", Split.VALIDATION): (58, 58),
    ("B", Split.TRAIN): (94, 206),
    ("B", Split.VALIDATION): (24, 24),
    ("C", Split.TEST): (411, 587),
}


def test_the_papers_table_1() -> None:
    specs = list(study_specs(read_protocol("ibrahim2023"), seed=1))
    assert len(specs) == 2365
    found = {
        cell: tuple(
            sum((o.centre, o.split) == cell and o.positive is positive for o in specs)
            for positive in (True, False)
        )
        for cell in {(o.centre, o.split) for o in specs}
    }
    assert found == TABLE_1
    assert len({spec.key() for spec in specs}) == 2365


def test_the_external_centre_has_cameras_of_its_own() -> None:
    centres = read_protocol("ibrahim2023").centres
    assert not set(centres["C"].cameras) & (set(centres["A"].cameras) | set(centres["B"].cameras))


def test_a_part_of_a_protocol_has_the_same_studies_and_hashes() -> None:
    whole = read_protocol("ibrahim2023")
    part = whole.of_centres("BA")
    assert whole.frozen is not None
    assert part.frozen is not None
    assert dict(part.frozen.sha256) == {name: whole.frozen.sha256[name] for name in "AB"}
    keys = {spec.key() for spec in study_specs(whole, seed=1) if spec.centre != "C"}
    assert {spec.key() for spec in study_specs(part, seed=1)} == keys
    with pytest.raises(ParameterError, match="among A, B, C"):
        whole.of_centres("AX")


@pytest.mark.parametrize("name", protocol_names())
def test_earlier_versions_of_a_protocol_stay_readable(name: str) -> None:
    first, newest = read_protocol(f"{name}@1"), read_protocol(name)
    assert (first.version, newest.version) == (1, 2)
    assert newest == read_protocol(f"{name}@2")
    assert {one.population.anatomy for one in first.centres.values()} == {1}
    assert {one.population.anatomy for one in newest.centres.values()} == {2}
    with pytest.raises(ParameterError, match="one of development, ibrahim2023"):
        read_protocol(f"{name}@3")


@pytest.mark.parametrize("name", protocol_names())
def test_packaged_protocols_survive_plain_tables(name: str) -> None:
    protocol = read_protocol(name)
    assert protocol.name == name
    assert protocol.frozen is not None
    assert set(protocol.frozen.sha256) == set(protocol.centres)
    assert protocol_from(plain(protocol), "here") == protocol


@pytest.mark.parametrize("prevalence", [0.1, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("count", [1, 7, 60, 1000])
def test_every_split_has_the_cohorts_prevalence(count: int, prevalence: float) -> None:
    protocol = mixed_protocol(count, prevalence=prevalence)
    assert protocol.count == count
    (centre,) = protocol.centres.values()
    shares = {Split.TRAIN: 0.70, Split.VALIDATION: 0.15, Split.TEST: 0.15}
    for split, part in centre.studies.items():
        assert part.positive == pytest.approx(shares[split] * prevalence * count, abs=1.5)
        assert part.negative == pytest.approx(shares[split] * (1 - prevalence) * count, abs=1.5)


def test_a_larger_cohort_holds_the_smaller_one() -> None:
    small = {spec.key() for spec in study_specs(mixed_protocol(100), seed=4)}
    large = {spec.key() for spec in study_specs(mixed_protocol(1000), seed=4)}
    other = {spec.key() for spec in study_specs(mixed_protocol(1000), seed=5)}
    assert small < large
    assert not large & other


def test_labels_come_in_no_order() -> None:
    labels = [spec.positive for spec in study_specs(read_protocol("ibrahim2023"), seed=1)]
    first = labels[:903]  # centre A, training: 235 positive
    assert sum(first[:452]) == pytest.approx(235 / 2, abs=30)


@pytest.mark.parametrize(("count", "prevalence"), [(0, 0.5), (4, 1.5), (4, -0.1)])
def test_impossible_mixtures_are_refused(count: int, prevalence: float) -> None:
    with pytest.raises(ParameterError):
        mixed_protocol(count, prevalence=prevalence)


def written(folder: Path, change: dict[str, object]) -> Path:
    content = yaml.safe_load(
        """
        name: mine
        version: 1
        centres:
          X:
            cameras: {symbia: 1.0}
            population: {age_mean: 60}
            studies: {train: {positive: 2, negative: 3}}
        """
    )
    for place, value in change.items():
        *path, last = place.split("/")
        table = content
        for name in path:
            table = table[name]
        table[last] = value
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def test_a_protocol_of_ones_own(tmp_path: Path) -> None:
    protocol = read_protocol(written(tmp_path, {}))
    assert protocol.identifier == "mine@1"
    assert protocol.count == 5
    assert protocol.centres["X"].population.age_mean == 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"centers": {}}, r"mine\.yaml: unknown key 'centers'; known are name, version, centres"),
        ({"centres/X/camera": "symbia"}, r"centres\.X: unknown key 'camera'"),
        ({"centres/X/cameras": {"symbia": 0.5}}, r"centres\.X: .*sum to 1"),
        ({"centres/X/cameras": {"gamma9": 1.0}}, r"centres\.X: .*gamma9"),
        ({"centres/X/counts": -1}, r"centres\.X: .*'counts'.*from 0.01"),
        ({"centres/X/population": {"age": 4}}, r"centres\.X\.population: unknown key 'age'"),
        ({"centres/X/population": {"age_mean": 4}}, r"centres\.X\.population: .*'age_mean'"),
        (
            {"centres/X/studies": {"trian": {}}},
            r"centres\.X\.studies: unknown key 'trian'; known are train, validation, test",
        ),
        (
            {"centres/X/studies/train": {"positive": -1, "negative": 0}},
            r"studies\.train: .*positive",
        ),
        ({"centres/X/studies/train": {"positive": 1}}, r"studies\.train\.negative: is missing"),
        ({"centres/X/studies/train": {"positive": 0, "negative": 0}}, r"at least one study"),
        ({"centres": {}}, r"at least one centre"),
        ({"centres": [1]}, r"centres: must be a table"),
        ({"centres/X/counts": "1e9"}, r"X\.counts: .*1\.0e\+9, not 1e9"),
        ({"centres/X/counts": float("inf")}, r"'counts'"),
        ({"centres/X/counts": True}, r"X\.counts: must be a number.*not True"),
        ({"centres/X/cameras": None}, r"X\.cameras: must be a table"),
        ({"centres/X/cameras": "symbia"}, r"X\.cameras: must be a table"),
        ({"centres/X/cameras": {"symbia": "all"}}, r"cameras\.symbia: must be a number"),
        ({"centres/X/population": {"female_share": True}}, r"female_share: must be a number"),
        (
            {"centres/X/population": {"primaries_male": ["lung"]}},
            r"primaries_male: must be a table",
        ),
        ({"centres/X/studies/train": {"positive": 10**20, "negative": 0}}, r"'positive'"),
        ({"centres": {"../x": None}}, r"centres"),
        ({"name": "a\nb"}, r"'name'"),
        ({"name": 5}, r"name: must be a text, not 5"),
        ({"version": "1"}, r"version: must be a whole number"),
        ({"version": 1.5}, r"version: must be a whole number"),
        ({"description": {"a": 1}}, r"description: must be a text"),
        ({"frozen": {"seed": "x", "sha256": {}}}, r"frozen\.seed: must be a whole number"),
        ({"frozen": {"seed": 1, "sha256": {"X": "00"}}}, r"frozen: .*'sha256'"),
        ({"frozen": {"seed": 1, "sha256": {"Y": "0" * 64}}}, r"'frozen'.*own centres"),
        ({"version": 0}, r"'version'.*from 1"),
    ],
)
def test_impossible_protocols_name_the_place(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        read_protocol(written(tmp_path, change))


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"one of .*ibrahim2023"):
        read_protocol("ibrahim")
    with pytest.raises(InputError, match="no such file"):
        read_protocol(tmp_path / "none.yaml")
    (tmp_path / "broken.yaml").write_text("name: [1\n- b: {")
    with pytest.raises(InputError, match="not readable as YAML"):
        read_protocol(tmp_path / "broken.yaml")
    (tmp_path / "twice.yaml").write_text("name: a\nversion: 1\nversion: 2\ncentres: {}\n")
    with pytest.raises(InputError, match="'version' occurs twice"):
        read_protocol(tmp_path / "twice.yaml")
    for number, text in enumerate(("name: 2026-99-99", "name: " + "9" * 5000, "[" * 3000)):
        (tmp_path / f"odd{number}.yaml").write_text(text)
        with pytest.raises(InputError, match="not readable as YAML"):
            read_protocol(tmp_path / f"odd{number}.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(InputError, match="must be a table"):
        read_protocol(tmp_path / "list.yaml")
