"""What a focus of uptake can be: one list for the simulator, truth files and evaluation."""

from __future__ import annotations

from enum import StrEnum


class SiteGroup(StrEnum):
    """The groups in which an evaluation counts uptake sites."""

    METASTASIS = "metastasis"
    INJECTION = "injection site"
    BLADDER = "bladder"
    KIDNEY = "kidney or ureter"
    URINE = "urine on skin, catheter or bag"
    SOFT_TISSUE = "other soft tissue"
    SPINE = "degenerative spine"
    HEAD = "teeth, jaws or sinuses"
    FRONTAL_SKULL = "frontal skull"
    PAGET = "Paget's disease"
    WORN = "worn object"
    FRACTURE = "fracture"
    PROSTHESIS = "prosthesis"
    JOINT = "joint"
    OTHER = "other"


class UptakeSite(StrEnum):
    """What a focus is; its value is the `cause` in truth files.

    Every site has a group: a new one cannot be added without.

    Attributes:
        group: that it is counted with.

    Examples:
        >>> UptakeSite("knee, medial").group
        <SiteGroup.JOINT: 'joint'>
    """

    group: SiteGroup

    def __new__(cls, words: str, group: SiteGroup) -> UptakeSite:
        """A member that is its words and knows its group."""
        site = str.__new__(cls, words)
        site._value_ = words
        site.group = group
        return site

    METASTASIS = "metastasis", SiteGroup.METASTASIS
    DIFFUSE_METASTASES = "diffuse metastases", SiteGroup.METASTASIS

    KIDNEY = "kidney", SiteGroup.KIDNEY
    RENAL_PELVIS = "renal pelvis", SiteGroup.KIDNEY
    HYDRONEPHROSIS = "hydronephrosis", SiteGroup.KIDNEY
    URETER = "ureter", SiteGroup.KIDNEY
    BLADDER = "bladder", SiteGroup.BLADDER
    URINE_CONTAMINATION = "urine contamination", SiteGroup.URINE
    CATHETER = "catheter", SiteGroup.URINE
    URINE_BAG = "urine bag", SiteGroup.URINE
    INJECTION_SITE = "injection site", SiteGroup.INJECTION
    LYMPH_NODE = "lymph node", SiteGroup.SOFT_TISSUE
    THYROID = "thyroid", SiteGroup.SOFT_TISSUE
    BOWEL = "bowel or stomach", SiteGroup.SOFT_TISSUE
    LIVER = "liver", SiteGroup.SOFT_TISSUE
    BLOOD_POOL = "blood pool", SiteGroup.SOFT_TISSUE
    HEART = "heart muscle", SiteGroup.SOFT_TISSUE
    BREAST = "breast", SiteGroup.SOFT_TISSUE

    MEDIAL_KNEE = "knee, medial", SiteGroup.JOINT
    LATERAL_KNEE = "knee, lateral", SiteGroup.JOINT
    FEMORAL_KNEE = "knee, femoral", SiteGroup.JOINT
    PATELLA = "patella", SiteGroup.JOINT
    SHOULDER = "shoulder", SiteGroup.JOINT
    ACROMIOCLAVICULAR = "acromioclavicular", SiteGroup.JOINT
    GLENOID = "glenoid", SiteGroup.JOINT
    STERNOCLAVICULAR = "sternoclavicular", SiteGroup.JOINT
    HIP = "hip", SiteGroup.JOINT
    TROCHANTER = "trochanter", SiteGroup.JOINT
    SACROILIAC = "sacroiliac", SiteGroup.JOINT
    PUBIC_SYMPHYSIS = "pubic symphysis", SiteGroup.JOINT
    ANKLE = "ankle", SiteGroup.JOINT
    FIRST_TOE = "first toe", SiteGroup.JOINT
    MIDFOOT = "midfoot", SiteGroup.JOINT
    THUMB_BASE = "thumb base", SiteGroup.JOINT
    WRIST = "wrist", SiteGroup.JOINT
    FINGERS = "fingers", SiteGroup.JOINT
    ELBOW = "elbow", SiteGroup.JOINT
    COSTOCHONDRAL = "costochondral", SiteGroup.JOINT
    FIRST_RIB = "first rib", SiteGroup.JOINT
    MANUBRIUM = "manubrium", SiteGroup.JOINT
    STERNAL_ANGLE = "sternal angle", SiteGroup.JOINT
    XIPHOID = "xiphoid", SiteGroup.JOINT
    ATLAS = "atlas", SiteGroup.JOINT
    FACET = "facet or osteophyte", SiteGroup.SPINE
    DENTAL = "dental", SiteGroup.HEAD
    UPPER_JAW = "upper jaw", SiteGroup.HEAD
    SINUS = "sinus", SiteGroup.HEAD
    FRONTAL_SKULL = "frontal skull", SiteGroup.FRONTAL_SKULL
    PAGET = "Paget's disease", SiteGroup.PAGET

    RIB_FRACTURE = "rib fracture", SiteGroup.FRACTURE
    COMPRESSION_FRACTURE = "compression fracture", SiteGroup.FRACTURE
    LIMB_FRACTURE = "limb fracture", SiteGroup.FRACTURE
    SACRAL_FRACTURE = "sacral insufficiency fracture", SiteGroup.FRACTURE

    HIP_PROSTHESIS = "hip prosthesis", SiteGroup.PROSTHESIS
    KNEE_PROSTHESIS = "knee prosthesis", SiteGroup.PROSTHESIS
    SHOULDER_PROSTHESIS = "shoulder prosthesis", SiteGroup.PROSTHESIS
    BREAST_PROSTHESIS = "breast prosthesis", SiteGroup.PROSTHESIS
    AROUND_PROSTHESIS = "around prosthesis", SiteGroup.PROSTHESIS

    PACEMAKER = "pacemaker", SiteGroup.WORN
    BELT_BUCKLE = "belt buckle", SiteGroup.WORN
    COIN = "coin", SiteGroup.WORN
    NECKLACE = "necklace", SiteGroup.WORN
    BRA_WIRE = "bra wire", SiteGroup.WORN
    BRA_CLASP = "bra clasp", SiteGroup.WORN

    OTHER = "other", SiteGroup.OTHER

    @classmethod
    def named(cls, cause: str) -> UptakeSite:
        """The site that a truth file names; `OTHER` for words that are no site of this release.

        Examples:
            >>> UptakeSite.named("rib fracture"), UptakeSite.named("bone island")
            (<UptakeSite.RIB_FRACTURE: 'rib fracture'>, <UptakeSite.OTHER: 'other'>)
        """
        return next((site for site in cls if site == cause), cls.OTHER)
