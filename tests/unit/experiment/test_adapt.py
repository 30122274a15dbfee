"""A model adapted to local scans: what it becomes, and what is said of scans that are wrong."""

from __future__ import annotations

import json
import runpy
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bonescint.classify import classify
from bonescint.cli.app import app
from bonescint.cohort import write_manifest
from bonescint.experiment.adaptation.adapt import PAGE, adapt_model
from bonescint.experiment.adaptation.local_scans import find_scans
from bonescint.experiment.adaptation.report import probability_of
from bonescint.model import ModelFolder
from bonescint.scan import Case, InputError, OutputError, ParameterError, Split

pytest.importorskip("matplotlib", reason="needs the extra 'evaluate'")
TESTS = Path(__file__).parents[2]
COUNT = 24


@dataclass(frozen=True)
class Place:
    """Scans of 24 patients, each in a file of its own, and a model that scores by brightness."""

    model: ModelFolder
    files: Sequence[Path]
    hands: dict[str, Any]

    def folder(self, path: Path, numbers: Sequence[int]) -> Path:
        """A folder with some of the scans."""
        path.mkdir(parents=True, exist_ok=True)
        for number in numbers:
            shutil.copy(self.files[number], path)
        return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("place")
    hands = runpy.run_path(str(TESTS / "support" / "archive.py"))
    write = runpy.run_path(str(TESTS / "unit" / "classify" / "stand_in.py"))["write_stand_in_model"]
    files = [
        hands["put"](
            hands["another"](number), folder / f"normal{number:02d}.dcm", patient=f"{1000 + number}"
        )
        for number in range(COUNT)
    ]
    return Place(model=write(folder / "model"), files=files, hands=hands)


def adapted(place: Place, source: Path, out: Path, *options: str) -> Result:
    words = ["model", "adapt", str(place.model.path), "--normals", str(source), "--out", str(out)]
    return CliRunner().invoke(app, [*words, "--workers", "0", *options])


def refused(found: Result) -> str:
    assert found.exit_code == 2, found.output
    assert "Traceback" not in found.output
    return " ".join(found.output.split())


@pytest.fixture(scope="module")
def ours(place: Place, tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """Adaptation to 20 of the patients."""
    folder = tmp_path_factory.mktemp("ours")
    found = adapted(place, place.folder(folder / "normals", range(20)), folder / "m")
    assert found.exit_code == 0, found.output
    return ModelFolder.load(folder / "m")


def test_the_second_highest_of_twenty_is_the_last_negative_one(
    place: Place, ours: ModelFolder, tmp_path: Path
) -> None:
    """By hand: k = floor(0.1 x 21) = 2, and ranks as `classify` itself sees the scores."""
    card = ours.card
    assert card.local is not None
    by_model = classify(place.files, tmp_path / "r", model=place.model, workers=0, pictures=False)
    said = {r.source: r.mbd_probability for r in by_model.results}
    normals = sorted(said[f"normal{n:02d}.dcm"] for n in range(20))
    assert [probability_of(card, one) for one in card.local.scores] == pytest.approx(normals)
    assert card.operating_point == pytest.approx(normals[-2])
    assert sum(one >= card.operating_point for one in normals) == 1
    assert "above the 2nd highest score of 20 normal patients" in card.operating_point_rule
    assert "at most 2/21 (0.0952)" in card.operating_point_rule
    results = classify(
        place.files, tmp_path / "ours", model=ours, workers=0, pictures=False
    ).results
    for one in results:
        rank = one.rank_among_normals
        assert rank is not None
        below = sum(score < one.mbd_probability - 1e-12 for score in normals)
        assert (rank.higher_than, rank.of) == (below, 20)
        assert rank.p_value == pytest.approx((21 - below) / 21)
        assert one.positive is (rank.p_value <= 0.1)


def test_every_result_says_the_rank(place: Place, ours: ModelFolder, tmp_path: Path) -> None:
    classify(place.files[20:22], tmp_path, model=ours, workers=0)
    document = json.loads((tmp_path / "results.json").read_text())
    entry = document["results"][0]
    rank = entry["rank_among_normals"]
    assert rank == entry["prediction"]["rank_among_normals"]
    assert set(rank) == {"higher_than", "of", "p_value"}
    header, first, *_ = (tmp_path / "results.csv").read_text().splitlines()
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["rank_among_normals"] == f"{rank['higher_than']} of 20"
    assert float(row["conformal_p_value"]) == pytest.approx(rank["p_value"], abs=1e-6)
    page = (tmp_path / "index.html").read_text()
    assert f"higher than {rank['higher_than']} of 20 local normal patients" in page
    assert document["model"]["local"]["scans"] == 20
    again = classify(place.files[20:22], tmp_path, model=ours, workers=0)
    assert again.results[0].rank_among_normals is not None


def test_the_folder_is_the_model_with_another_card(place: Place, ours: ModelFolder) -> None:
    assert ours.onnx_path.read_bytes() == place.model.onnx_path.read_bytes()
    assert ours.card.training == place.model.card.training
    assert ours.card.uncertain_band is None
    assert ours.card.version == "1-local"
    local = ours.card.local
    assert local is not None
    assert (local.model_id, len(local.files_sha256)) == (place.model.model_id, 64)
    page = (ours.path / PAGE).read_text()
    assert "Research use only" in page
    assert "<svg" in page or "image/svg+xml" in page
    readme = (ours.path / "docs" / "README.md").read_text()
    assert "Adapted from `stand-in@1" in readme
    for name in ("normal0", "1003", "Mustermann"):
        assert name not in page + readme + json.dumps(ours.card.to_json())
    assert not ours.path.with_name("m.adapting").exists()


def test_the_same_scans_in_other_clothes_give_the_same_model(
    place: Place, ours: ModelFolder, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "normals.zip", "w") as archive:
        for number in range(20):
            archive.write(place.files[number], f"scans/{number}.dcm")
    cases = [
        Case(
            scan_id=f"s{n}", patient_id=f"p{n}", centre="A", split=Split.TRAIN, positive=n >= 20,
            file=str(place.files[n]),
        )
        for n in range(COUNT)
    ]  # fmt: skip
    write_manifest(cases, tmp_path / "known.csv")
    for source, note in (
        (tmp_path / "normals.zip", None),
        (tmp_path / "known.csv", "4 scans were left out that the manifest labels positive"),
    ):
        out = tmp_path / f"of-{source.stem}"
        found = adapted(place, source, out)
        assert found.exit_code == 0, found.output
        card = ModelFolder.load(out).card
        assert card.local is not None
        assert ours.card.local is not None
        assert card.local.scores == ours.card.local.scores
        assert card.operating_point == ours.card.operating_point
        assert card.local.files_sha256 == ours.card.local.files_sha256
        assert note is None or note in card.local.notes


def test_labels_tell_what_became_of_the_calls(place: Place, tmp_path: Path) -> None:
    """Of other patients than those that the threshold was found on."""
    cases = [
        Case(
            scan_id=f"s{n}", patient_id=f"p{n}", centre="A", split=Split.TEST, positive=n % 2 == 0,
            file=str(place.files[n]),
        )
        for n in range(COUNT)
    ]  # fmt: skip
    write_manifest(cases, tmp_path / "manifest.csv")
    normals = place.folder(tmp_path / "normals", range(12))
    said: list[str] = []
    folder, found = adapt_model(
        place.model.path, tmp_path / "m", normals=normals, labelled=tmp_path / "manifest.csv",
        workers=0, tell=said.append,
    )  # fmt: skip
    assert found.labelled is not None
    assert (found.labelled.scans, found.labelled.positives) == (12, 6)
    assert any("12 labelled scans are of patients" in text for text in said)
    results = classify(
        place.files[12:], tmp_path / "r", model=place.model, workers=0, pictures=False
    )
    for card, pair in ((place.model.card, 0), (folder.card, 1)):
        called = np.array([r.mbd_probability >= card.operating_point for r in results.results])
        ill = np.arange(12, COUNT) % 2 == 0
        assert found.labelled.sensitivity[pair].value == pytest.approx(called[ill].mean())
        assert found.labelled.specificity[pair].value == pytest.approx(1 - called[~ill].mean())
    assert [m.name for m in folder.card.metrics] == ["sensitivity_score", "specificity_score"]
    assert "12 other scans with known labels" in (folder.path / PAGE).read_text()


def test_an_assumed_share_is_called_and_said_to_be_assumed(place: Place, tmp_path: Path) -> None:
    source = place.folder(tmp_path / "all", range(20))
    folder, found = adapt_model(
        place.model.path, tmp_path / "m", unlabelled=source, prevalence=0.25, workers=0
    )
    assert found.called_after == 5
    local = folder.card.local
    assert local is not None
    assert (local.normal, local.prevalence) == (False, 0.25)
    assert "an assumption" in folder.card.operating_point_rule
    assert "nothing would show it" in " ".join((folder.path / PAGE).read_text().split()) or (
        "assumed share of disease" in (folder.path / PAGE).read_text()
    )
    classify(place.files[:1], tmp_path / "r", model=folder, workers=0)
    document = json.loads((tmp_path / "r" / "results.json").read_text())
    assert "by an assumption: 25 % have the disease" in document["notice"]
    assert document["results"][0]["rank_among_normals"] is None


def test_a_patient_with_two_scans_counts_once(place: Place, tmp_path: Path) -> None:
    source = place.folder(tmp_path / "normals", range(12))
    second = place.hands["another"](99)
    place.hands["put"](second, source / "again.dcm", patient="1003")
    shutil.copy(source / "normal05.dcm", source / "copy-of-it.dcm")
    said: list[str] = []
    folder, _ = adapt_model(
        place.model.path, tmp_path / "m", normals=source, workers=0, tell=said.append
    )
    local = folder.card.local
    assert local is not None
    assert (len(local.scores), local.scans) == (12, 13)
    assert "1 patient has several scans and counts once, by the highest score" in local.notes
    assert any("copy" in text for text in said)


def test_too_few_normals_are_refused_with_the_number_needed(place: Place, tmp_path: Path) -> None:
    source = place.folder(tmp_path / "normals", range(8))
    said = refused(adapted(place, source, tmp_path / "m"))
    assert "has 8 normal patients; a specificity of 0.9 needs at least 9. Give 1 more" in said
    assert "needs at least 99" in refused(
        adapted(place, source, tmp_path / "m", "--specificity", "0.99")
    )
    assert not (tmp_path / "m").exists()
    assert adapted(place, source, tmp_path / "m", "--specificity", "0.8").exit_code == 0


def test_what_is_no_bone_scan_is_named_and_left_out(place: Place, tmp_path: Path) -> None:
    source = place.folder(tmp_path / "normals", range(12))
    (source / "report.dcm").write_bytes(b"no DICOM at all" * 50)
    Image.fromarray(np.zeros((300, 300), np.uint8)).save(source / "photo.png")
    found = adapted(place, source, tmp_path / "m")
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "2 files were left out that are no readable bone scans" in said
    assert "photo.png" in said
    assert "report.dcm" in said
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "x.txt").write_text("nothing")
    assert "no whole-body bone scan" in refused(adapted(place, tmp_path / "none", tmp_path / "n"))


def test_pictures_beside_counts_are_refused(place: Place, tmp_path: Path) -> None:
    source = place.folder(tmp_path / "normals", range(12))
    for number in (40, 41):
        scan = place.hands["another"](number)
        for view, image in scan.images():
            eight = np.clip(image * 4, 0, 255).astype(np.uint8)
            Image.fromarray(eight).save(source / f"p{number}_{view.value}.png")
    said = refused(adapted(place, source, tmp_path / "m"))
    assert "mixes 12 scans with counts (DICOM) and 2 pictures" in said
    assert "p40_anterior.png" in said
    assert "Give one kind" in said


def test_a_view_that_all_lack_is_named(place: Place, tmp_path: Path) -> None:
    source = tmp_path / "normals"
    source.mkdir()
    for number in range(10):
        scan = place.hands["another"](number)
        image = np.asarray(scan.anterior).astype(np.uint16)
        Image.fromarray(image).save(source / f"p{number}_anterior.png")
    said = refused(adapted(place, source, tmp_path / "m"))
    assert "the posterior view is missing in all 10 scans" in said
    assert "Give both views" in said


def test_labels_that_say_otherwise_and_packed_cohorts_are_named(
    place: Place, tmp_path: Path
) -> None:
    case = Case(
        scan_id="s", patient_id="p", centre="A", split=Split.TEST, positive=True,
        file=str(place.files[0]),
    )  # fmt: skip
    write_manifest([case], tmp_path / "manifest.csv")
    said = refused(adapted(place, tmp_path / "manifest.csv", tmp_path / "m"))
    assert "labels all 1 scans positive" in said
    packed = tmp_path / "cohort.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(tmp_path / "manifest.csv", "manifest.csv")
    assert "whose labels are not read in an archive" in refused(
        adapted(place, packed, tmp_path / "m")
    )


def test_rows_of_a_manifest_without_a_file_are_no_scans(place: Place, tmp_path: Path) -> None:
    """The manifest's folder, to which an empty path leads, holds scans that it does not list."""
    place.folder(tmp_path, range(COUNT))
    cases = [
        Case(
            scan_id=f"s{n}", patient_id=f"p{n}", centre="A", split=Split.TEST, positive=n > 10,
            file="" if n > 10 else place.files[n].name,
        )
        for n in range(12)
    ]  # fmt: skip
    write_manifest(cases, tmp_path / "table.csv")
    found = find_scans(tmp_path / "table.csv")
    named = [one.files[0].name for one in found.studies]
    assert named == [place.files[n].name for n in range(11)]
    assert {case.scan_id for one in found.studies if (case := found.case(one))} == {
        f"s{n}" for n in range(11)
    }
    write_manifest(cases[11:], tmp_path / "table.csv")
    said = refused(adapted(place, tmp_path / "table.csv", tmp_path / "m"))
    assert "its column 'file' is empty" in said


def test_the_scans_that_a_model_learnt_from_are_left_out(place: Place, tmp_path: Path) -> None:
    from bonescint.cohort import cohort_fingerprint, read_manifest
    from bonescint.model import write_model_folder

    cases = [
        Case(
            scan_id=f"s{n}", patient_id=f"p{n}", centre="A", positive=False,
            split=Split.TRAIN if n < 10 else Split.TEST, file=str(place.files[n]),
        )
        for n in range(COUNT)
    ]  # fmt: skip
    write_manifest(cases, tmp_path / "manifest.csv")
    card = place.model.card
    fingerprint = cohort_fingerprint(read_manifest(tmp_path / "manifest.csv"))
    learnt = replace(card, training=replace(card.training, cohort_sha256=fingerprint))
    model = write_model_folder(
        tmp_path / "model", card=learnt, onnx=place.model.onnx_path.read_bytes()
    )
    folder, _ = adapt_model(
        model.path, tmp_path / "m", normals=tmp_path / "manifest.csv", workers=0
    )
    assert folder.card.local is not None
    assert folder.card.local.scans == COUNT - 10
    assert "10 scans were left out that the model was trained on" in folder.card.local.notes[0]


def test_obvious_disease_among_normals_is_noticed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quarter of the 'normals' score far above the rest."""
    from bonescint.experiment.adaptation import adapt as adapting

    scored = adapting.score_scans

    def with_disease(*given: Any, **options: Any) -> Any:
        scans, refused_files = scored(*given, **options)
        ill = [replace(one, margin=one.margin + 30) for one in scans[:5]]
        return (*ill, *scans[5:]), refused_files

    monkeypatch.setattr(adapting, "score_scans", with_disease)
    found = adapted(place, place.folder(tmp_path / "normals", range(20)), tmp_path / "m")
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "Warning: 5 of 20 normal patients score 4 logits or more above the median" in said
    assert "May have disease, look at them:" in said
    assert "normal00.dcm" in said
    assert "some may have disease" in (tmp_path / "m" / PAGE).read_text()


def test_a_run_that_was_stopped_goes_on(
    place: Place, ours: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bonescint.experiment.adaptation import local_scans

    source = place.folder(tmp_path / "normals", range(20))

    def stop(done: str, count: int, total: int) -> None:
        if count == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt_model(place.model.path, tmp_path / "m", normals=source, workers=0, progress=stop)
    assert not (tmp_path / "m").exists()
    looked: list[str] = []
    real = local_scans._look

    def counted(study: Any, *others: Any) -> Any:
        looked.append(study.source)
        return real(study, *others)

    monkeypatch.setattr(local_scans, "_look", counted)
    (tmp_path / "m.run").mkdir()
    (tmp_path / "m.run" / "asked.json").write_text("of a training that was interrupted")
    folder, _ = adapt_model(place.model.path, tmp_path / "m", normals=source, workers=0)
    assert 10 <= len(looked) <= 12
    assert folder.card.local == ours.card.local
    assert not (tmp_path / "m.adapting").exists()
    assert (tmp_path / "m.run" / "asked.json").is_file()


def test_nothing_is_overwritten_and_arguments_must_go_together(
    place: Place, tmp_path: Path
) -> None:
    source = place.folder(tmp_path / "normals", range(12))
    (tmp_path / "m").mkdir()
    with pytest.raises(OutputError, match="exists already"):
        adapt_model(place.model.path, tmp_path / "m", normals=source)
    (tmp_path / "k.adapting").mkdir()
    (tmp_path / "k.adapting" / "scores").write_text("somebody else's")
    with pytest.raises(OutputError, match="not from an earlier run"):
        adapt_model(place.model.path, tmp_path / "k", normals=source)
    assert (tmp_path / "k.adapting" / "scores").read_text() == "somebody else's"
    wrong: list[dict[str, Any]] = [
        {},
        {"normals": source, "unlabelled": source},
        {"normals": source, "prevalence": 0.2},
        {"unlabelled": source},
        {"unlabelled": source, "prevalence": 1.5},
        {"unlabelled": source, "prevalence": 0.2, "specificity": 0.9},
        {"normals": source, "specificity": 1.0},
    ]
    for arguments in wrong:
        with pytest.raises(ParameterError):
            adapt_model(place.model.path, tmp_path / "n", **arguments)
    with pytest.raises(InputError, match="does not exist"):
        adapt_model(place.model.path, tmp_path / "n", normals=tmp_path / "nowhere")
    assert not (tmp_path / "n").exists()
    assert not (tmp_path / "n.adapting").exists()
