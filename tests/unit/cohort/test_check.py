"""Checks of a cohort: leakage, duplicates, what is missing, balance, Table 1."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from tests.support.archive import another, bases

from bonescint.cohort import CohortReport, check_cohort, table1, write_manifest
from bonescint.cohort.near_duplicates import near_pairs, signature
from bonescint.dicom import write_nm
from bonescint.scan import Case, InputError, Split, View


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight scans of different patients."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(8):
        write_nm(another(number), folder / f"{number}.dcm")
    return folder


def case(number: int, **changes: object) -> Case:
    given = {
        "scan_id": f"s{number}", "patient_id": f"p{number}", "centre": "A",
        "split": [Split.TRAIN, Split.TEST][number % 8 // 4], "positive": number % 2 == 0,
        "file": f"{number}.dcm", "sex": "F", "age": 60.0,
    } | changes  # fmt: skip
    return Case(**given)  # type: ignore[arg-type]


def checked(folder: Path, cases: Sequence[Case], **options: object) -> CohortReport:
    write_manifest(cases, folder / "manifest.csv")
    return check_cohort(folder / "manifest.csv", **options)  # type: ignore[arg-type]


def kinds(report: CohortReport) -> set[tuple[str, str, tuple[int, ...]]]:
    return {(one.level.value, one.kind, one.rows) for one in report.findings}


def test_a_sound_cohort_has_no_error(scans: Path) -> None:
    report = checked(scans, [case(number) for number in range(8)])
    assert not report.errors
    assert {one.kind for one in report.warnings} == {"few scans", "empty split"}
    assert report.compared == 8


def test_everything_that_is_wrong_is_listed_at_once(scans: Path) -> None:
    cases = [
        case(0),
        case(1, patient_id="p0"),
        case(2, scan_id="s0", patient_id="p2"),
        case(3, file="gone.dcm"),
        case(4, patient_id="p0"),
        case(5, file="1.dcm"),
        case(6, sex="X"),
        case(7, age=None, sex="?"),
    ]
    write_manifest(cases, scans / "manifest.csv")
    with (scans / "manifest.csv").open("a") as stream:
        stream.write("s9,,A,tarin,7,f\n")
    report = check_cohort(scans)
    found = kinds(report)
    assert ("error", "patient in two splits", (2, 3, 6)) in found
    assert ("error", "scan listed twice", (2, 4)) in found
    assert ("error", "missing file", (5,)) in found
    assert ("error", "file listed twice", (3, 7)) in found
    assert ("error", "same pixels in two splits", (3, 7)) in found
    assert ("warning", "no age", (9,)) in found
    assert ("warning", "sex", (8, 9)) in found
    columns = {one.text.split(":")[0] for one in report.findings if one.rows == (10,)}
    assert columns == {"column patient_id", "column label", "column split"}
    levels = [one.level.value for one in report.findings]
    assert levels == sorted(levels), "errors first"


def test_the_same_pixels_under_another_file_are_found(scans: Path) -> None:
    # The header differs, the counts do not; and one view alone is enough.
    write_nm(replace(another(0), scan_id="other"), scans / "again.dcm")
    write_nm(replace(another(0), scan_id="half", posterior=None), scans / "half.dcm")
    cases = [case(n) for n in range(4)]
    cases += [case(4, file="again.dcm"), case(5, file="half.dcm", positive=True)]
    cases += [case(6), case(7)]
    report = checked(scans, cases, near=False)
    assert ("error", "same pixels in two splits", (2, 6, 7)) in kinds(report)
    inside = checked(
        scans, [case(0), case(1), case(4, file="again.dcm", split=Split.TRAIN, positive=False)]
    )
    same = [one for one in inside.findings if one.kind == "same pixels"]
    assert [one.level.value for one in same] == ["error"]
    assert "different labels" in same[0].text
    assert "different patients" in same[0].text


def _resized(image: np.ndarray, factor: float) -> np.ndarray:
    size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _eight_bit(image: np.ndarray) -> np.ndarray:
    return np.floor(np.clip(image / np.percentile(image[image > 0], 99.5), 0, 1) * 255)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: _resized(image, 0.5),
        lambda image: _resized(image, 1.3),
        _eight_bit,
        lambda image: np.roll(image, (5, 3), axis=(0, 1)),
        lambda image: ndimage.shift(image, (2.5, 1.5), order=1),
        lambda image: np.random.default_rng(1).binomial(image.astype(int), 0.5),
        lambda image: _eight_bit(_resized(np.roll(image, (4, -3), axis=(0, 1)), 0.5)),
    ],
    ids=["half", "larger", "8 bits", "moved", "half a pixel", "half the counts", "all"],
)
def test_near_duplicates_are_found(change: Callable[[np.ndarray], np.ndarray]) -> None:
    originals = [another(number) for number in range(6)]
    for scan in (*bases(), originals[4]):
        copy = replace(
            scan,
            anterior=np.maximum(change(np.array(scan.anterior)), 0),
            posterior=np.maximum(change(np.array(scan.posterior)), 0),
        )
        cohort = [*originals[:3], *bases(), originals[4], copy]
        pairs, bound = near_pairs([signature(one) for one in cohort])
        wanted = next(place for place, one in enumerate(cohort) if one is scan)
        assert (wanted, len(cohort) - 1) in {(pair.first, pair.second) for pair in pairs}
        assert bound == 0.7


def test_different_patients_are_no_near_duplicates() -> None:
    pairs, _ = near_pairs([signature(one) for one in bases()])
    assert not pairs
    assert near_pairs([]) == ((), 0.7)


def test_scores_are_plain_correlations() -> None:
    """Against numpy's own, for scans with one and with two views, before any mean is taken."""
    from bonescint.cohort.near_duplicates import _score_blocks, _stacked

    scans = [*bases(), replace(another(1), posterior=None), replace(another(2), anterior=None)]
    signatures = [signature(scan) for scan in scans]
    (_, scores), *_ = _score_blocks({view: _stacked(signatures, view) for view in View})
    for i, first in enumerate(signatures):
        for j, second in enumerate(signatures):
            shared = set(first) & set(second)
            wanted = [float(np.dot(first[view], second[view])) for view in shared]
            assert scores[i, j] == pytest.approx(np.mean(wanted) if wanted else 0, abs=1e-5)


def test_a_cohort_of_much_alike_patients_raises_the_bound() -> None:
    rng = np.random.default_rng(1)
    common = rng.normal(size=(2, 4608))
    strengths = rng.normal(size=(60, 2)) * 3

    def unit(vector: np.ndarray) -> np.ndarray:
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    alike = [{View.ANTERIOR: unit(rng.normal(size=4608) + s @ common)} for s in strengths]
    _, bound = near_pairs(alike)
    assert bound > 0.9


def test_masks_are_checked(scans: Path) -> None:
    shape = bases()[0].shape
    empty, drawn, corner = (np.zeros(shape, np.uint8) for _ in range(3))
    drawn[300:310, 110:120] = 1
    corner[:20, :20] = 1
    for name, mask in (("empty", empty), ("drawn", drawn), ("corner", corner)):
        Image.fromarray(mask).save(scans / f"{name}.png")
    Image.fromarray(drawn[280:330]).save(scans / "short.png")
    cases = [
        case(0, mask_anterior="drawn.png"),
        case(1, mask_anterior="drawn.png"),
        case(2, mask_posterior="empty.png"),
        case(3, mask_anterior="short.png", positive=True),
        case(4, mask_anterior="corner.png"),
        case(5, mask_anterior="none.png"),
        case(6),
        case(7),
    ]
    report = checked(scans, cases, near=False)
    broken = {one.rows[0]: one.text for one in report.errors if one.kind == "truth or mask"}
    assert set(broken) == {3, 5, 7}
    assert "negative" in broken[3]
    assert "shape" in broken[5]
    assert ("warning", "empty masks", (4,)) in kinds(report)
    assert ("warning", "misplaced masks", (6,)) in kinds(report)


def test_balance_and_emptiness_are_told(scans: Path) -> None:
    one_class = checked(scans, [case(n, positive=True) for n in range(8)], near=False)
    assert sum(one.kind == "one class only" for one in one_class.errors) == 2
    centres = [case(n, centre="AB"[n % 2]) for n in range(8)]
    assert sum(one.kind == "label follows the centre"
               for one in checked(scans, centres, near=False).warnings) == 2  # fmt: skip
    assert [one.kind for one in checked(scans, [], near=False).errors] == ["empty"]
    (scans / "wrong.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="columns missing"):
        check_cohort(scans / "wrong.csv")
    rare = [case(0, file="")] + [
        case(n, scan_id=f"r{n}", patient_id=f"r{n}", split=Split.TRAIN, positive=False, file="")
        for n in range(1, 15)
    ]
    found = checked(scans, rare, near=True)
    assert any(one.kind == "label balance" for one in found.warnings)
    assert found.compared == 0


def test_the_papers_table_1() -> None:
    """1203, 164 and 998 scans, cell by cell as Ibrahim et al. 2023 print them."""
    paper = {
        ("A", Split.TRAIN): (235, 668), ("A", Split.VALIDATION): (58, 58),
        ("B", Split.TRAIN): (94, 206), ("B", Split.VALIDATION): (24, 24),
        ("C", Split.TEST): (411, 587),
    }  # fmt: skip
    cases = []
    for (centre, split), (positive, negative) in paper.items():
        for number in range(positive + negative):
            name = f"{centre}{split}{number}"
            cases.append(Case(scan_id=name, patient_id=name, centre=centre, split=split,
                              positive=number < positive))  # fmt: skip
    table = table1(cases)
    assert table.columns == (
        "Training (n = 1203)", "Validation (n = 164)", "Test (n = 998)", "All (n = 2365)",
    )  # fmt: skip
    rows = {(row.group, row.name): row.cells for row in table.rows}
    assert rows["Centre A", "with metastasis"] == ("235", "58", "-", "293")
    assert rows["Centre A", "without metastasis"] == ("668", "58", "-", "726")
    assert rows["Centre B", "with metastasis"] == ("94", "24", "-", "118")
    assert rows["Centre C", "without metastasis"] == ("-", "-", "587", "587")
    assert rows["All centres", "with metastasis"][0] == "329 (27.3 %)"
    assert rows["All centres", "without metastasis"][0].startswith("874 ")
    assert rows["Age, years", "not known"][-1] == "2365"


def test_tables_are_written(scans: Path, tmp_path: Path) -> None:
    report = checked(scans, [case(0), case(1, patient_id="p0"), case(4, patient_id="p0")])
    report.write(tmp_path / "out")
    with (tmp_path / "out" / "findings.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0]["rows"] == "2 3 4"
    assert (tmp_path / "out" / "table1.txt").read_text() == report.table.to_text()
    with (tmp_path / "out" / "table1.csv").open(newline="") as stream:
        header = next(csv.reader(stream))
    assert header == ["group", "name", *report.table.columns]


def test_workers_change_nothing(scans: Path) -> None:
    names = [case(n) for n in range(8)]
    more = [case(n + 8, file=f"{n}.dcm", split=Split.TRAIN) for n in range(8)]
    alone = checked(scans, [*names, *more])
    assert checked(scans, [*names, *more], workers=2).findings == alone.findings
