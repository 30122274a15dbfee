"""Shards of an archive together are the whole, whatever its place and the order of its files."""

from __future__ import annotations

import csv
import json
import runpy
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonescint.classify import ClassifySummary, Shard, classify
from bonescint.classify.naming import SourceNames
from bonescint.classify.shards import without_shards
from bonescint.dicom import Discovery, discover
from bonescint.model import ModelFolder
from bonescint.scan import ParameterError

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, write_archive: Callable[..., Path]) -> Path:
    folder = write_archive(tmp_path_factory.mktemp("sharded") / "nm", 9)
    paint_body = runpy.run_path(str(SUPPORT / "dicom_files.py"))["paint_body"]
    views = [paint_body(40 + side, rows=512, columns=128, posterior=bool(side)) for side in (0, 1)]
    beside = Image.fromarray(np.minimum(4 * np.hstack(views), 255).astype(np.uint8))
    for place in ("a", "b"):  # one picture twice: it has no UID
        beside.save(folder / f"{place}.png")
    return folder


def _sources(found: Discovery, start: Path) -> Counter[tuple[str, ...]]:
    def below(path: Path) -> str:
        return path.relative_to(start).as_posix()

    studies = [tuple(below(file) for file in study.files) for study in found.studies]
    return Counter([*studies, *((below(Path(error.source)),) for error in found.refused)])


@pytest.mark.parametrize("of", [1, 2, 5, 40])
def test_the_union_of_all_shards_is_the_whole(archive: Path, tmp_path: Path, of: int) -> None:
    moved = shutil.copytree(archive, tmp_path / "elsewhere")
    found, again = discover([archive]), discover([moved])
    again = Discovery(studies=again.studies[::-1], refused=again.refused[::-1])
    names, other_names = (
        SourceNames.relative(there, [start]) for there, start in ((found, archive), (again, moved))
    )
    together: Counter[tuple[str, ...]] = Counter()
    for number in range(1, of + 1):
        part = _sources(Shard(number, of).part_of(found, names), archive)
        assert part == _sources(Shard(number, of).part_of(again, other_names), moved)
        together += part
    assert together == _sources(found, archive)


def test_what_shares_its_identifiers_is_in_one_shard(archive: Path) -> None:
    found = discover([archive])
    names = SourceNames.relative(found, [archive])
    for wanted in ("one-uid", ".png"):
        holding = [
            number
            for number in range(1, 41)
            if any(
                wanted in study.source for study in Shard(number, 40).part_of(found, names).studies
            )
        ]
        assert len(holding) == 1


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def test_shards_give_the_rows_that_the_whole_gives(
    archive: Path, tmp_path: Path, model: ModelFolder
) -> None:
    def run(shard: Shard | None = None, *, hashed: bool = False) -> ClassifySummary:
        out = tmp_path / ("hashed" if hashed else "whole" if shard is None else "sharded")
        return classify(
            archive, out, model=model, workers=0, pictures=False, shard=shard, hash_sources=hashed
        )

    whole = run()
    parts = [run(Shard(number, 3)) for number in (1, 2, 3)]
    assert [part.folder.name for part in parts] == [f"shard-{n}-of-3" for n in (1, 2, 3)]
    rows = [row for part in parts for row in _rows(part.folder)]
    assert sorted(map(str, rows)) == sorted(map(str, _rows(tmp_path / "whole")))
    assert {refusal for part in parts for refusal in part.refused} == set(whole.refused)
    assert sum(len(part.refused) for part in parts) == len(whole.refused)
    assert len(whole.results) == 12
    assert all(result.picture == "" for result in whole.results)
    assert not list((tmp_path / "whole" / "pictures").iterdir())
    head = json.loads((parts[2].folder / "results.json").read_text())
    assert head["settings"]["shard"] == "3/3"
    hashed = [run(Shard(number, 2), hashed=True) for number in (1, 2)]
    assert sum(len(part.results) for part in hashed) == len(whole.results)
    assert sum(len(part.refused) for part in hashed) == len(whole.refused)
    assert (tmp_path / "hashed.private" / "sources.csv").is_file()


def test_results_of_other_shards_are_no_inputs(archive: Path, tmp_path: Path) -> None:
    inside = shutil.copytree(archive, tmp_path / "nm")
    shutil.copytree(archive / "year-0", inside / "out" / "shard-1-of-2" / "pictures")
    found = without_shards(discover([inside]), inside / "out")
    assert found.studies
    assert not any("shard-1-of-2" in study.source for study in found.studies)


@pytest.mark.parametrize("text", ["0/4", "5/4", "3", "3/0", "a/b", "-1/4", ""])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="K/N with K from 1 to N"):
        Shard.parse(text)
