"""Constants of physics, disease and population, each with its source.

Without a source they are marked "assumed" or "tuned". Constants of uptake, organs and mimics are in
their modules (uptake.py, organs.py, mimics.py); all of those are tuned or assumed.

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

SLAB_MM = 28.0
"""Thickness of a slab that shares one blur. Assumed: in it the blur's FWHM changes by about
1 mm, and each slab has the blur of its activity's mean distance."""

PHOTOPEAK_KEV = 140.5
"""Gamma line of technetium-99m (140.51 keV)."""

REFERENCE_WINDOW = 0.20
"""Energy window to which counts and scatter refer; 15 to 20 % is usual (EANM 2016)."""

REFERENCE_SPEED_CM_PER_MIN = 10.0
"""Scan speed to which counts refer: 10 to 15 cm/min is usual (PubMed 39358241)."""

SCATTER_FRACTION = 0.22
"""Scattered over primary counts in a 20 % window. Tuned."""

SCATTER_SIGMA_MM = 35.0
"""Width of the scatter kernel. Tuned."""

BACKGROUND_SHARE = 0.012
"""Counts from the room and through septa, even over the field, over primary counts. Tuned to
NM1 (0.25 counts a pixel beside the body in 3.6 million)."""

BONE_UPTAKE_SD = 0.13
"""Standard deviation of the logarithm of a bone's own uptake between patients. Tuned."""

BONE_GROUP_UPTAKE_SD = 0.16
"""The same for a group of bones together (all ribs, both femora). Tuned."""

SIDE_UPTAKE_SD = 0.05
"""The same between left and right. Assumed."""

SOFT_TISSUE_UPTAKE_MEDIAN = 0.010
"""Concentration in soft tissue over that in a standard bone at 3 h. Tuned to a thigh over
lumbar spine ratio of 0.03 to 0.09 in posterior views (four real scans)."""

SOFT_TISSUE_UPTAKE_SD = 0.60
"""Standard deviation of its logarithm: renal function, delay, weight. Tuned."""

SITE_WEIGHTS = {
    # Prostate: assumed, after the patients with each site in World J Radiol 2024;16(7):265 (of
    # about 81); vertebrae divided over their levels, sites of few foci a patient taken down.
    "prostate": {
        "pelvis": 100, "thoracic": 38, "lumbar": 34, "cervical": 8, "sacrum": 20, "rib": 62,
        "sternum": 48, "femur": 40, "scapula": 31, "skull": 22, "clavicle": 17, "humerus": 9,
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

EARLY_SITE_FACTORS = {
    "prostate": {"rib": 0.5, "lumbar": 5.0, "sternum": 0.16},
    "breast": {"rib": 1.5, "lumbar": 2.2, "sternum": 1.7},
}
"""Factors of these weights in patients with few metastases. Tuned to the shares of
foci in early disease (Wang, Oncol Lett 2012): breast, ribs 27.2 %, lumbar 13.9 %, sternum
17.9 %; prostate, ribs 8.6 %, lumbar 39.7 %, sternum 1.7 %."""
