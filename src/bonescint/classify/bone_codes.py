"""SNOMED CT codes of the bones and of the twelve regions, as finding sites of reports.

Most are of the standard's CID 4031, 7304, 7602 and 8134. Numbered ribs and the shoulder girdle are
in no context group that pydicom has; CID 4031 may be extended by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bonescint.simulate.skeleton import group_of_region, side_of_region

Code = tuple[str, str]

_RIBS = (
    ("48535007", "First rib"),
    ("78247007", "Second rib"),
    ("25888004", "Third rib"),
    ("25523003", "Fourth rib"),
    ("15339008", "Fifth rib"),
    ("59558009", "Sixth rib"),
    ("24915002", "Seventh rib"),
    ("5953002", "Eighth rib"),
    ("22565002", "Ninth rib"),
    ("77644006", "Tenth rib"),
    ("58830002", "Eleventh rib"),
    ("43993008", "Twelfth rib"),
)
_VERTEBRAE = {
    "C1": "14806007",
    "C2": "39976000",
    "C3": "113205007",
    "C4": "5329002",
    "C5": "36978003",
    "C6": "36054005",
    "C7": "87391001",
    "T1": "64864005",
    "T2": "53733008",
    "T3": "1626008",
    "T4": "73071006",
    "T5": "56401006",
    "T6": "45296009",
    "T7": "62487009",
    "T8": "11068009",
    "T9": "82687006",
    "T10": "7610001",
    "T11": "12989004",
    "T12": "23215003",
    "L1": "66794005",
    "L2": "14293000",
    "L3": "36470004",
    "L4": "11994002",
    "L5": "49668003",
}
_SKULL, _SACRUM, _STERNUM = (
    ("89546000", "Skull"),
    ("54735007", "Sacrum"),
    ("56873002", "Sternum"),
)
_PELVIS, _FEMUR = ("118645006", "Pelvis"), ("71341001", "Femur")
_GROUPS: Mapping[str, Code] = {
    "skull": _SKULL,
    "mandible": ("91609006", "Mandible"),
    "sacrum": _SACRUM,
    "sternum": _STERNUM,
    "clavicle": ("51299004", "Clavicle"),
    "scapula": ("79601000", "Scapula"),
    "humerus": ("85050009", "Humerus"),
    "ulna": ("23416004", "Ulna"),
    "radius": ("62413002", "Radius"),
    "hand": ("24097009", "Hand bone"),
    "pelvis": _PELVIS,
    "femur": _FEMUR,
    "patella": ("64234005", "Patella"),
    "tibia": ("12611008", "Tibia"),
    "fibula": ("87342007", "Fibula"),
    "foot": ("56459004", "Foot"),
}
REGION_CODES: Mapping[str, Code] = MappingProxyType(
    {
        "skull": _SKULL,
        "cervical spine": ("122494005", "Cervical spine"),
        "thoracic spine": ("122495006", "Thoracic spine"),
        "lumbar spine": ("122496007", "Lumbar spine"),
        "sacrum": _SACRUM,
        "sternum": _STERNUM,
        "ribs": ("113197003", "Rib"),
        "shoulder girdle": ("26444007", "Shoulder girdle structure"),
        "arms": ("53120007", "Upper limb"),
        "pelvis": _PELVIS,
        "femora": _FEMUR,
        "lower legs": ("30021000", "Lower leg"),
    }
)
"""Codes of the regions `TWELVE_NAMES`."""


def code_of_bone(bone: str) -> tuple[Code, str]:
    """The code of a bone of the atlas, and its side.

    Args:
        bone: its name.

    Returns:
        Value and meaning, and `"L"`, `"R"` or empty.

    Examples:
        >>> code_of_bone("rib07 L"), code_of_bone("L3")
        ((('24915002', 'Seventh rib'), 'L'), (('36470004', 'L3 vertebra'), ''))
    """
    if bone in _VERTEBRAE:
        return (_VERTEBRAE[bone], f"{bone} vertebra"), ""
    group, side = group_of_region(bone), side_of_region(bone)
    if group == "rib":
        return _RIBS[int(bone[3:5]) - 1], side
    return _GROUPS[group], side
