from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest

from bonescint.mrmc import (
    Auc,
    CovarianceMethod,
    Froc,
    LesionLocalisation,
    MarkedReads,
    RatedMark,
    Reads,
    Wafroc,
    covariance,
    figures_of_merit,
    froc_points,
    leave_one_out,
    read_reads,
)
from bonescint.mrmc.cells import Cell
from bonescint.scan import InputError, ParameterError

LOWEST = -math.inf
Lesions = dict[str, dict[str, float]]


def drawn(seed: int, *, readers: int = 3, cases: int = 14) -> tuple[list[RatedMark], Lesions]:
    """Marks of several readers, lesions of several weights, some cases without any mark."""
    rng = np.random.default_rng(seed)
    lesions: Lesions = {}
    for case in range(cases):
        count = int(rng.integers(1, 4)) if case % 2 else 0
        lesions[str(case)] = {str(n + 1): float(rng.random() + 0.1) for n in range(count)}
    marks = []
    for modality in ("1", "2"):
        for reader in "ABC"[:readers]:
            for case, of_case in lesions.items():
                for lesion in of_case:
                    if rng.random() < 0.7:
                        rating = float(rng.integers(2, 6))
                        marks.append(RatedMark(reader=reader, modality=modality, case=case,
                                          lesion=lesion, rating=rating))  # fmt: skip
                for _ in range(rng.poisson(0.6)):
                    rating = float(rng.integers(1, 5))
                    marks.append(RatedMark(reader=reader, modality=modality, case=case,
                                      lesion=None, rating=rating))  # fmt: skip
    return marks, lesions


def wafroc(marks: list[RatedMark], lesions: Lesions, reader: str, modality: str) -> float:
    """Every lesion against every case without disease, by loops."""
    mine = [mark for mark in marks if (mark.reader, mark.modality) == (reader, modality)]
    total, pairs = 0.0, 0
    for diseased, of_case in lesions.items():
        for healthy, none in lesions.items():
            if not of_case or none:
                continue
            pairs += 1
            false = [m.rating for m in mine if m.case == healthy and m.lesion is None]
            highest = max(false, default=LOWEST)
            for lesion, weight in of_case.items():
                hits = [m.rating for m in mine if (m.case, m.lesion) == (diseased, lesion)]
                hit = max(hits, default=LOWEST)
                share = weight / sum(of_case.values())
                total += share * (1.0 if hit > highest else 0.5 if hit == highest else 0.0)
    return total / pairs


def without(lesions: Lesions, case: str) -> Lesions:
    return {name: of_case for name, of_case in lesions.items() if name != case}


def cells_of(marked: MarkedReads, endpoint: Any) -> list[Cell]:
    return [
        cell for row in figures_of_merit(marked, endpoint).cells for cell in row if cell is not None
    ]


@pytest.mark.parametrize("seed", range(3))
def test_wafroc_is_that_of_loops(seed: int) -> None:
    marks, lesions = drawn(seed)
    marked = MarkedReads.of(marks, lesions)
    found = figures_of_merit(marked)
    assert found.endpoint == "wAFROC area"
    for i, modality in enumerate("12"):
        for j, reader in enumerate("ABC"):
            expected = wafroc(marks, lesions, reader, modality)
            assert found.values[i, j] == pytest.approx(expected)


def test_equal_weights() -> None:
    marks, lesions = drawn(1)
    even = {case: dict.fromkeys(of_case, 1.0) for case, of_case in lesions.items()}
    found = figures_of_merit(MarkedReads.of(marks, lesions), Wafroc(equal_weights=True)).values
    np.testing.assert_allclose(found, figures_of_merit(MarkedReads.of(marks, even)).values)
    # RJafroc writes weights of 0 for equal ones.
    zero = {case: dict.fromkeys(of_case, 0.0) for case, of_case in lesions.items()}
    np.testing.assert_allclose(found, figures_of_merit(MarkedReads.of(marks, zero)).values)


def test_jackknife_of_wafroc_leaves_cases_out() -> None:
    marks, lesions = drawn(2)
    marked = MarkedReads.of(marks, lesions)
    cell = cells_of(marked, None)[0]
    order = [*cell.positive_cases, *cell.negative_cases]
    names = [marked.cases[index] for index in order]
    expected = [wafroc(marks, without(lesions, name), "A", "1") for name in names]
    np.testing.assert_allclose(leave_one_out(cell), expected)


def test_covariances_of_wafroc_agree() -> None:
    marks, lesions = drawn(3, cases=120)
    cells = cells_of(MarkedReads.of(marks, lesions), None)
    delong = covariance(cells, 120)
    for method in (CovarianceMethod.JACKKNIFE, CovarianceMethod.UNBIASED):
        np.testing.assert_allclose(covariance(cells, 120, method), delong, rtol=0.1, atol=2e-5)
    bootstrap = covariance(cells, 120, CovarianceMethod.BOOTSTRAP, draws=3000)
    np.testing.assert_allclose(np.diag(bootstrap), np.diag(delong), rtol=0.15)


def test_one_lesion_and_no_false_mark_on_it_is_the_auc() -> None:
    rng = np.random.default_rng(4)
    lesions: Lesions = {str(n): ({"1": 1.0} if n % 2 else {}) for n in range(30)}
    marks = [
        RatedMark(reader="A", modality="1", case=case, lesion="1" if of_case else None,
             rating=float(rng.integers(1, 6)) + bool(of_case))
        for case, of_case in lesions.items()
    ]  # fmt: skip
    marked = MarkedReads.of(marks, lesions)
    inferred = figures_of_merit(marked.highest(), Auc())
    np.testing.assert_allclose(figures_of_merit(marked).values, inferred.values)


def froc_by_loops(
    marks: list[RatedMark], lesions: Lesions, reader: str, modality: str, upto: float
) -> float:
    """Area under the joined operating points of all thresholds, by trapezia on a fine grid."""
    mine = [mark for mark in marks if (mark.reader, mark.modality) == (reader, modality)]
    xs, ys = [0.0], [0.0]
    count = sum(len(of_case) for of_case in lesions.values())
    for level in sorted({mark.rating for mark in mine}, reverse=True):
        false = [m for m in mine if m.lesion is None and m.rating >= level and m.case in lesions]
        hits = {(m.case, m.lesion) for m in mine if m.lesion and m.rating >= level}
        xs.append(len(false) / len(lesions))
        ys.append(len([one for one in hits if one[0] in lesions]) / count)
    grid = np.linspace(0, upto, 200_001)
    heights = np.interp(grid, xs, ys)
    return float(np.trapezoid(heights, grid) / upto)


@pytest.mark.parametrize("upto", [0.2, 1.0, 3.0])
def test_froc_is_that_of_loops(upto: float) -> None:
    marks, lesions = drawn(5)
    found = figures_of_merit(MarkedReads.of(marks, lesions), Froc(false_marks=upto)).values
    for i, modality in enumerate("12"):
        for j, reader in enumerate("ABC"):
            expected = froc_by_loops(marks, lesions, reader, modality, upto)
            assert found[i, j] == pytest.approx(expected, abs=2e-5)


def test_jackknife_of_froc_leaves_cases_out() -> None:
    marks, lesions = drawn(6, cases=8)
    marked = MarkedReads.of(marks, lesions)
    cell = cells_of(marked, Froc(false_marks=0.5))[0]
    names = [marked.cases[n] for n in (*cell.positive_cases, *cell.negative_cases)]
    expected = [froc_by_loops(marks, without(lesions, n), "A", "1", 0.5) for n in names]
    np.testing.assert_allclose(leave_one_out(cell), expected, atol=2e-5)


def test_lesion_localisation() -> None:
    marks, lesions = drawn(7)
    marked = MarkedReads.of(marks, lesions)
    count = sum(len(of_case) for of_case in lesions.values())
    for at in (LOWEST, 4.0):
        found = figures_of_merit(marked, LesionLocalisation(at=at)).values[0, 0]
        hits = {
            (m.case, m.lesion)
            for m in marks
            if (m.reader, m.modality) == ("A", "1") and m.lesion and m.rating >= at
        }
        assert found == pytest.approx(len(hits) / count)
    points = froc_points(marked, 0, 0)
    assert points is not None
    whole = figures_of_merit(marked, LesionLocalisation()).values[0, 0]
    assert points[1][-1] == pytest.approx(whole)


def test_a_reader_without_any_mark() -> None:
    lesions: Lesions = {"1": {"1": 1.0}, "2": {}}
    marks = [RatedMark(reader="A", modality="1", case="1", lesion="1", rating=3.0)]
    marked = MarkedReads.of(marks, lesions, readers=["A", "B"])
    assert figures_of_merit(marked).values.tolist() == [[1.0, 0.5]]
    assert figures_of_merit(marked, Froc()).values.tolist() == [[1.0, 0.0]]
    assert marked.highest().ratings.tolist() == [[[3.0, 2.0], [2.0, 2.0]]]


def test_marks_that_fit_nothing_are_refused() -> None:
    lesions: Lesions = {"1": {"1": 1.0}, "2": {}}
    for case, lesion in (("9", None), ("1", "2"), ("2", "1")):
        with pytest.raises(ParameterError):
            MarkedReads.of(
                [RatedMark(reader="A", modality="1", case=case, lesion=lesion, rating=1.0)], lesions
            )
    with pytest.raises(ParameterError, match="finite"):
        RatedMark(reader="A", modality="1", case="1", lesion=None, rating=math.nan)


def test_endpoints_of_the_other_kind_are_refused(small: Reads) -> None:
    with pytest.raises(ParameterError, match="one of ratings"):
        figures_of_merit(small, Wafroc())
    marks, lesions = drawn(1)
    with pytest.raises(ParameterError, match="one of marked foci"):
        figures_of_merit(MarkedReads.of(marks, lesions), Auc())


def workbook(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    book.remove(first)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def rjafroc_sheets(
    marks: list[RatedMark], lesions: Lesions, *, names: tuple[str, str] = ("TP", "FP")
) -> dict[str, list[list[object]]]:
    """Sheets as RJafroc writes them, with a row of truth for each lesion."""
    truth: list[list[object]] = [["CaseID", "LesionID", "Weight"]]
    for case, of_case in lesions.items():
        listed = of_case.items() or [("0", 0.0)]
        truth += [[int(case), int(lesion), weight] for lesion, weight in listed]
    hits: list[list[object]] = [["ReaderID", "ModalityID", "CaseID", "LesionID", "TP_Rating"]]
    false: list[list[object]] = [["ReaderID", "ModalityID", "CaseID", "FP_Rating"]]
    for mark in marks:
        row: list[object] = [mark.reader, int(mark.modality), int(mark.case)]
        if mark.lesion is None:
            false.append([*row, mark.rating])
        else:
            hits.append([*row, int(mark.lesion), mark.rating])
    return {"TRUTH": truth, names[0]: hits, names[1]: false}


@pytest.mark.parametrize("names", [("TP", "FP"), ("LL", "NL")])
def test_rjafrocs_workbook(tmp_path: Path, names: tuple[str, str]) -> None:
    marks, lesions = drawn(8)
    path = workbook(tmp_path / "foci.xlsx", rjafroc_sheets(marks, lesions, names=names))
    found = read_reads(path)
    assert isinstance(found, MarkedReads)
    expected = MarkedReads.of(marks, lesions)
    assert (found.readers, found.modalities, found.cases) == (
        expected.readers, expected.modalities, expected.cases,
    )  # fmt: skip
    np.testing.assert_allclose(found.weights, expected.weights)
    np.testing.assert_array_equal(found.hits, expected.hits)
    np.testing.assert_allclose(figures_of_merit(found).values, figures_of_merit(expected).values)
    assert [note.text for note in found.notes] == [
        "weights of case 1, 3, 5, 7, 9 and 2 more do not sum to 1: they were scaled so that they do"
    ]


ROC_MARKS = [
    RatedMark(reader=reader, modality=modality, case=case, lesion="1" if case in "34" else None,
         rating=float(rating))
    for reader, modality, ratings in (("A", "1", "1243"), ("B", "1", "1135"), ("C", "2", "2145"),
                                      ("D", "2", "3125"))
    for case, rating in zip("1234", ratings, strict=True)
]  # fmt: skip
ROC_LESIONS: Lesions = {"1": {}, "2": {}, "3": {"1": 1.0}, "4": {"1": 1.0}}


def split_plot_a() -> dict[str, list[list[object]]]:
    """Readers within modalities: TRUTH lists each case once for each modality's readers."""
    sheets = rjafroc_sheets(ROC_MARKS, ROC_LESIONS)
    head, *rows = sheets["TRUTH"]
    groups = (("A, B", "1"), ("C, D", "2"))
    words = ["ROC", "SPLIT-PLOT-A"] + [""] * 6
    listed = [[*row, *group] for group in groups for row in rows]
    sheets["TRUTH"] = [
        [*head, "ReaderID", "ModalityID", "Paradigm"],
        *([*row, word] for row, word in zip(listed, words, strict=True)),
    ]
    return sheets


def test_a_split_plot_lists_a_case_once_for_each_group_of_readers(tmp_path: Path) -> None:
    found = read_reads(workbook(tmp_path / "spa.xlsx", split_plot_a()))
    assert isinstance(found, Reads)
    assert found.notes == ()
    assert (found.readers, found.modalities) == (("A", "B", "C", "D"), ("1", "2"))
    np.testing.assert_array_equal(
        found.ratings,
        [[[1, 2, 4, 3], [1, 1, 3, 5], [np.nan] * 4, [np.nan] * 4],
         [[np.nan] * 4, [np.nan] * 4, [2, 1, 4, 5], [3, 1, 2, 5]]],
    )  # fmt: skip


def test_a_case_of_a_split_plot_with_two_weights_is_named(tmp_path: Path) -> None:
    sheets = split_plot_a()
    sheets["TRUTH"][-1][2] = 0.5
    found = read_reads(workbook(tmp_path / "spa.xlsx", sheets))
    assert [note.text for note in found.notes] == [
        "sheet TRUTH, row 9: lesion 1 of case 4 has a different weight in an earlier row"
    ]


@pytest.mark.parametrize(
    ("sheet", "row", "says"),
    [
        ("TP", ["A", 1, 3, 1, 2], "sheet TP, row 10: reader A in modality 1 has two ratings of "
                                  "lesion 1 of case 3, 4 in row 2 and 2"),
        ("FP", ["D", 2, 2, 4], "sheet FP, row 10: reader D in modality 2 has two ratings of "
                               "case 2, 1 in row 9 and 4"),
    ],
)  # fmt: skip
def test_one_cell_with_two_ratings_is_refused(
    tmp_path: Path, sheet: str, row: list[object], says: str
) -> None:
    sheets = split_plot_a()
    sheets[sheet].append(row)
    with pytest.raises(InputError, match=says):
        read_reads(workbook(tmp_path / "spa.xlsx", sheets))
    sheets[sheet][-1] = list(sheets[sheet][1])  # the same twice says nothing new
    found = read_reads(workbook(tmp_path / "spa.xlsx", sheets))
    assert [note.text for note in found.notes] == [
        f"sheet {sheet}, row 10: the same as row 2; one is kept"
    ]


def test_several_false_marks_on_a_case_are_no_contradiction(tmp_path: Path) -> None:
    sheets = split_plot_a()
    sheets["TRUTH"][1][5] = "FROC"
    sheets["FP"].append(["D", 2, 2, 4])
    assert isinstance(read_reads(workbook(tmp_path / "froc.xlsx", sheets)), MarkedReads)


@pytest.mark.parametrize("paradigm", ["LROC", "ROI", "lroc"])
def test_other_paradigms_are_refused(tmp_path: Path, paradigm: str) -> None:
    sheets = split_plot_a()
    sheets["TRUTH"][1][5] = paradigm
    with pytest.raises(InputError, match=f"must be ROC or FROC, got {paradigm.upper()}"):
        read_reads(workbook(tmp_path / "book.xlsx", sheets))


@pytest.mark.parametrize(
    ("weights", "said"),
    [((0.5, 0.5), False), ((0, 0), False), ((0.333, 0.66), False), ((0.5, 0.6), True),
     ((1, 1), True), ((0.5, 0.485), True)],
)  # fmt: skip
def test_weights_that_do_not_sum_to_1_are_said(
    tmp_path: Path, weights: tuple[float, float], said: bool
) -> None:
    lesions: Lesions = {"1": {}, "2": {"1": weights[0], "2": weights[1]}}
    marks = [RatedMark(reader="A", modality="1", case="2", lesion="1", rating=2.0)]
    found = read_reads(workbook(tmp_path / "foci.xlsx", rjafroc_sheets(marks, lesions)))
    assert any("case 2 do not sum to 1" in note.text for note in found.notes) is said
    assert isinstance(found, MarkedReads)
    total = sum(weights)
    expected = [weight / total for weight in weights] if total else [0.5, 0.5]
    np.testing.assert_allclose(found.weights[1], expected)


def test_rjafrocs_newer_workbook_says_who_read_what(tmp_path: Path) -> None:
    marks, lesions = drawn(9)
    sheets = rjafroc_sheets(marks, lesions)
    head, *rows = sheets["TRUTH"]
    first = [str(case) for case in lesions][:6]
    sheets["TRUTH"] = [
        [*head, "ReaderID", "ModalityID", "Paradigm"],
        *(
            [*row, "A, B" if str(row[0]) in first else "A, B, C", "1, 2",
             ("FROC", "FCTRL", "")[min(number, 2)]]
            for number, row in enumerate(rows)
        ),
    ]  # fmt: skip
    kept = [mark for mark in marks if mark.reader != "C" or mark.case not in first]
    for name, rest in rjafroc_sheets(kept, lesions).items():
        if name != "TRUTH":
            sheets[name] = rest
    found = read_reads(workbook(tmp_path / "foci.xlsx", sheets))
    assert isinstance(found, MarkedReads)
    unread = ~found.read[:, 2]
    assert {found.cases[n] for n in np.flatnonzero(unread[0])} == set(first)
    assert found.read[:, :2].all()
    smaller = {name: of_case for name, of_case in lesions.items() if name not in first}
    expected = wafroc(marks, smaller, "C", "1")
    assert figures_of_merit(found).values[0, 2] == pytest.approx(expected)


def test_a_reader_and_a_modality_without_marks_are_kept(tmp_path: Path) -> None:
    marks, lesions = drawn(9)
    sheets = rjafroc_sheets([one for one in marks if one.reader != "C"], lesions)
    head, *rows = sheets["TRUTH"]
    sheets["TRUTH"] = [
        [*head, "ReaderID", "ModalityID"],
        *([*row, "A, B, C", "1, 2, 3"] for row in rows),
    ]
    found = read_reads(workbook(tmp_path / "foci.xlsx", sheets))
    assert isinstance(found, MarkedReads)
    assert (found.readers, found.modalities) == (("A", "B", "C"), ("1", "2", "3"))
    values = figures_of_merit(found).values
    np.testing.assert_array_equal(values[:, 2], 0.5)
    np.testing.assert_array_equal(values[2], 0.5)
    of_others = figures_of_merit(
        MarkedReads.of([one for one in marks if one.reader != "C"], lesions)
    )
    np.testing.assert_allclose(values[:2, :2], of_others.values)
    said = [note.text for note in found.notes]
    assert any(text.startswith("reader C has no mark") for text in said)
    assert any(text.startswith("modality 3 has no mark") for text in said)


def test_a_reader_of_roc_ratings_without_any_is_named(tmp_path: Path) -> None:
    lesions: Lesions = {str(n): ({"1": 0.0} if n % 2 else {}) for n in range(4)}
    marks = [
        RatedMark(
            reader=reader, modality="1", case=case, lesion="1" if of_case else None, rating=2.0
        )
        for reader in "AB"
        for case, of_case in lesions.items()
    ]
    sheets = rjafroc_sheets(marks, lesions)
    head, *rows = sheets["TRUTH"]
    sheets["TRUTH"] = [
        [*head, "ReaderID", "ModalityID", "Paradigm"],
        *([*row, "A, B, C", "1", "ROC"] for row in rows),
    ]
    found = read_reads(workbook(tmp_path / "roc.xlsx", sheets))
    assert isinstance(found, Reads)
    assert [note.text for note in found.notes] == [
        "reader C in modality 1: 4 reads without a rating, of case 0, 1, 2, 3"
    ]
    assert np.isnan(figures_of_merit(found).values[0, 2])


def test_roc_ratings_in_rjafrocs_sheets(tmp_path: Path) -> None:
    rng = np.random.default_rng(10)
    lesions: Lesions = {str(n): ({"1": 0.0} if n % 2 else {}) for n in range(12)}
    marks = [
        RatedMark(reader=reader, modality=modality, case=case, lesion="1" if of_case else None,
             rating=float(rng.integers(1, 6)))
        for reader in "AB" for modality in "12" for case, of_case in lesions.items()
    ]  # fmt: skip
    found = read_reads(workbook(tmp_path / "roc.xlsx", rjafroc_sheets(marks, lesions)))
    assert isinstance(found, Reads)
    assert found.ratings.shape == (2, 2, 12)
    by_cell = {(m.modality, m.reader, m.case): m.rating for m in marks}
    assert found.ratings[1, 0, found.cases.index("7")] == by_cell["2", "A", "7"]


def test_bad_rows_of_a_workbook_are_named(tmp_path: Path) -> None:
    marks, lesions = drawn(11)
    sheets = rjafroc_sheets(marks, lesions)
    sheets["TP"] += [["A", 1, 99, 1, 3], ["A", 1, 1, 9, 3], ["A", 1, 1, 1, "sure"]]
    sheets["FP"] += [["A", 1, 0, -2000], [None, 1, 0, 3]]
    sheets["TRUTH"] += [[1, 1, 0.5], [2, 1, 1.0], [0, "", 1], [3, 8, -1]]
    found = read_reads(workbook(tmp_path / "foci.xlsx", sheets))
    said = [note.text for note in found.notes]
    for wanted in (
        "case 99 is not in TRUTH",
        "lesion 9 of case 1 is not in TRUTH",
        "rating must be a number, got 'sure'",
        "no ReaderID, ModalityID or CaseID",
        "lesion 1 of case 1 is listed twice",
        "case 2: without disease in sheet TRUTH, row",
        "no CaseID or no LesionID",
        "Weight must be at least 0, got '-1'",
    ):
        assert any(wanted in text for text in said), wanted
    assert "2" not in found.cases


def test_a_plain_table_in_a_workbook(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        ["reader", "modality", "case", "truth", "rating"],
        ["A", "AP", 1, 1, 4], ["A", "AP", 2, 0, 1.5], [None] * 5, ["A", "AP", 3, 0, "x"],
    ]  # fmt: skip
    path = workbook(tmp_path / "reads.xlsx", {"About": [["by us"]], "Reads": rows})
    found = read_reads(path)
    assert isinstance(found, Reads)
    assert found.cases == ("1", "2")
    assert found.ratings.ravel().tolist() == [4, 1.5]
    assert any("sheet Reads, row 5" in note.text for note in found.notes)


@pytest.mark.parametrize(
    ("sheets", "says"),
    [
        ({"Reads": [["a", "b"]]}, "columns missing"),
        ({"Empty": []}, "the workbook is empty"),
        ({"TRUTH": [["CaseID", "LesionID", "Weight"]]}, "no sheets LL"),
        ({"TRUTH": [["CaseID"]], "TP": [["a"]], "FP": [["a"]]},
         "sheet TRUTH: columns missing: lesion, weight"),
    ],
)  # fmt: skip
def test_workbooks_that_are_refused(
    tmp_path: Path, sheets: dict[str, list[list[object]]], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_reads(workbook(tmp_path / "book.xlsx", sheets))
