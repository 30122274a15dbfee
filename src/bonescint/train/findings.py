"""What stands out on a scan, by kind: named by cells while training, so that they tell it apart.

A cell that learns only "metastasis or not" has to find out by itself that shoulders wear, that
kidneys shine and that fractured ribs stand in line. Where the truth names every focus, as the
simulator's does, the cells learn to name them, too; nothing of it is left in the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bonescint.scan import Focus, FocusKind

_METASTASES: Mapping[str, tuple[str, ...]] = {
    "metastasis in a rib": ("rib",),
    "metastasis in the pelvis": ("pelvis",),
    "metastasis in the skull": ("skull", "mandible"),
    "metastasis in sternum or shoulder girdle": ("sternum", "scapula", "clavicle"),
    "metastasis in a limb": ("humerus", "ulna", "radius", "hand", "femur", "patella", "tibia",
                             "fibula", "foot"),
    "metastasis in the spine": (),
}  # fmt: skip
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "kidney or ureter": ("kidney", "renal pelvis", "hydronephrosis", "ureter"),
    "bowel, stomach or liver": ("bowel or stomach", "liver"),
    "bladder or urine": ("bladder", "urine contamination", "urine bag"),
    "thyroid": ("thyroid",),
    "blood pool or breast": ("blood pool", "breast"),
    "degenerative spine": ("facet or osteophyte", "atlas"),
    "shoulder joint": ("shoulder", "glenoid", "acromioclavicular"),
    "sternal joint": ("sternoclavicular", "first rib", "sternal angle", "manubrium", "xiphoid",
                      "costochondral"),
    "knee": ("knee, medial", "knee, lateral", "knee, femoral", "patella"),
    "ankle or foot": ("ankle", "first toe", "midfoot"),
    "elbow or hand": ("thumb base", "wrist", "fingers", "elbow"),
    "teeth, jaws, sinuses or forehead": ("dental", "upper jaw", "sinus", "frontal skull"),
    "rib fracture": ("rib fracture",),
    "hip or pelvic joint": ("hip", "trochanter", "pubic symphysis", "sacroiliac"),
    "prosthesis": ("around prosthesis", "knee prosthesis", "hip prosthesis",
                   "shoulder prosthesis", "breast prosthesis"),
    "injection site or line": ("injection site", "catheter"),
    "other fracture or Paget's disease": ("compression fracture", "limb fracture",
                                          "sacral insufficiency fracture", "Paget's disease"),
    "worn object or other": (),
}  # fmt: skip
FINDINGS: tuple[str, ...] = (*_METASTASES, *_OTHERS)
"""The kinds, in the order of their numbers, which begin at 1."""

_NUMBER = {name: number for number, name in enumerate(FINDINGS, start=1)}
_BY_CAUSE = {cause: name for name, causes in _OTHERS.items() for cause in causes}
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
        return _NUMBER[_BY_CAUSE.get(focus.cause, "worn object or other")]
    for name, bones in _METASTASES.items():
        if any(focus.region.startswith(bone) for bone in bones):
            return _NUMBER[name]
    return _NUMBER["metastasis in the spine"]


def finding_map(
    shape: tuple[int, int],
    foci: Sequence[Focus],
    masks: Mapping[FocusKind, NDArray[np.bool_]],
) -> NDArray[np.uint8]:
    """The number of what each pixel of a view shows.

    A pixel of a mask belongs to the focus of that kind whose centre is nearest.

    Args:
        shape: (rows, columns).
        foci: in this view.
        masks: of this view, by kind, bool (rows, columns).

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
