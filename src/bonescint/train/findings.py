"""Findings by kind: an auxiliary task of training, so that cells tell benign uptake apart.

A cell that learns only "metastasis or not" has to discover without help that shoulders wear, that
kidneys are bright and that fractured ribs lie in a row. Where the truth names every focus, as the
simulator's does, the cells also learn to name them; the exported model contains nothing of this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bonescint.scan import Focus, FocusKind, UptakeSite

_METASTASES: Mapping[str, tuple[str, ...]] = {
    "metastasis in a rib": ("rib",),
    "metastasis in the pelvis": ("pelvis",),
    "metastasis in the skull": ("skull", "mandible"),
    "metastasis in sternum or shoulder girdle": ("sternum", "scapula", "clavicle"),
    "metastasis in a limb": (
        "humerus",
        "ulna",
        "radius",
        "hand",
        "femur",
        "patella",
        "tibia",
        "fibula",
        "foot",
    ),
    "metastasis in the spine": (),
}
_OTHERS: Mapping[str, tuple[UptakeSite, ...]] = {
    "kidney or ureter": (
        UptakeSite.KIDNEY,
        UptakeSite.RENAL_PELVIS,
        UptakeSite.HYDRONEPHROSIS,
        UptakeSite.URETER,
    ),
    "bowel, stomach or liver": (
        UptakeSite.BOWEL,
        UptakeSite.LIVER,
    ),
    "bladder or urine": (
        UptakeSite.BLADDER,
        UptakeSite.URINE_CONTAMINATION,
        UptakeSite.URINE_BAG,
    ),
    "thyroid": (UptakeSite.THYROID,),
    "heart, blood pool or breast": (
        UptakeSite.HEART,
        UptakeSite.BLOOD_POOL,
        UptakeSite.BREAST,
    ),
    "degenerative spine": (
        UptakeSite.FACET,
        UptakeSite.ATLAS,
    ),
    "shoulder joint": (
        UptakeSite.SHOULDER,
        UptakeSite.GLENOID,
        UptakeSite.ACROMIOCLAVICULAR,
    ),
    "sternal joint": (
        UptakeSite.STERNOCLAVICULAR,
        UptakeSite.FIRST_RIB,
        UptakeSite.STERNAL_ANGLE,
        UptakeSite.MANUBRIUM,
        UptakeSite.XIPHOID,
        UptakeSite.COSTOCHONDRAL,
    ),
    "knee": (
        UptakeSite.MEDIAL_KNEE,
        UptakeSite.LATERAL_KNEE,
        UptakeSite.FEMORAL_KNEE,
        UptakeSite.PATELLA,
    ),
    "ankle or foot": (
        UptakeSite.ANKLE,
        UptakeSite.FIRST_TOE,
        UptakeSite.MIDFOOT,
    ),
    "elbow or hand": (
        UptakeSite.THUMB_BASE,
        UptakeSite.WRIST,
        UptakeSite.FINGERS,
        UptakeSite.ELBOW,
    ),
    "teeth, jaws, sinuses or forehead": (
        UptakeSite.DENTAL,
        UptakeSite.UPPER_JAW,
        UptakeSite.SINUS,
        UptakeSite.FRONTAL_SKULL,
    ),
    "rib fracture": (UptakeSite.RIB_FRACTURE,),
    "hip or pelvic joint": (
        UptakeSite.HIP,
        UptakeSite.TROCHANTER,
        UptakeSite.PUBIC_SYMPHYSIS,
        UptakeSite.SACROILIAC,
    ),
    "prosthesis": (
        UptakeSite.AROUND_PROSTHESIS,
        UptakeSite.KNEE_PROSTHESIS,
        UptakeSite.HIP_PROSTHESIS,
        UptakeSite.SHOULDER_PROSTHESIS,
        UptakeSite.BREAST_PROSTHESIS,
    ),
    "injection site or line": (
        UptakeSite.INJECTION_SITE,
        UptakeSite.CATHETER,
    ),
    "other fracture or Paget's disease": (
        UptakeSite.COMPRESSION_FRACTURE,
        UptakeSite.LIMB_FRACTURE,
        UptakeSite.SACRAL_FRACTURE,
        UptakeSite.PAGET,
    ),
    "worn object or other": (
        UptakeSite.LYMPH_NODE,
        UptakeSite.PACEMAKER,
        UptakeSite.BELT_BUCKLE,
        UptakeSite.COIN,
        UptakeSite.NECKLACE,
        UptakeSite.BRA_WIRE,
        UptakeSite.BRA_CLASP,
        UptakeSite.OTHER,
    ),
}
FINDINGS: tuple[str, ...] = (*_METASTASES, *_OTHERS)
"""The kinds, in the order of their numbers, which begin at 1."""

_NUMBER = {name: number for number, name in enumerate(FINDINGS, start=1)}
_BY_SITE = {site: name for name, sites in _OTHERS.items() for site in sites}
_ORDER = (FocusKind.ORGAN, FocusKind.MIMIC, FocusKind.METASTASIS)  # the last one wins a pixel


def finding_of(focus: Focus) -> int:
    """The number of a focus' kind.

    Examples:
        >>> from bonescint.scan import View
        >>> focus = Focus(view=View.POSTERIOR, row=9, column=4, radius_mm=8,
        ...               kind=FocusKind.MIMIC, cause="glenoid", region="scapula L")
        >>> FINDINGS[finding_of(focus) - 1]
        'shoulder joint'
    """
    if focus.kind is not FocusKind.METASTASIS:
        return _NUMBER[_BY_SITE[UptakeSite.named(focus.cause)]]
    for name, bones in _METASTASES.items():
        if any(focus.region.startswith(bone) for bone in bones):
            return _NUMBER[name]
    return _NUMBER["metastasis in the spine"]


def finding_map(
    shape: tuple[int, int],
    foci: Sequence[Focus],
    masks: Mapping[FocusKind, NDArray[np.bool_]],
) -> NDArray[np.uint8]:
    """The kind of finding that each pixel of a view shows, as a number.

    A pixel of a mask belongs to the focus of that kind whose centre is nearest.

    Args:
        shape: (rows, columns).
        foci: in this view.
        masks: masks of this view, by kind, bool (rows, columns).

    Returns:
        uint8 (rows, columns); 0 where nothing stands out.

    Examples:
        >>> from bonescint.scan import View
        >>> focus = Focus(view=View.POSTERIOR, row=0, column=1, radius_mm=8,
        ...               kind=FocusKind.METASTASIS, cause="metastasis", region="rib07 L")
        >>> mask = np.array([[False, True, True]])
        >>> finding_map((1, 3), [focus], {FocusKind.METASTASIS: mask}).tolist()
        [[0, 1, 1]]
    """
    numbers = np.zeros(shape, dtype=np.uint8)
    for kind in _ORDER:
        alike = [focus for focus in foci if focus.kind is kind]
        if kind not in masks or not alike:
            continue
        pixels = np.argwhere(masks[kind])
        if not pixels.size:
            continue
        _, nearest = KDTree([(focus.row, focus.column) for focus in alike]).query(pixels)
        named = np.array([finding_of(focus) for focus in alike], dtype=np.uint8)
        numbers[tuple(pixels.T)] = named[nearest]
    return numbers
