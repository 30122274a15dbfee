"""View names in free text: code meanings, descriptions, file names.

A word counts only as a whole word: letters next to it make it another one (`PLANTAR`,
`DISTANT`), digits and underscores do not (`WB_ANT001`). A text that names both views
(`WHOLE BODY ANT/POST`) names neither image. `POST` is also Latin for "after": it means the
view only at the end of a text or before words that go with a view (`POST VIEW`, `POST_WB`),
never in `POST OP`, `POST THERAPY` or `POST 3H`. `AP`, `PA` and `FACE` are weak: they count
when no clear word answers, and `AP`/`PA` only apart from digits (`PA0001` is a patient).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from pathlib import Path

from bonescint.scan import View

_ANTERIOR = frozenset(
    [
        "ANT",
        "ANTERIOR",
        "ANTERIEUR",
        "ANTERIEURE",
        "ANTERIORE",
        "ANTERIORES",
        "ANTER",
        "VENTRAL",
        "VENTRALE",
        "VORN",
        "VORNE",
        "FRONTAL",
        "VOORZIJDE",
        "VOORAANZICHT",
    ]
)
_POSTERIOR = frozenset(
    [
        "POSTERIOR",
        "POSTERIEUR",
        "POSTERIEURE",
        "POSTERIORE",
        "POSTERIORES",
        "POSTER",
        "DOS",
        "DORSAL",
        "DORSALE",
        "HINTEN",
        "RUECKEN",
        "ACHTERZIJDE",
        "ACHTERAANZICHT",
    ]
)
_AFTER_POST = frozenset(
    [
        "VIEW",
        "WB",
        "WBS",
        "WHOLE",
        "BODY",
        "WHOLEBODY",
        "IMAGE",
        "IMG",
        "IM",
        "EMISSION",
        "DETECTOR",
        "DET",
        "HEAD",
        "STATIC",
        "TC",
        "TCM",
        "MDP",
        "HDP",
        "HMDP",
        "NM",
        "RAW",
        "SPOT",
        "E",
        "F",
        "DCM",
        "PNG",
        "JPG",
        "JPEG",
    ]
)
_WEAK = {"AP": View.ANTERIOR, "PA": View.POSTERIOR, "FACE": View.ANTERIOR}
_TIME = re.compile(r"^(?:[0-9]*(?:H|HR|HRS|HOUR|HOURS|MIN|MINS)|DELAYED|LATE)$")
_GLUED = re.compile(r"^(?:WB|WHOLEBODY|BONE|BODY)(ANT|POST|ANTERIOR|POSTERIOR)$")
_MASK_WORDS = frozenset(
    ["MASK", "MASKS", "LABEL", "LABELS", "SEG", "SEGMENTATION", "OVERLAY", "ANNOTATION"]
)


def _words(text: str, *, keep_digits: bool = False) -> list[str]:
    """Upper-case words without accents; `WholeBodyAnt` is three."""
    spaced = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", text)
    plain = unicodedata.normalize("NFKD", spaced.replace("ß", "ss"))
    plain = "".join(char for char in plain if not unicodedata.combining(char)).upper()
    plain = plain.replace("RUCKEN", "RUECKEN")
    return re.findall(r"[A-Z0-9]+" if keep_digits else r"[A-Z]+", plain)


def views_named(text: str) -> frozenset[View]:
    """The views that a text names clearly.

    Examples:
        >>> sorted(views_named("WB_ANT001"))
        [<View.ANTERIOR: 'anterior'>]
        >>> views_named("POST THERAPY, plantar foot")
        frozenset()
        >>> len(views_named("WHOLE BODY ANT/POST"))
        2
    """
    words = _words(text)
    full = _words(text, keep_digits=True)
    after_time = {
        later for earlier, later in pairwise(full) if later == "POST" and _TIME.match(earlier)
    }
    named: set[View] = set()
    for place, whole in enumerate(words):
        glued = _GLUED.match(whole)
        word = glued[1] if glued else whole
        following = words[place + 1] if place + 1 < len(words) else ""
        before = words[place - 1] if place else ""
        if word in _ANTERIOR:
            named.add(View.ANTERIOR)
        elif word == "DOS":
            if not following or {before, following} & {"FACE", "VUE", "WB"}:
                named.add(View.POSTERIOR)
        elif word in _POSTERIOR or (
            word == "POST" and not after_time and _goes_with_view(following)
        ):
            named.add(View.POSTERIOR)
    return frozenset(named)


def _goes_with_view(following: str) -> bool:
    return not following or following in _AFTER_POST or following in _ANTERIOR or following in _WEAK


def view_in_text(text: str) -> View | None:
    """The one view that a text names, or `None` if it names none or both.

    Examples:
        >>> view_in_text("FACE POST").value
        'posterior'
        >>> view_in_text("face").value
        'anterior'
    """
    named = views_named(text)
    if not named:
        words = _words(text, keep_digits=True)
        named = frozenset(
            view
            for place, word in enumerate(words)
            if (view := _WEAK.get(word)) is not None
            and (
                word != "PA"
                or place == len(words) - 1
                or {"WB", "VIEW", "AP"} & set(words[max(0, place - 1) : place + 2])
            )
        )
    return next(iter(named)) if len(named) == 1 else None


def view_in_path(path: Path) -> View | None:
    """The view that a file's name tells, else a folder that is called just `ANT` or `POST`.

    Examples:
        >>> view_in_path(Path("scans/p017_posterior.png")).value
        'posterior'
        >>> view_in_path(Path("ANT/0017.jpg")).value
        'anterior'
    """
    named = views_named(path.stem)
    if named:
        return next(iter(named)) if len(named) == 1 else None
    folder = path.parent.name
    if len(_words(folder)) == 1 and views_named(folder):
        return view_in_text(folder)
    return view_in_text(path.stem)


def view_in_path_is_plain(path: Path) -> bool:
    """Whether a name follows a convention that leaves no doubt.

    Such are `*_anterior`, `*_POST`, `ANT001` and a folder called just `ANT` or `POST`.

    Examples:
        >>> view_in_path_is_plain(Path("p1_anterior.png")), view_in_path_is_plain(Path("AP x.png"))
        (True, False)
    """
    if re.search(r"(?:^|[_ -])(?:ant|post)(?:erior)?[0-9]*$", path.stem, re.IGNORECASE):
        return True
    return not views_named(path.stem) and bool(views_named(path.parent.name))


def pair_key(path: Path) -> tuple[str, str]:
    """What the two files of a study have in common: folder and name less the view's words.

    Examples:
        >>> pair_key(Path("a/p1_anterior.png")) == pair_key(Path("a/p1_posterior.png"))
        True
        >>> pair_key(Path("b/ANT/0017.jpg")) == pair_key(Path("b/POST/0017.jpg"))
        True
    """
    folder = path.parent
    if len(_words(folder.name)) == 1 and views_named(folder.name):
        folder = folder.parent
    words = _words(path.stem, keep_digits=True)
    kept = [word for word in (_without_view(word) for word in words) if word]
    return str(folder), " ".join(kept)


def _without_view(word: str) -> str:
    letters = re.sub(r"[0-9]", "", word)
    glued = _GLUED.match(letters)
    if glued or letters in _ANTERIOR or letters in _POSTERIOR or letters in ("POST", "AP", "PA"):
        return re.sub(r"(ANT|POST)(ERIOR)?|[A-Z]", "", word)
    return word


def names_a_mask(path: Path) -> bool:
    """Whether a picture's name says that it is a mask or a label, not a scan."""
    return not _MASK_WORDS.isdisjoint(_words(path.stem))
