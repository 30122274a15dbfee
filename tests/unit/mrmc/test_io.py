from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonescint.mrmc import (
    Design,
    MarkedReads,
    Nest,
    NoteKind,
    Reads,
    detect_design,
    figures_of_merit,
    read_predictions,
    read_reads,
)
from bonescint.scan import InputError

HEAD = "reader,modality,case,truth,rating,seconds\n"


def written(folder: Path, text: str, name: str = "reads.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def ratings(path: Path) -> Reads:
    found = read_reads(path)
    assert isinstance(found, Reads)
    return found


def left_out(reads: Reads | MarkedReads) -> list[str]:
    return [note.text for note in reads.notes if note.kind is NoteKind.LEFT_OUT]


def test_a_plain_table(tmp_path: Path) -> None:
    reads = ratings(written(tmp_path, HEAD + "A,AP,10,1,4,12.5\nA,AP,2,0,1,\nB,AP,2,0,2,3\n"))
    assert reads.cases == ("2", "10")
    assert reads.truth.tolist() == [False, True]
    np.testing.assert_array_equal(reads.ratings[0], [[1, 4], [2, np.nan]])
    np.testing.assert_array_equal(reads.seconds[0], [[np.nan, 12.5], [3, np.nan]])
    assert reads.notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffReader,Treatment,Case,Truth,Rating\nA,AP,1,1,4\nA,AP,2,0,1\n",
        "reader;modality;case;truth;rating\nA;AP;1;1;4,0\nA;AP;2;0;1\n",
        "case\ttruth\trating\treader\tmodality\n1\t1\t4\tA\tAP\n\n2\t0\t1\tA\tAP\n",
        "reader,session,scan_id,label,score\nA,AP,1,positive,4\nA,AP,2,negative,1\n",
        'reader,modality,case,truth,rating\r\n"A", AP ,1,1.0,4\r\nA,AP,2,0.0,1\r\n',
    ],
)
def test_tables_as_people_write_them(tmp_path: Path, text: str) -> None:
    reads = ratings(written(tmp_path, text))
    assert (reads.readers, reads.modalities, reads.cases) == (("A",), ("AP",), ("1", "2"))
    assert reads.ratings.ravel().tolist() == [4, 1]


def test_decisions_in_words(tmp_path: Path) -> None:
    text = "reader,case,truth,decision\nA,1,1,yes\nA,2,0,no\n"
    reads = ratings(written(tmp_path, text))
    assert reads.binary
    assert reads.ratings.ravel().tolist() == [1, 0]
    assert [note.text for note in reads.notes] == [
        "no column of modalities: all reads are of one modality"
    ]


def test_modality_and_session(tmp_path: Path) -> None:
    text = "reader,modality,session,case,truth,rating\nA,AP,1,x,1,3\nA,AP,2,x,1,4\n"
    assert ratings(written(tmp_path, text)).modalities == ("AP, session 1", "AP, session 2")


def test_every_bad_row_is_named_and_the_rest_kept(tmp_path: Path) -> None:
    rows = [
        "A,AP,1,1,4,",      # row 2
        "A,AP,2,0,high,",   # not a number
        "A,AP,3,maybe,2,",  # no truth
        "A,AP,1,1,4,",      # the same again
        "A,AP,4,0,1,",
        "A,AP,4,0,2,",      # another rating
        "A,AP,5,1,3,",
        "B,AP,5,0,3,",      # another truth
        ",AP,6,0,1,",       # no reader
        "A,AP,7,0,,",       # empty
        "A,AP,8,0,1,-3",    # a negative time
        "A,AP,9,0,inf,",
        "B,AP,1,1,5,2",
    ]  # fmt: skip
    reads = ratings(written(tmp_path, HEAD + "\n".join(rows)))
    said = left_out(reads)
    for wanted in (
        "row 3: rating must be a number, got 'high'",
        "row 4: truth must be 0 or 1, got 'maybe'",
        "row 5: the same read as row 2; one is kept",
        "reader A, modality AP, case 4: listed with different ratings in row 6, row 7; "
        "none is used",
        "case 5: truth is 0 in row 9 and 1 in row 8; the case is left out",
        "row 10: no reader",
        "row 11: rating must be a number, it is empty",
        "row 12: seconds must be at least 0, got '-3'; read kept",
        "row 13: rating must be a number, got 'inf'",
    ):
        assert wanted in said
    assert reads.cases == ("1", "8")
    assert reads.readers == ("A", "B")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "the table is empty"),
        ("reader,case,rating\n", "columns missing: truth"),
        (HEAD, "no read can be used"),
        (HEAD + "A,AP,1,1,x,\n", "row 2: rating must be a number, got 'x'"),
    ],
)
def test_tables_without_a_read_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_reads(written(tmp_path, text))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_reads(tmp_path / "reads.csv")
    with pytest.raises(InputError, match="not a table of reads"):
        read_reads(written(tmp_path, "", "reads.dcm"))
    (tmp_path / "reads.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="columns missing"):
        read_reads(tmp_path / "reads.csv")
    (tmp_path / "reads.xlsx").write_bytes(b"PK no workbook")
    with pytest.raises(InputError, match="not a readable workbook"):
        read_reads(tmp_path / "reads.xlsx")


IMRMC = """A title
N0: 2
N1: 2
NR: 2
NM: 1
BEGIN DATA:
-1,a,0,0
-1,b,truth,0
-1,c,truth,1
-1,d,truth,1
r1,a,AP,1
r1,b,AP,2
r1,c,AP,3
r1,d,AP,4.5
r2,a,AP,1
r2,d,AP,2
"""


def test_imrmc(tmp_path: Path) -> None:
    reads = ratings(written(tmp_path, IMRMC, "study.imrmc"))
    assert (reads.readers, reads.modalities) == (("r1", "r2"), ("AP",))
    np.testing.assert_array_equal(reads.ratings[0], [[1, 2, 3, 4.5], [1, np.nan, np.nan, 2]])
    assert reads.notes == ()


@pytest.mark.parametrize("reader", ["-1", "truth", "Truth"])
@pytest.mark.parametrize("modality", ["0", "truth", "x"])
def test_imrmc_with_any_rows_of_truth(tmp_path: Path, reader: str, modality: str) -> None:
    text = IMRMC.replace("-1,", f"{reader},").replace(",0,0\n", f",{modality},0\n")
    text = text.replace(",truth,", f",{modality},")
    reads = ratings(written(tmp_path, text, "study.imrmc"))
    assert (reads.readers, reads.modalities, reads.notes) == (("r1", "r2"), ("AP",), ())
    assert reads.truth.tolist() == [False, False, True, True]


def test_imrmc_that_contradicts_itself(tmp_path: Path) -> None:
    text = IMRMC.replace("N0: 2", "N0: 3") + "-1,d,truth,0\nr1,e,AP,2\nr2\n"
    reads = ratings(written(tmp_path, text, "study.imrmc"))
    said = [note.text for note in reads.notes]
    assert "the header says N0 is 3, the rows 2" in said
    assert any("case d: truth must be 0 or 1, got '1 and 0'" in text for text in said)
    assert any("e" in text and "without a truth" in text for text in said)
    assert any(text.startswith("line 19: no reader") for text in said)
    assert reads.cases == ("a", "b", "c")
    with pytest.raises(InputError, match="BEGIN DATA"):
        read_reads(written(tmp_path, "r1,a,AP,1\n", "study.imrmc"))


LRC = """A title
Reader one
"CT" "MR"
L S
1 4 Normal 1
2 3 Normal 2
*
4 1 Abnormal 1
*
Reader two
1 4 Normal 1
3 3 Normal 2
*
5 2 Abnormal 1
*
#
"""


def test_lrc(tmp_path: Path) -> None:
    reads = ratings(written(tmp_path, LRC, "study.lrc"))
    assert reads.modalities == ("CT", "MR")
    assert reads.readers == ("Reader one", "Reader two")
    assert reads.cases == ("Abnormal 1", "Normal 1", "Normal 2")
    assert reads.truth.tolist() == [True, False, False]
    # In MR small ratings speak for disease: turned round, all readers are perfect.
    assert reads.ratings[1, 0].tolist() == [-1, -4, -3]
    assert figures_of_merit(reads).values.tolist() == [[1, 1], [1, 1]]


def test_lrc_without_case_names(tmp_path: Path) -> None:
    text = LRC
    for name in ("Abnormal 1", "Normal 1", "Normal 2"):
        text = text.replace(f" {name}", "")
    named = ratings(written(tmp_path, text, "study.lrc"))
    assert named.ratings.shape == (2, 2, 3)
    assert named.cases == ("Abnormal Case 1", "Normal Case 1", "Normal Case 2")


def test_lrc_that_is_cut_off(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cut off"):
        read_reads(written(tmp_path, LRC.replace("#\n", ""), "study.lrc"))
    with pytest.raises(InputError, match="lines 3 and 4"):
        read_reads(written(tmp_path, LRC.replace("L S", "L Q"), "study.lrc"))
    short = ratings(written(tmp_path, LRC.replace("4 1 Abnormal 1", "4"), "study.lrc"))
    assert any("line 8: rating must be a number, it is empty" in t for t in left_out(short))


def test_predictions(tmp_path: Path) -> None:
    path = written(tmp_path, "scan_id,source,mbd_probability\na,x,0.25\nb,y,1\n", "p.csv")
    assert read_predictions(path) == {"a": 0.25, "b": 1.0}
    bad = written(tmp_path, "case,score\na,0.2\na,0.3\nb,nan?\nc,inf\n", "bad.csv")
    with pytest.raises(InputError) as error:
        read_predictions(bad)
    for wanted in ("row 3 lists case a again", "row 4 has no case or no number", "row 5"):
        assert wanted in str(error.value)
    with pytest.raises(InputError, match="columns missing"):
        read_predictions(written(tmp_path, "a,b\n", "none.csv"))
    with pytest.raises(InputError, match="no such file"):
        read_predictions(tmp_path / "gone.csv")


def test_a_case_of_two_readers_may_be_two(tmp_path: Path) -> None:
    text = HEAD + "A,AP,1,1,4,\nA,AP,2,0,1,\nB,AP,1,1,3,\nB,AP,2,0,1,\n"
    reads = ratings(written(tmp_path, text))
    assert detect_design(reads.read) is Design.FACTORIAL
    nested = reads.nested_in(Nest.READERS)
    assert detect_design(nested.read) is Design.CASES_IN_READERS
    assert nested.cases == ("A: 1", "A: 2", "B: 1", "B: 2")
    np.testing.assert_array_equal(figures_of_merit(nested).values, figures_of_merit(reads).values)


NESTED = (
    "reader,modality,case,truth,rating\n"
    "A,AP,1,1,4\nA,AP,2,0,1\nB,AP,1,0,3\nB,AP,2,1,5\nB,AP,3,0,1\n"
)


def test_nested_cases_may_have_a_truth_of_their_own(tmp_path: Path) -> None:
    reads = read_reads(written(tmp_path, NESTED), nest=Nest.READERS)
    assert isinstance(reads, Reads)
    assert reads.notes == ()
    assert reads.cases == ("A: 1", "A: 2", "B: 1", "B: 2", "B: 3")
    assert reads.truth.tolist() == [True, False, False, True, False]
    assert figures_of_merit(reads).values.tolist() == [[1.0, 1.0]]
    assert reads.nested_in(Nest.READERS) is reads  # once is enough
    by_modality = NESTED.replace("reader,modality", "modality,reader")
    other = read_reads(written(tmp_path, by_modality), nest=Nest.MODALITIES)
    assert isinstance(other, Reads)
    assert other.cases == reads.cases


def test_truth_listed_apart_follows_nested_cases(tmp_path: Path) -> None:
    path = written(tmp_path, IMRMC, "study.imrmc")
    reads = read_reads(path, nest=Nest.READERS)
    assert isinstance(reads, Reads)
    assert reads.cases == ("r1: a", "r1: b", "r1: c", "r1: d", "r2: a", "r2: d")
    assert reads.truth.tolist() == [False, False, True, True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "scan_id, mbd_probability\na, 0.25\nb, 1\n",
        "Scan_ID;MBD_Probability\na;0,25\nb;1\n",
        "sep=;\ncase;Probability\na;0,25\nb;1,0\n",
        "case\tscore\r\na\t0.25\r\n\r\nb\t1\r\n",
    ],
)
def test_predictions_as_people_write_them(tmp_path: Path, text: str) -> None:
    assert read_predictions(written(tmp_path, text, "p.csv")) == {"a": 0.25, "b": 1.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("scan_id,score,score\na,1,2\n",
         r"several columns could be the score: score \(column 2\), score \(column 3\)"),
        ("scan_id,score\na,1_0\n", "row 2 has no case or no number"),
        ("scan_id,score\na,nan\n", "row 2 has no case or no number"),
        ('scan_id,score\n"a,1\n', "row 2: a quotation mark is not closed"),
        ("", "the table is empty"),
        ("scan_id,score\na\n", "row 2 has no case or no number"),
    ],
)  # fmt: skip
def test_predictions_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_predictions(written(tmp_path, text, "p.csv"))


def test_words_and_underscores_are_no_numbers(tmp_path: Path) -> None:
    rows = ["A,AP,1,1,5,", "A,AP,2,0,normal,", "A,AP,3,0,1_0,", "A,AP,4,0,2,yes", "B,AP,1,1,yes,"]
    reads = ratings(written(tmp_path, HEAD + "\n".join(rows)))
    assert left_out(reads) == [
        "row 3: rating must be a number, got 'normal' (words are decisions only where all "
        "ratings are: row 2 has '5')",
        "row 4: rating must be a number, got '1_0'",
        "row 5: seconds must be at least 0, got 'yes'; read kept",
        "row 6: rating must be a number, got 'yes' (words are decisions only where all ratings "
        "are: row 2 has '5')",
    ]
    assert reads.ratings.ravel().tolist() == [5.0, 2.0]
    small_counts = LRC.replace("1 4 Normal 1", "1 4_0 Normal 1")
    turned = ratings(written(tmp_path, small_counts, "study.lrc"))
    assert any("got '4_0'" in text for text in left_out(turned))


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("reader,case,truth,rating,rating", r"the rating: rating \(column 4\), rating \(column 5"),
        ("reader,case,truth,Rating,decision", "rating: Rating .column 4., decision .column 5."),
        ("reader,case,truth,rating,label", "the truth: truth .column 3., label .column 5."),
    ],
)
def test_ambiguous_columns_are_refused(tmp_path: Path, head: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        read_reads(written(tmp_path, head + "\nA,1,1,4,2\nA,2,0,1,1\n"))


def test_all_problems_are_named_and_no_remarks(tmp_path: Path) -> None:
    rows = [f"A,{n},1,odd{n}" for n in range(12)]
    with pytest.raises(InputError) as error:
        read_reads(written(tmp_path, "reader,case,truth,rating\n" + "\n".join(rows)))
    assert "row 2: rating must be a number, got 'odd0'; row 3: rating" in str(error.value)
    assert "row 11: " in str(error.value)
    assert "; and 2 more)" in str(error.value)
    assert "no column of modalities" not in str(error.value)


def test_a_quotation_mark_that_is_not_closed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="row 3: a quotation mark is not closed"):
        read_reads(written(tmp_path, HEAD + 'A,AP,1,1,4,\n"A,AP,2,0,1,\nB,AP,1,1,2,\n'))
    whole = ratings(written(tmp_path, HEAD + 'A,AP,1,1,4,\n"A","AP","2, left",0,1,\n'))
    assert whole.cases == ("1", "2, left")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_imrmc_with_other_separators(tmp_path: Path, separator: str) -> None:
    text = IMRMC.replace(",", separator).replace("4.5", "4,5")
    reads = ratings(written(tmp_path, text, "study.imrmc"))
    np.testing.assert_array_equal(reads.ratings[0], [[1, 2, 3, 4.5], [1, np.nan, np.nan, 2]])
    assert reads.notes == ()


def test_what_spreadsheets_write(tmp_path: Path) -> None:
    text = "sep=;\nreader;modality;case;truth;rating\nA;AP;1;1,00;4,5\nA;AP;2;0.00;1\nA;AP;3;2;1\n"
    reads = ratings(written(tmp_path, text))
    assert reads.ratings.ravel().tolist() == [4.5, 1.0]
    assert reads.truth.tolist() == [True, False]
    assert left_out(reads)[-1] == "row 5: truth must be 0 or 1, got '2'"


def study(**changed: str) -> str:
    """Twelve reads; in every fourth row columns are changed by a pattern."""
    rows = []
    for number in range(12):
        case = number % 6
        cells = {"reader": "Dr A" if number < 6 else "Dr B", "modality": "AP",
                 "case": f"{case + 1:04d}", "truth": str(case % 2),
                 "rating": str(1 + case % 5), "seconds": "3"}  # fmt: skip
        if number % 4 == 3:
            cells |= {name: text.format(**cells, n=case + 1) for name, text in changed.items()}
        rows.append(",".join(cells.values()))
    return HEAD + "\n".join(rows)


CASES = "case 0002 is also written 2; case 0004 is also written 4; case 0006 is also written 6"


@pytest.mark.parametrize(
    ("changed", "notes"),
    [
        ({"reader": " {reader}  "}, []),
        ({"reader": "Dr\u00a0{reader[3]}"}, []),
        ({"reader": "{reader}\u200b"}, []),
        ({"reader": "DR {reader[3]}"},
         ["reader Dr A is also written DR A; reader Dr B is also written DR B: taken for the "
          "same"]),
        ({"case": "{n}.0"}, [f"{CASES}: taken for the same"]),
        ({"case": "{n}"}, [f"{CASES}: taken for the same"]),
        ({"modality": "ap"}, ["modality AP is also written ap: taken for the same"]),
        ({"case": '"=""{case}"""'}, []),
        ({"case": "'{case}"}, []),
        ({"truth": '"{truth},0"'}, []),
        ({"rating": "{rating}.000"}, []),
    ],
)  # fmt: skip
def test_names_that_differ_as_spreadsheets_change_them(
    tmp_path: Path, changed: dict[str, str], notes: list[str]
) -> None:
    plain = ratings(written(tmp_path, study()))
    reads = ratings(written(tmp_path, study(**changed)))
    assert (reads.readers, reads.cases) == (plain.readers, plain.cases)
    np.testing.assert_array_equal(reads.ratings, plain.ratings)
    assert [note.text for note in reads.notes] == notes


def test_two_names_in_one_place_of_the_table_are_not_taken_for_one(tmp_path: Path) -> None:
    text = HEAD + "A,AP,0101,1,4,\nA,AP,101,1,2,\nA,AP,7,0,1,\n"
    with pytest.raises(InputError, match=r"row 2 and row 3 name the case '0101' and '101'"):
        read_reads(written(tmp_path, text))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"case": "1.20E+11"}, "row 5, column case: holds a number that a spreadsheet has"),
        ({"rating": "03.Jan"}, "row 5: rating '03.Jan' is a date: a spreadsheet changed it"),
        (
            {"rating": '"{rating},000"'},
            "row 5, column rating: '4,000' may be a decimal number or have a thou",
        ),
        ({"rating": "{rating}0%"}, "row 5, column rating: '40%' is in per cent and other cells"),
        ({"rating": "{rating},5"}, "row 5: has 7 cells and the header 6"),
    ],
)
def test_what_a_spreadsheet_has_spoilt_is_refused(
    tmp_path: Path, changed: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        read_reads(written(tmp_path, study(**changed)))


def test_a_table_of_which_much_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """Truth as 1 and 2: without those of 2 all cases are healthy."""
    rows = [f"A,AP,{n},{1 + n % 2},{n % 5},\n" for n in range(30)]
    with pytest.raises(InputError, match=r"15 of 30 reads cannot be used .*row 3: truth must be 0"):
        read_reads(written(tmp_path, HEAD + "".join(rows)))


def test_a_few_rows_and_missing_ratings_are_left_out(tmp_path: Path) -> None:
    rows = [f"A,AP,{n},{n % 2},{n % 5},\n" for n in range(30)]
    bad = [f"A,AP,b{n},2,3,\n" for n in range(10)]
    assert len(ratings(written(tmp_path, HEAD + "".join([*rows, *bad]))).cases) == 30
    with pytest.raises(InputError, match="11 of 41 reads cannot be used"):
        read_reads(written(tmp_path, HEAD + "".join([*rows, *bad, "A,AP,b10,2,3,\n"])))
    missing = [f"A,AP,m{n},{n % 2},{word},\n" for n, word in enumerate(("NA", "", "-", "?") * 5)]
    assert len(ratings(written(tmp_path, HEAD + "".join([*rows, *missing]))).cases) == 30


@pytest.mark.parametrize(
    ("code", "said"), [("99999", True), ("-99", True), ("99", True), ("9", False), ("7", False)]
)
def test_a_rating_that_may_be_a_code_is_said(tmp_path: Path, code: str, said: bool) -> None:
    reads = ratings(written(tmp_path, HEAD + f"A,AP,1,1,4,\nA,AP,2,0,1,\nA,AP,3,0,{code},\n"))
    wanted = f"rating {code} was used, far from the others: if it marks a missing rating, leave"
    assert [note.text.startswith(wanted) for note in reads.notes] == [True] * said
    assert float(code) in reads.ratings


def test_three_decimals_are_a_time_and_a_rating(tmp_path: Path) -> None:
    """As `bonescint study export` writes times; no thousands stand between point and comma."""
    rows = "".join(f"r,m,c{case},{case % 2},{10 + case}.125,2{case}.705\n" for case in range(6))
    (tmp_path / "reads.csv").write_text(HEAD + rows)
    reads = read_reads(tmp_path / "reads.csv")
    assert reads.notes == ()
    np.testing.assert_allclose(reads.seconds.ravel(), [20.705 + case for case in range(6)])
    np.testing.assert_allclose(reads.ratings.ravel(), [10.125 + case for case in range(6)])


def test_lists_of_imrmc_have_a_decimal_point(tmp_path: Path) -> None:
    truth = "".join(f"-1,c{case},0,{case % 2}\n" for case in range(6))
    rows = "".join(f"r,c{case},m,{10 + case}.125\n" for case in range(6))
    (tmp_path / "a.imrmc").write_text(
        f"Title\nN0: 3\nN1: 3\nNR: 1\nNM: 1\nBEGIN DATA:\n{truth}{rows}"
    )
    reads = read_reads(tmp_path / "a.imrmc")
    np.testing.assert_allclose(reads.ratings.ravel(), [10.125 + case for case in range(6)])


def test_a_time_that_may_mean_two_things_is_refused(tmp_path: Path) -> None:
    rows = "".join(f'r,m,c{case},{case % 2},{case},"1,{case}00"\n' for case in range(6))
    (tmp_path / "reads.csv").write_text(HEAD + rows)
    with pytest.raises(InputError, match=r"column seconds: '1,000' may be a decimal number"):
        read_reads(tmp_path / "reads.csv")
