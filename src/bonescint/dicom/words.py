"""View names in free text: code meanings, descriptions, file names.

A text is cut into words, and tables say what each word means. A word counts only as a whole:
letters next to it make it another one (`PLANTAR`, `DISTANT`), digits and underscores do not
(`WB_ANT001`). Words of two ends name a projection by where it begins: `antero-posterior`, in any
spelling, is AP and the anterior view. A text that names both views (`WHOLE BODY ANT/POST`) names
neither image.

Some words mislead, and decide nothing:

- how the patient lies: `dorsal`, `ventral`, `DOS`, `FACE` beside `decubitus`, `supine`, `sur le`;
- oblique and lateral views (`LPO posterior`), and views that are not there (`post view omitted`,
  `without posterior`, but not `no metastases, ANT`): such a text names no view at all;
- `POST`, Latin for "after": it means the view only at the end of a text or before words that go
  with a view (`POST VIEW`, `POST_WB`), never in `POST OP`, `POST THERAPY` or `POST 3H`;
- `anterior` and `posterior` as "earlier" and "later than" (`estudio anterior`, `posterior a`).

`AP`, `PA` and `FACE` are weak: they count when no clear word answers, and `AP`/`PA` only apart
from digits (`PA0001` is a patient).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from bonescint.scan import View


def _folded(word: str) -> str:
    """`RUECKEN` is `RUCKEN`, as Rücken is without its dots."""
    return re.sub(r"([AOU])E", r"\1", word)


def _table(words: str) -> frozenset[str]:
    return frozenset(_folded(word) for word in words.split())


_ENDS = {
    View.ANTERIOR: _table(
        """ANT ANTER ANTERIOR ANTERIORE ANTERIORES ANTERIORI ANTERIORER ANTERIORES ANTERIEUR
        ANTERIEURE ANTERIEURS ANTERIEURES VENTRAL VENTRALE VENTRALER VENTRALES VENTRALEN VENTRALI
        VORN VORNE VORDERE VORDERER VORDERES VORDEREN VORDERANSICHT VORDERSEITE VENTRALANSICHT
        FRONTAL FRONTALE FRONTANSICHT VOORZIJDE VOORKANT VOORSTE VOORAANZICHT"""
    ),
    View.POSTERIOR: _table(
        """POSTER POSTERIOR POSTERIORE POSTERIORES POSTERIORI POSTERIORER POSTERIEUR POSTERIEURE
        POSTERIEURS POSTERIEURES DORSAL DORSALE DORSALER DORSALES DORSALEN DORSALI HINTEN HINTERE
        HINTERER HINTERES HINTEREN HINTERANSICHT DORSALANSICHT RUECKEN RUECKSEITE RUECKANSICHT
        RUECKENANSICHT ACHTERZIJDE ACHTERKANT ACHTERSTE ACHTERAANZICHT"""
    ),
}
_FIRST_ENDS = {
    **dict.fromkeys(("ANTERO", "VENTRO", "VOOR"), View.ANTERIOR),
    **dict.fromkeys(("POSTERO", "DORSO", "ACHTER"), View.POSTERIOR),
}
_SECOND_ENDS = {
    View.ANTERIOR: _ENDS[View.ANTERIOR] | {"VOORWAARTS", "VOORWAARTSE"},
    View.POSTERIOR: _ENDS[View.POSTERIOR] | {"POST", "ACHTERWAARTS", "ACHTERWAARTSE"},
}
_FIRST_END = re.compile(rf"^({'|'.join(_FIRST_ENDS)})(.+)$")
_WEAK = {"AP": View.ANTERIOR, "PA": View.POSTERIOR, "FACE": View.ANTERIOR}

_BESIDE_A_VIEW = _table(
    """VIEW WB WBS WHOLE BODY WHOLEBODY GANZKOERPER IMAGE IMG IM EMISSION DETECTOR DET HEAD STATIC
    TC TCM MDP HDP HMDP NM RAW SPOT E F DCM PNG JPG JPEG TIF TIFF PROJECTION PROJEKTION PROIEZIONE
    PROYECCION PROJECAO PROJECTIE INCIDENCE INCIDENZA INCIDENCIA VUE VISTA VEDUTA ANSICHT AUFNAHME
    BILD AANZICHT OPNAME"""
)
_TIMES = _table("H HR HRS HOUR HOURS STD STUNDEN HEURES ORE HORAS MIN MINS DELAYED LATE")
_SIDES_TO_LIE_ON = re.compile(r"^(?:VENTRAL|DORSAL)(?!ANSICHT)|^(?:RUCKEN|DOS|FACE)$")
_LYING = _table(
    """SUPINE SUPINO SUPINA PRONE PRONO PRONA DECUBITUS DECUBITO PROCUBITUS RECUMBENT
    LYING LIEGEND LIEGENDE RUECKENLAGE BAUCHLAGE SEITENLAGE RUGLIGGING BUIKLIGGING LIGGEND
    LIGGENDE COUCHE COUCHEE ALLONGE ALLONGEE SDRAIATO SDRAIATA ACOSTADO ACOSTADA DEITADO DEITADA
    SUR AUF UP DOWN"""
)
_OBLIQUE = _table(
    """LPO RPO LAO RAO OAD OAG OAI OAS OAE OPD OPG OPI OPS OPE OBL OBLIQUE OBLIQUES OBLIQUA OBLIQUO
    OBLICUA OBLICUO SCHRAEG SCHRAEGE SCHUIN SCHUINE LAT LLAT RLAT LLO RLO LATERAL LATERALE
    LATERALES LATERALIS SEITLICH SEITLICHE PROFIL PERFIL PROFILO ZIJDELINGS TANGENTIAL
    ANTEROLATERAL POSTEROLATERAL ANTEROMEDIAL POSTEROMEDIAL"""
)
_MISSING = _table(
    """OMITTED OMIT MISSING ABSENT EXCLUDED SKIPPED CANCELLED FAILED FEHLT FEHLEND ENTFAELLT ABSENTE
    MANQUE MANQUANT MANQUANTE OMIS OMISE MANCA MANCANTE ASSENTE OMESSO OMESSA FALTA OMITIDO OMITIDA
    AUSENTE OMISSO OMISSA ONTBREEKT"""
)
_NOT = _table("NOT NON PAS NICHT NIET")
_WITHOUT = _NOT | _table("NO WITHOUT EXCEPT OHNE KEIN KEINE SANS SAUF SENZA SIN SEM ZONDER GEEN")
_ARTICLES = _table("THE A AN DIE DER DAS DE DU LA LE L UNE IL UNA EL O HET EEN")
_EARLIER = frozenset(["EXAMEN", "EXAME", "ESAME", "ESTUDIO", "ESTUDO"])
_LATER_THAN = frozenset(["A", "AL", "AO", "TO", "AU", "ALLA"])
_GLUED = re.compile(r"^(?:WB|WHOLEBODY|BONE|BODY)(ANT|POST|ANTERIOR|POSTERIOR)$")
_DOTTED = re.compile(
    r"(?<![A-Z0-9./])(?:A[./]P|P[./]A)(?!\.?[A-Z0-9]|/[A-Z0-9])"
    r"|(?<![A-Z0-9./-])(?:A-P|P-A)(?![A-Z0-9-])"
)
_PLAIN_END = re.compile(r"(?:^|[_ -])(?:ANT|POST)(?:ERIOR)?[0-9]*$")
_MASK_WORDS = _table("MASK MASKS LABEL LABELS SEG SEGMENTATION OVERLAY ANNOTATION")


def _plain(text: str) -> str:
    """Upper case without accents; `WholeBodyAnt` is three words, `a.p.` is `AP`."""
    spaced = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", unicodedata.normalize("NFC", text))
    apart = unicodedata.normalize("NFKD", spaced.replace("ß", "ss"))
    plain = "".join(char for char in apart if not unicodedata.combining(char)).upper()
    plain = re.sub(r"\bW/O\b", "WITHOUT", plain)
    return _DOTTED.sub(lambda found: found[0][0] + found[0][2], plain)


def _words(plain: str) -> list[str]:
    """Words and numbers of a plain text: `ANT001` is two."""
    return [_folded(word) for word in re.findall(r"[^\W\d_]+|[0-9]+", plain)]


def _names_no_view(words: Sequence[str]) -> bool:
    """Whether a text is of an oblique view, or says that a view is not there."""
    if not (_OBLIQUE | _MISSING).isdisjoint(words):
        return True
    telling = [word for word in words if word not in _BESIDE_A_VIEW | _ARTICLES]
    return any(
        (_is_view_word(later) and earlier in _WITHOUT) or (_is_view_word(earlier) and later in _NOT)
        for earlier, later in pairwise(telling)
    )


def views_named(text: str) -> frozenset[View]:
    """The views that a text names clearly.

    Examples:
        >>> sorted(views_named("WB_ANT001"))
        [<View.ANTERIOR: 'anterior'>]
        >>> sorted(views_named("antero-posterior"))
        [<View.ANTERIOR: 'anterior'>]
        >>> views_named("POST THERAPY, plantar foot")
        frozenset()
        >>> len(views_named("WHOLE BODY ANT/POST"))
        2
    """
    words = [word for word in _words(_plain(text)) if not word.isdigit()]
    if _names_no_view(_words(_plain(text))):
        return frozenset()
    return frozenset(_clear_views(words))


def _clear_views(words: Sequence[str]) -> set[View]:
    named: set[View] = set()
    lies = not _LYING.isdisjoint(words)
    timed = any(later == "POST" and earlier in _TIMES for earlier, later in pairwise(words))
    padded = ["", *words, ""]
    for before, whole, following in zip(padded, words, padded[2:], strict=False):
        first = _FIRST_ENDS.get(before)
        if first is not None and whole in _SECOND_ENDS[first.opposite]:
            continue  # the second end of what was named already
        glued = _GLUED.match(whole)
        word = glued[1] if glued else whole
        view = _view_of(word, following)
        if word == "POST" and (timed or not _goes_with_view(following)):
            view = None
        if word == "DOS" and following and not {before, following} & {"FACE", "VUE", "WB"}:
            view = None
        if (view is View.ANTERIOR and before in _EARLIER) or (
            view is View.POSTERIOR and following in _LATER_THAN
        ):
            view = None
        if view is not None and not (lies and _SIDES_TO_LIE_ON.match(word)):
            named.add(view)
    return named


def _view_of(word: str, following: str) -> View | None:
    """The view that a word names by itself or together with the word that follows it."""
    if word in _FIRST_ENDS:
        first = _FIRST_ENDS[word]
        return first if following in _SECOND_ENDS[first.opposite] else None
    if word in ("POST", "DOS"):
        return View.POSTERIOR
    for view, words in _ENDS.items():
        if word in words:
            return view
    compound = _FIRST_END.match(word)
    if compound and compound[2] in _SECOND_ENDS[_FIRST_ENDS[compound[1]].opposite]:
        return _FIRST_ENDS[compound[1]]
    return None


def _goes_with_view(following: str) -> bool:
    return (
        not following
        or following in _BESIDE_A_VIEW
        or following in _ENDS[View.ANTERIOR]
        or following in _WEAK
    )


def view_in_text(text: str) -> View | None:
    """The one view that a text names, or `None` if it names none or both.

    Examples:
        >>> view_in_text("FACE POST").value
        'posterior'
        >>> view_in_text("face").value, view_in_text("p.a.").value
        ('anterior', 'posterior')
        >>> view_in_text("LPO posterior") is None
        True
    """
    named = views_named(text)
    if not named and not _names_no_view(_words(_plain(text))):
        named = _weak_views(_plain(text))
    return next(iter(named)) if len(named) == 1 else None


def _weak_views(plain: str) -> frozenset[View]:
    words = re.findall(r"[^\W_]+", plain)  # digits belong to their word
    lies = not _LYING.isdisjoint(map(_folded, words))
    named = set()
    for place, word in enumerate(words):
        beside = words[max(0, place - 1) : place + 2]
        last = place == len(words) - 1
        if word == "PA" and not (
            last
            or _folded(words[place + 1]) in _BESIDE_A_VIEW
            or {"WB", "VIEW", "AP"} & set(beside)
        ):
            continue
        if word in _WEAK and not (lies and _SIDES_TO_LIE_ON.match(word)):
            named.add(_WEAK[word])
    return frozenset(named)


def view_in_path(path: Path) -> View | None:
    """The view that a file's name gives, else its folder's name if that is just `ANT` or `POST`.

    Examples:
        >>> view_in_path(Path("scans/p017_posterior.png")).value
        'posterior'
        >>> view_in_path(Path("ANT/0017.jpg")).value
        'anterior'
        >>> view_in_path(Path("POST/LPO_0017.jpg")) is None
        True
    """
    named = views_named(path.stem)
    if named:
        return next(iter(named)) if len(named) == 1 else None
    if _names_no_view(_words(_plain(path.stem))):
        return None
    if _is_called_as_a_view(path.parent):
        return view_in_text(path.parent.name)
    return view_in_text(path.stem)


def _is_called_as_a_view(folder: Path) -> bool:
    """Whether a folder's name is that of a view and nothing else."""
    words = [word for word in _words(_plain(folder.name)) if not word.isdigit()]
    return all(map(_is_view_word, words)) and view_in_text(folder.name) is not None


def _is_view_word(word: str) -> bool:
    glued = _GLUED.match(word) is not None
    return glued or word in _WEAK or word in _FIRST_ENDS or _view_of(word, "") is not None


def is_word_of_scans(word: str) -> bool:
    """Whether a word belongs to views of bone scans, and so to no patient in particular.

    Examples:
        >>> is_word_of_scans("posterior"), is_word_of_scans("Whole"), is_word_of_scans("Kowalska")
        (True, True, False)
    """
    plain = _folded(_plain(word).replace(" ", ""))
    return plain in _BESIDE_A_VIEW or _is_view_word(plain)


def names_view_plainly(text: str) -> bool:
    """Whether a text ends in `anterior`, `POST` or the like, which leaves no doubt.

    Examples:
        >>> names_view_plainly("p1_anterior"), names_view_plainly("ANT001")
        (True, True)
        >>> names_view_plainly("AP x"), names_view_plainly("antero-posterior")
        (False, False)
    """
    plain = _plain(text)
    words = [word for word in _words(plain) if not word.isdigit()]
    compound = len(words) > 1 and words[-2] in _FIRST_ENDS
    return bool(_PLAIN_END.search(plain)) and not compound


def view_in_path_is_plain(path: Path) -> bool:
    """Whether a name follows a convention that leaves no doubt.

    Examples are `*_anterior`, `*_POST`, `ANT001` and a folder called just `ANT` or `POST`.

    Examples:
        >>> view_in_path_is_plain(Path("p1_anterior.png")), view_in_path_is_plain(Path("AP x.png"))
        (True, False)
    """
    if names_view_plainly(path.stem):
        return True
    return not views_named(path.stem) and _is_called_as_a_view(path.parent)


def pair_key(path: Path) -> tuple[str, str]:
    """The folder and the name without the view, which the two files of a study share.

    `PA` beside digits stays: it belongs to a patient's number.

    Examples:
        >>> pair_key(Path("a/p1_anterior.png")) == pair_key(Path("a/p1_posterior.png"))
        True
        >>> pair_key(Path("a/p1_antero-posterior.png")) == pair_key(Path("a/p1_pa.png"))
        True
        >>> pair_key(Path("b/ANT/0017.jpg")) == pair_key(Path("b/POST/0017.jpg"))
        True
    """
    folder = path.parent
    if _is_called_as_a_view(folder):
        folder = folder.parent
    kept = []
    for word in re.findall(r"[^\W_]+", _plain(path.stem)):
        letters = _folded(re.sub(r"[0-9]", "", word))
        apart = letters not in _WEAK or letters == word
        if letters and apart and _is_view_word(letters):
            word = re.sub(r"[^0-9]", "", word)
        kept.append(word)
    return str(folder), " ".join(word for word in kept if word)


def names_a_mask(path: Path) -> bool:
    """Whether a picture's name says that it is a mask or a label, not a scan."""
    return not _MASK_WORDS.isdisjoint(_words(_plain(path.stem)))
