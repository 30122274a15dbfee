"""Codes of views and of the patient's position, as data: what a code says, by scheme and value.

Views: PS3.16 CID 26 (nuclear medicine projections) and CID 4010 (projections of radiography,
which some systems write: AP is the anterior view, PA the posterior one), CID 2 (anatomic
modifiers) and two directions of CID 7185. Position: CID 20 and 21. Each concept has its SNOMED CT
code and the older one of SNOMED RT, which goes under three names: SRT, SNM3 and 99SDM.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bonescint.dicom.header import Header
from bonescint.scan import View

_SCHEMES: Mapping[str, str] = MappingProxyType(
    {
        "SCT": "SCT",
        "SNOMED-CT": "SCT",
        "SRT": "SRT",
        "SNM3": "SRT",
        "99SDM": "SRT",
        "SNOMED-RT": "SRT",
        "DCM": "DCM",
    }
)

VIEWS: Mapping[tuple[str, str], View] = MappingProxyType(
    {
        ("SCT", "399321004"): View.ANTERIOR,  # anterior projection
        ("SRT", "G-5215"): View.ANTERIOR,
        ("SCT", "399348003"): View.ANTERIOR,  # antero-posterior
        ("SRT", "R-10206"): View.ANTERIOR,
        ("SCT", "255549009"): View.ANTERIOR,  # anterior
        ("SRT", "R-404CC"): View.ANTERIOR,
        ("DCM", "110870"): View.ANTERIOR,  # anterior to posterior
        ("SCT", "399001007"): View.POSTERIOR,  # posterior projection
        ("SRT", "G-5216"): View.POSTERIOR,
        ("SCT", "272479007"): View.POSTERIOR,  # postero-anterior
        ("SRT", "R-10214"): View.POSTERIOR,  # as first published
        ("SRT", "R-40888"): View.POSTERIOR,  # as it became
        ("SCT", "255551008"): View.POSTERIOR,  # posterior
        ("SRT", "R-404CE"): View.POSTERIOR,
        ("DCM", "110871"): View.POSTERIOR,  # posterior to anterior
    }
)
"""What a code of a view names."""

_OTHER_VIEW_VALUES = """
    399012007 G-5220 399273000 G-5212 399118008 G-5223 399075002 G-5208 399074003 G-5207 399300004
    G-5221 399108003 G-5206 399136008 G-5209 399268006 G-5224 49370004 G-A104 399297009 G-5222
    399159002 G-5225 399089007 G-5210 399038007 R-10210 399059000 R-10216 399099002 R-10230
    399135007 R-10220 260427002 R-40783 399236003 R-10234 399368009 R-10226 399198007 R-10232
    399173006 R-10236 399356000 R-40985 399312000 R-10208 399352003 R-10228 399184004 R-10238
    399182000 R-102C1 260426006 R-40782 399132005 R-10252 399325008 R-10254 399260004 R-10224
    399225005 R-10250 399288005 R-10248
    399160007 R-10204 399004004 R-10246 399067008 R-102CD 399006002 R-10212
    """
_OTHER_VIEWS = frozenset(_OTHER_VIEW_VALUES.split())
"""Oblique and lateral projections of CID 26 and CID 4010; none is a value of another scheme."""

FEET_FIRST = frozenset({("SCT", "102541007"), ("SRT", "F-10480")})
"""Feet first into the gantry."""

PRONE = frozenset({("SCT", "1240000"), ("SRT", "F-10310")})
"""Face down."""


def code_of(item: Header) -> tuple[str, str]:
    """Scheme and value of a code item; the scheme is empty if it is missing.

    Examples:
        >>> from pydicom import Dataset
        >>> code = Dataset()
        >>> code.CodeValue, code.CodingSchemeDesignator = "R-10206", "SNM3"
        >>> code_of(Header(code)), view_of(code_of(Header(code))).value
        (('SRT', 'R-10206'), 'anterior')
    """
    value = item.text("CodeValue") or item.text("LongCodeValue") or item.text("URNCodeValue")
    scheme = item.text("CodingSchemeDesignator").upper()
    return _SCHEMES.get(scheme, scheme), value.rsplit("/", 1)[-1].rsplit(":", 1)[-1].upper()


def is_one_of(code: tuple[str, str], codes: frozenset[tuple[str, str]]) -> bool:
    """Whether a code is among others; one without a scheme goes by its value."""
    scheme, value = code
    return code in codes or (not scheme and any(value == other for _, other in codes))


def view_of(code: tuple[str, str]) -> View | None:
    """The view that a code names, or `None`; one without a scheme goes by its value."""
    scheme, value = code
    if scheme:
        return VIEWS.get(code)
    return next((view for (_, other), view in VIEWS.items() if other == value), None)


def is_another_view(code: tuple[str, str]) -> bool:
    """Whether a code names an oblique or a lateral view."""
    scheme, value = code
    return scheme in ("", "SCT", "SRT") and value in _OTHER_VIEWS
