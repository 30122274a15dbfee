from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from statsmodels.stats.proportion import proportion_confint

from bonescint.classify.archive import join_results, summarise_results
from bonescint.classify.table import TABLE_NAME, RunFacts, table_of, write_part
from bonescint.scan import InputError, OutputError

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")
pytest.importorskip("duckdb")
pytest.importorskip("matplotlib")

RUN = RunFacts(model_id="m@1", model_sha256="", operating_point=0.5, settings="{}", software="b")


def _record(number: int, rng: np.random.Generator) -> dict[str, Any]:
    if number % 7 == 0:
        reason = f"is not a whole-body image: {number} x 128 pixels. Leave this file out."
        if number % 3 == 0:
            reason = f"is a duplicate of DOE JOHN/{number} (same content, scan bs-1). Give it once."
        if number == 7:
            reason = "holds DOE^JANE. Leave this file out."
        return {"source": f"DOE JOHN/{number}.dcm", "kind": "InputError", "reason": reason}
    probability = float(rng.random())
    unlike = rng.random() < 0.2
    year = None if rng.random() < 0.1 else int(rng.integers(2010, 2014))
    camera = None if number % 5 == 0 else f"Camera {number % 3}"
    return {
        "scan_id": f"bs-{number}",
        "source": f"DOE JOHN/{number}.dcm",
        "views": ["anterior"],
        "mbd_probability": probability,
        "positive": None if unlike and number % 2 else probability >= 0.5,
        "uncertain": abs(probability - 0.5) < 0.1,
        "unlike": bool(unlike),
        "warnings": [],
        "picture": f"pictures/bs-{number}.png",
        "acquisition": {
            "year": year,
            "manufacturer": None if camera is None else "Maker",
            "camera": camera,
            "file_sha256": [f"{number}"],
        },
    }


def _archive(place: Path, *, count: int = 300) -> Path:
    rng = np.random.default_rng(5)
    for shard, site in enumerate(("Ghent", "", "Leuven")):
        run = RunFacts.of(
            {
                "model_id": "m@1",
                "operating_point": 0.5,
                "software": {},
                "settings": {"site": site},
            }
        )
        records = [_record(number, rng) for number in range(shard * count, (shard + 1) * count)]
        write_part(table_of(records, run), place / f"run-{shard}" / TABLE_NAME)
    join_results(sorted(place.iterdir()), place / "all.parquet")
    return place / "all.parquet"


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_counts_are_those_of_pandas(tmp_path: Path) -> None:
    table = _archive(tmp_path)
    found = summarise_results(table, tmp_path / "summary")
    frame = pandas.read_parquet(table)
    scans = frame[frame["scan_id"].notna()]
    assert found.total.scans == len(scans)
    assert found.total.refused == len(frame) - len(scans)
    frame["year"] = frame["year"].map(lambda year: "not known" if np.isnan(year) else f"{year:.0f}")
    makers = frame["manufacturer"] + " " + frame["camera"]
    frame["scanner"] = makers.where(frame["camera"].notna(), "not known")
    frame["site"] = frame["site"].where(frame["site"].notna(), frame["results"])
    for group in ("year", "scanner", "site"):
        rows = _rows(tmp_path / "summary" / f"by-{group}.csv")
        shown = frame if group == "site" else frame[frame["scan_id"].notna()]
        assert [row[group] for row in rows] == sorted(shown[group].unique())
        for row in rows:
            chosen = shown[shown[group] == row[group]]
            classified = chosen[chosen["scan_id"].notna()]
            positive = int((classified["positive"] == True).sum())  # noqa: E712 - may be None
            negative = int((classified["positive"] == False).sum())  # noqa: E712
            assert int(row["scans"]) == len(classified)
            assert int(row["positive"]) == positive
            assert int(row["negative"]) == negative
            assert int(row["no_call"]) == len(classified) - positive - negative
            assert int(row["unlike"]) == int(classified["unlike"].sum())
            assert int(row["uncertain"]) == int(
                (classified["uncertain"] & classified["positive"].notna()).sum()
            )
            assert int(row["refused"]) == len(chosen) - len(classified)
            low, high = proportion_confint(positive, positive + negative, method="wilson")
            assert float(row["low"]) == pytest.approx(low, abs=1e-6)
            assert float(row["high"]) == pytest.approx(high, abs=1e-6)
    counted, _ = np.histogram(scans["mbd_probability"], bins=50, range=(0, 1))
    assert list(counted) == list(found.histogram)
    written = _rows(tmp_path / "summary" / "histogram.csv")
    assert [int(row["scans"]) for row in written] == list(counted)


def test_no_name_is_on_the_page(tmp_path: Path) -> None:
    found = summarise_results(_archive(tmp_path), tmp_path / "summary")
    reasons = {reason: number for _, reason, number in found.refusals}
    assert sum(reasons.values()) == found.total.refused
    assert "is not a whole-body image: N x N pixels. Leave this file out." in reasons
    assert "is a duplicate of another study. Give it once." in reasons
    assert reasons["reasons that fewer than 5 inputs share"] == 1
    for file in (tmp_path / "summary").iterdir():
        assert "DOE" not in file.read_text(encoding="utf-8")


def test_a_sample_of_pictures_is_chosen_by_the_scans_alone(tmp_path: Path) -> None:
    table = _archive(tmp_path)
    none = summarise_results(table, tmp_path / "summary")
    assert none.pictures == ()
    assert "Sample of pictures" not in (tmp_path / "summary" / "index.html").read_text()
    for row in pandas.read_parquet(table).itertuples():
        if isinstance(row.picture, str) and row.picture[-5] != "7":
            path = tmp_path / row.results / row.picture
            path.parent.mkdir(exist_ok=True)
            Image.new("L", (60, 40)).save(path)
    found = summarise_results(table, tmp_path / "summary")
    assert len(found.pictures) == 12
    assert len({picture.path for picture in found.pictures}) == 12
    assert sum("uncertain" in picture.caption for picture in found.pictures) >= 3
    page = (tmp_path / "summary" / "index.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == 12
    assert "Research use only" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")
    reordered = [tmp_path / f"run-{number}" for number in (2, 0, 1)]
    join_results(reordered, tmp_path / "other.parquet")
    other = summarise_results(tmp_path / "other.parquet", tmp_path / "other")
    assert [one.caption for one in other.pictures] == [one.caption for one in found.pictures]


def test_a_results_folder_needs_no_join(tmp_path: Path) -> None:
    _archive(tmp_path, count=40)
    found = summarise_results(tmp_path / "run-1", tmp_path / "summary")
    assert [one.name for one in found.groups["site"]] == ["not known"]
    assert found.repeated == 0


def test_what_would_mislead_is_said(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    records = [_record(number, rng) for number in range(1, 6)]
    write_part(table_of([*records, records[0]], RUN), tmp_path / "twice" / TABLE_NAME)
    found = summarise_results(tmp_path / "twice", tmp_path / "summary")
    assert found.repeated == 1
    page = (tmp_path / "summary" / "index.html").read_text(encoding="utf-8")
    assert "in this table more than once" in page
    other = RunFacts(
        model_id="n@2", model_sha256="", operating_point=0.4, settings="{}", software="b"
    )
    write_part(table_of(records, RUN), tmp_path / "one" / TABLE_NAME)
    write_part(table_of(records, other), tmp_path / "other" / TABLE_NAME)
    folders = [tmp_path / "one", tmp_path / "other"]
    join_results(folders, tmp_path / "both.parquet", several_models=True)
    both = summarise_results(tmp_path / "both.parquet", tmp_path / "summary")
    assert both.many_models
    assert both.repeated == 0
    page = (tmp_path / "summary" / "index.html").read_text(encoding="utf-8")
    assert "shares mix different operating points" in page
    assert "By model" in page


def test_nothing_to_summarise_and_foreign_files_are_said(tmp_path: Path) -> None:
    write_part(table_of([], RUN), tmp_path / "empty" / TABLE_NAME)
    with pytest.raises(InputError, match="has no rows"):
        summarise_results(tmp_path / "empty", tmp_path / "summary")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "index.html").write_text("<title>Mine</title>")
    with pytest.raises(OutputError, match="not from an earlier run"):
        summarise_results(_archive(tmp_path / "a", count=20), tmp_path / "mine")


def test_only_refusals_are_a_page_too(tmp_path: Path) -> None:
    refused = [{"source": "a.dcm", "kind": "InputError", "reason": "is empty."}] * 6
    write_part(table_of(refused, RUN), tmp_path / "run" / TABLE_NAME)
    found = summarise_results(tmp_path / "run", tmp_path / "summary")
    assert found.refusals == (("InputError", "is empty.", 6),)
    assert found.groups["year"] == ()
