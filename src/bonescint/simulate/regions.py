"""The bones that the simulator knows, by name and by group."""

from __future__ import annotations

import re

_MESH_REGIONS: tuple[tuple[str, str], ...] = (
    (r"skull", "skull"),
    (r"jaw", "mandible"),
    (r"sacrum", "sacrum"),
    (r"sternum", "sternum"),
    (r"clavicle", "clavicle"),
    (r"scapula", "scapula"),
    (r"humerus", "humerus"),
    (r"ulna", "ulna"),
    (r"radius", "radius"),
    (r"pelvis", "pelvis"),
    (r"femur", "femur"),
    (r"patella", "patella"),
    (r"tibia", "tibia"),
    (r"fibula", "fibula"),
    (r"talus|foot", "foot"),
)


def region_of_mesh(mesh: str) -> str:
    """Name the bone region that a mesh of the skeleton belongs to.

    Args:
        mesh: name such as `"lumbar3"`, `"rib07_l"`, `"scaphoid_r"`.

    Returns:
        Region: `"L3"`, `"rib07 L"`, `"hand R"`.

    Examples:
        >>> [region_of_mesh(name) for name in ("lumbar3", "rib07_l", "scaphoid_r", "r_femur")]
        ['L3', 'rib07 L', 'hand R', 'femur R']
    """
    side = ""
    if mesh.endswith("_l") or mesh.startswith("l_"):
        side = " L"
    elif mesh.endswith("_r") or mesh.startswith("r_"):
        side = " R"
    if rib := re.match(r"rib(\d\d)", mesh):
        return f"rib{rib[1]}{side}"
    if vertebra := re.match(r"(cervical|thoracic|lumbar)(\d+)", mesh):
        return f"{vertebra[1][0].upper()}{vertebra[2]}"
    for pattern, region in _MESH_REGIONS:
        if re.search(pattern, mesh):
            return region + side
    return "hand" + side


def group_of_region(region: str) -> str:
    """The group of bones that a region belongs to, as the site tables name it.

    Examples:
        >>> [group_of_region(name) for name in ("L3", "rib07 L", "T12", "skull", "hand R")]
        ['lumbar', 'rib', 'thoracic', 'skull', 'hand']
    """
    if vertebra := re.fullmatch(r"([CTL])\d+", region):
        return {"C": "cervical", "T": "thoracic", "L": "lumbar"}[vertebra[1]]
    return "rib" if region.startswith("rib") else region.split(" ")[0]


def side_of_region(region: str) -> str:
    """`"L"`, `"R"`, or empty for a bone in the middle.

    Examples:
        >>> side_of_region("femur R"), side_of_region("sternum")
        ('R', '')
    """
    return region[-1] if region.endswith((" L", " R")) else ""
