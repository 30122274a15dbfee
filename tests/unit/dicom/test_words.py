"""View names in free text."""

from __future__ import annotations

from pathlib import Path

import pytest

from bonescint.dicom.words import (
    names_a_mask,
    names_view_plainly,
    pair_key,
    view_in_path,
    view_in_text,
)
from bonescint.scan import View


@pytest.mark.parametrize(
    "text",
    ["ANT", "Anterior", "WB_ANT001", "WBANT001", "WholeBodyAnt", "face", "FACE ANT", "Antérieure",
     "ventral", "AP", "post therapy ANT", "vorne", "anteriore"],
)  # fmt: skip
def test_names_the_anterior_view(text: str) -> None:
    assert view_in_text(text) is View.ANTERIOR


@pytest.mark.parametrize(
    "text",
    ["POST", "posterior", "WB_POST001", "FACE POST", "DOS", "dorsal", "PA", "POST VIEW", "Post WB",
     "Rücken", "postérieur", "WHOLE BODY POST"],
)  # fmt: skip
def test_names_the_posterior_view(text: str) -> None:
    assert view_in_text(text) is View.POSTERIOR


@pytest.mark.parametrize(
    "text",
    ["", "WHOLE BODY", "PLANTAR", "DISTANT", "POST OP", "POST-OP", "post therapy", "POST 3H",
     "POST INJECTION", "POSTOPERATIVE", "ANT/POST", "WHOLE BODY ANT POST", "AP/PA", "PA000123",
     "APPENDIX", "Giant cell tumour", "SEPT 2021", "dos_santos_1", "PA 0001", "POST BONE SCAN",
     "BONE WB 3HR POST", "DELAYED POST"],
)  # fmt: skip
def test_names_no_single_view(text: str) -> None:
    assert view_in_text(text) is None


AP = [
    "antero-posterior", "ANTERO POSTERIOR", "anteroposterior", "AnteroPosterior",
    "antero_posterior",
    "WB antero-posterior", "Antero-Posterior Projektion", "antéro-postérieur", "antéropostérieure",
    "ANTÉRO POSTÉRIEURE", "antero-posteriore", "proiezione antero posteriore", "ântero-posterior",
    "proyección anteroposterior", "antero/posterior", "ventro-dorsal", "Ventrodorsal", "a.p.",
    "A.P",
    "WB a.p.", "a/p", "AP view", "WB_AP", "voor-achterwaarts", "voorachterwaartse opname",
    "antero-post", "p7_antero-posterior_2", "A-P", "ANTERIOR (antero-posterior)",
]  # fmt: skip
PA = [
    "postero-anterior", "POSTERO ANTERIOR", "posteroanterior", "PosteroAnterior",
    "postero_anterior",
    "WB postero-anterior", "postéro-antérieur", "postéroantérieure", "POSTÉRO ANTÉRIEURE",
    "postero-anteriore", "póstero-anterior", "proyección posteroanterior", "postero/anterior",
    "dorso-ventral", "dorsoventral", "p.a.", "P.A", "WB p.a.", "p/a", "p.a. projection",
    "p.a. Ganzkörper", "PA view", "WB_PA", "achter-voorwaarts", "postero-ant",
    "p7_postero-anterior_2", "P-A", "POST postero-anterior",
]  # fmt: skip


@pytest.mark.parametrize("separator", ["-", " ", "_", "", "/", ".", " - ", "\n"])
@pytest.mark.parametrize("case", [str.lower, str.upper, str.title])
@pytest.mark.parametrize(
    ("front", "back"),
    [("antero", "posterior"), ("antéro", "postérieur"), ("antero", "posteriore"),
     ("ventro", "dorsal"), ("ventro", "dorsale")],
)  # fmt: skip
def test_a_projection_is_named_by_the_end_where_it_begins(separator, case, front, back) -> None:
    assert view_in_text(case(f"{front}{separator}{back}")) is View.ANTERIOR
    turned = {"posterior": ("postero", "anterior"), "postérieur": ("postéro", "antérieur"),
              "posteriore": ("postero", "anteriore"), "dorsal": ("dorso", "ventral"),
              "dorsale": ("dorso", "ventrale")}  # fmt: skip
    assert view_in_text(case(separator.join(turned[back]))) is View.POSTERIOR


@pytest.mark.parametrize("text", AP)
def test_ap_is_the_anterior_view_in_any_spelling(text: str) -> None:
    assert view_in_text(text) is View.ANTERIOR
    assert view_in_path(Path(f"x/{text.replace('/', '_')}.png")) in (View.ANTERIOR, None)


@pytest.mark.parametrize("text", PA)
def test_pa_is_the_posterior_view_in_any_spelling(text: str) -> None:
    assert view_in_text(text) is View.POSTERIOR
    assert view_in_path(Path(f"x/{text.replace('/', '_')}.png")) in (View.POSTERIOR, None)


@pytest.mark.parametrize(
    ("text", "view"),
    [("Vorderansicht", View.ANTERIOR), ("von vorne", View.ANTERIOR), ("vordere", View.ANTERIOR),
     ("Rückansicht", View.POSTERIOR), ("Rueckansicht", View.POSTERIOR),
     ("Ru\u0308ckansicht", View.POSTERIOR), ("von hinten", View.POSTERIOR),
     ("face antérieure", View.ANTERIOR), ("face postérieure", View.POSTERIOR),
     ("vue de dos", View.POSTERIOR), ("cara anterior", View.ANTERIOR),
     ("vista posterior", View.POSTERIOR), ("proiezione anteriore", View.ANTERIOR),
     ("veduta posteriore", View.POSTERIOR), ("imagem anterior", View.ANTERIOR),
     ("vooraanzicht", View.ANTERIOR), ("achteraanzicht", View.POSTERIOR),
     ("ANTERIEUR", View.ANTERIOR), ("posterieur", View.POSTERIOR)],
)  # fmt: skip
def test_views_in_the_languages_of_europe(text: str, view: View) -> None:
    assert view_in_text(text) is view


@pytest.mark.parametrize(
    "text",
    [
        # Both ends, undecided.
        "anterior-posterior", "ANT-POST", "antpost", "antero", "AP+PA", "PA AP x",
        "antero-posterior, posterior",
        # How the patient lies.
        "CUERPO ENTERO DECUBITO DORSAL", "WB supine, dorsal decubitus", "Rückenlage dorsal",
        "décubitus ventral", "decúbito prono ventral", "sur le dos", "auf dem Rücken",
        "couché sur le dos", "face down", "supine", "prone", "Bauchlage", "procubitus",
        "in decubito dorsale", "rugligging dorsaal",
        # Oblique and lateral views.
        "LPO obliqua posterior", "RAO anterior", "OAD antérieure", "obl. ant. droite", "ANT LAT",
        "posterior oblicua izquierda", "schräg vorne", "anterolateral", "postero-lateral posterior",
        "profil ant",
        # What is denied.
        "POST VIEW OMITTED", "no post view", "without posterior", "ohne dorsal", "sans face post",
        "senza posteriore", "sin posterior", "sem posterior", "zonder achteraanzicht",
        "posterior missing", "without the posterior", "no WB post", "posterior not done",
        "pas de face post", "not posterior", "posterior nicht erfolgt",
        "keine hintere Aufnahme", "ANT w/o POST", "posterior fehlt",
        # Earlier and later.
        "estudio anterior", "exame anterior", "examen antérieur", "posterior a terapia",
        "posterior to therapy",
    ],
)  # fmt: skip
def test_words_that_lie_decide_nothing(text: str) -> None:
    assert view_in_text(text) is None
    assert view_in_path(Path(f"x/{text.replace('/', '_')}.png")) is None


@pytest.mark.parametrize(
    ("text", "view"),
    [("no mets ANT", View.ANTERIOR), ("p7_no_metastasis_post", View.POSTERIOR),
     ("ohne Befund anterior", View.ANTERIOR), ("POSTERIOR supine", View.POSTERIOR),
     ("ANT, decubito dorsal", View.ANTERIOR),
     ("Patient No 12 ANT", View.ANTERIOR), ("prone ANT", View.ANTERIOR)],
)  # fmt: skip
def test_true_words_beside_lying_ones_count(text: str, view: View) -> None:
    assert view_in_text(text) is view


def test_an_oblique_file_in_a_folder_of_a_view_is_not_that_view() -> None:
    assert view_in_path(Path("POST/LPO_0017.png")) is None
    assert view_in_path(Path("PA/0017.png")) is View.POSTERIOR
    assert view_in_path(Path("antero-posterior/0017.png")) is View.ANTERIOR


@pytest.mark.parametrize(
    ("name", "plain"),
    [("p1_anterior", True), ("p1-POST", True), ("ANT001", True), ("antero-posterior", False),
     ("p1_postero_anterior", False), ("posteroanterior", False), ("AP", False),
     ("anterior view of p1", False)],
)  # fmt: skip
def test_only_a_conventional_ending_is_plain(name: str, plain: bool) -> None:
    assert names_view_plainly(name) is plain


def test_the_folder_counts_only_when_it_is_called_as_a_view() -> None:
    assert view_in_path(Path("BS80K/POST/000017.jpg")) is View.POSTERIOR
    assert view_in_path(Path("post therapy/000017.jpg")) is None
    assert view_in_path(Path("ANT/p1_posterior.png")) is View.POSTERIOR


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/p1_anterior.png", "a/p1_posterior.png"),
        ("a/ANT001.dcm", "a/POST001.dcm"),
        ("a/x-ANT-7.png", "a/x-POST-7.png"),
        ("a/WB_AP.png", "a/WB_PA.png"),
        ("ANT/9.jpg", "POST/9.jpg"),
        ("a/p1_antero-posterior.png", "a/p1_postero-anterior.png"),
        ("a/p1_AnteroPosterior2.png", "a/p1_PosteroAnterior2.png"),
        ("a/p1 a.p. x.png", "a/p1 p.a. x.png"),
        ("a/Vorderansicht 3.png", "a/Rückansicht 3.png"),
        ("a/face 3.png", "a/dos 3.png"),
        ("antero-posterior/9.jpg", "postero-anterior/9.jpg"),
        ("AP/9.jpg", "PA/9.jpg"),
    ],
)
def test_the_two_files_of_a_study_share_a_key(one: str, other: str) -> None:
    assert pair_key(Path(one)) == pair_key(Path(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/p1_anterior.png", "a/p2_posterior.png"), ("a/p1_ANT.png", "b/p1_POST.png"),
     ("a/ANT001.dcm", "a/POST002.dcm"), ("a/PA0012_anterior.png", "a/0012_posterior.png"),
     ("a/FACE7_ant.png", "a/7_post.png")],
)  # fmt: skip
def test_files_of_two_studies_do_not(one: str, other: str) -> None:
    assert pair_key(Path(one)) != pair_key(Path(other))


def test_masks_are_known_by_name() -> None:
    assert names_a_mask(Path("p1_mask_anterior.png"))
    assert not names_a_mask(Path("p1_masked_ball.png"))
