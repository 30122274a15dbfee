"""What the physics, the disease and the population rest on, each with its source.

Where there is no source it says "assumed" or "tuned". How uptake, organs and mimics are shaped
stands with them (uptake.py, organs.py, mimics.py); those figures are all tuned or assumed.

"Tuned" means fitted by eye against published ranges or against the one real scan that a
package ships (NM1 in pydicom-data); such a scan is then no test of the simulator any more.
"""

from __future__ import annotations

MU_PER_MM = 0.0145
"""Effective attenuation of water at 140 keV in a 20 % window. NIST narrow beam: 0.0154."""

LUNG_DENSITY = 0.30
"""Lung over water density. ICRP 110 adult phantoms: 0.26 to 0.38."""

CELL_MM = 8.0
"""Edge of the cells in which soft tissue and attenuation are computed. Assumed."""

SAMPLE_PITCH_MM = 2.4
"""Spacing of the samples that stand for bone. Assumed: about one pixel."""

SLABS = 10
"""Depth slabs that share one blur. Assumed: the width of the blur changes by under 1 mm."""

SCATTER_FRACTION = 0.22
"""Scattered over primary counts in the photopeak window. Tuned."""

SCATTER_SIGMA_MM = 35.0
"""Width of the scatter kernel. Tuned."""

BONE_UPTAKE_SD = 0.13
"""Standard deviation of the logarithm of a bone's own uptake between patients. Tuned."""

BONE_GROUP_UPTAKE_SD = 0.16
"""The same for a group of bones together (all ribs, both femora). Tuned."""

SIDE_UPTAKE_SD = 0.05
"""The same between left and right. Assumed."""

SOFT_TISSUE_UPTAKE_MEDIAN = 0.012
"""Concentration in soft tissue over that in a standard bone at 3 h. Tuned to a thigh over
lumbar spine ratio of 0.03 to 0.09 in posterior views (four real scans)."""

SOFT_TISSUE_UPTAKE_SD = 0.60
"""Standard deviation of its logarithm: renal function, delay, weight. Tuned."""

LESION_RADIUS_MEDIAN_MM = 13.0
"""Median radius of a metastasis. No source found; tuned."""

LESION_RADIUS_SD = 0.45
"""Standard deviation of the logarithm of that radius. No source found; tuned."""

LESION_CONTRAST_MEDIAN = 4.0
"""Median of (uptake over the bone around it, less 1). No source found; tuned."""

LESION_CONTRAST_SD = 0.65
"""Standard deviation of the logarithm of that contrast. No source found; tuned."""

VISIBLE_CONTRAST_TO_NOISE = 5.0
"""A metastasis counts as visible in a view from this contrast-to-noise ratio on. Rose
criterion: 3 to 5 for a uniform disc in noise."""

SITE_WEIGHTS = {
    # Prostate: assumed, after the patients with each site in World J Radiol 2024;16(7):265 (of
    # about 81); vertebrae divided over their levels, sites of few foci a patient taken down.
    "prostate": {
        "pelvis": 68, "thoracic": 38, "lumbar": 34, "cervical": 8, "sacrum": 18, "rib": 55,
        "sternum": 26, "femur": 41, "scapula": 30, "skull": 22, "clavicle": 14, "humerus": 26,
        "tibia": 3, "mandible": 1,
    },
    # Breast: assumed; more ribs and sternum, fewer lumbar, after Wang, Oncol Lett 2012.
    "breast": {
        "pelvis": 42, "thoracic": 38, "lumbar": 24, "cervical": 8, "sacrum": 12, "rib": 72,
        "sternum": 46, "femur": 30, "scapula": 26, "skull": 24, "clavicle": 14, "humerus": 24,
        "tibia": 2, "mandible": 1,
    },
    # Lung and others: assumed, with more in the limbs.
    "lung": {
        "pelvis": 38, "thoracic": 40, "lumbar": 28, "cervical": 6, "sacrum": 12, "rib": 60,
        "sternum": 14, "femur": 34, "scapula": 24, "skull": 16, "clavicle": 10, "humerus": 26,
        "tibia": 8, "mandible": 1, "foot": 1, "hand": 1,
    },
    "other": {
        "pelvis": 44, "thoracic": 38, "lumbar": 30, "cervical": 7, "sacrum": 14, "rib": 50,
        "sternum": 16, "femur": 38, "scapula": 22, "skull": 18, "clavicle": 10, "humerus": 32,
        "tibia": 8, "mandible": 2, "foot": 1, "hand": 1,
    },
}  # fmt: skip
"""How often a site carries metastases, by primary tumour (relative)."""

SUPERSCAN_SHARE = {"prostate": 0.08, "breast": 0.04, "lung": 0.01, "other": 0.02}
"""Share of positive scans with diffuse disease. Assumed; 10 of 81 with prostate cancer in World
J Radiol 2024;16(7):265, a series of advanced disease."""
