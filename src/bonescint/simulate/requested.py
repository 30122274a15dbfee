"""Benign uptake on request: a patient who certainly has a rib fracture, or few other mimics.

Requested findings come from the same distributions as drawn ones, so that nothing but their
presence differs from any other patient's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import FocusKind, ParameterError, SiteGroup, UptakeSite
from bonescint.scan.checked import check_number
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.anatomy_model import anatomy_model
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.mimics import draw_mimics
from bonescint.simulate.organs import draw_organs
from bonescint.simulate.patient import Patient
from bonescint.simulate.worn_objects import WornObject, draw_worn_objects

_Uptake = TypeVar("_Uptake", bound=FocalUptake | WornObject)
_MOST_DRAWS = 50_000


def _of_groups(*groups: SiteGroup) -> frozenset[UptakeSite]:
    return frozenset(site for site in UptakeSite if site.group in groups)


_METASTATIC = _of_groups(SiteGroup.METASTASIS, SiteGroup.OTHER)
_PROSTHESES = (
    UptakeSite.HIP_PROSTHESIS,
    UptakeSite.KNEE_PROSTHESIS,
    UptakeSite.AROUND_PROSTHESIS,
)
_WITH: Mapping[UptakeSite, tuple[UptakeSite, ...]] = MappingProxyType(
    {
        **dict.fromkeys(_PROSTHESES, _PROSTHESES),
        UptakeSite.HYDRONEPHROSIS: (UptakeSite.URETER,),
        UptakeSite.CATHETER: (UptakeSite.URINE_BAG,),
        UptakeSite.URINE_BAG: (UptakeSite.CATHETER,),
        UptakeSite.LYMPH_NODE: (UptakeSite.INJECTION_SITE,),
        UptakeSite.BRA_WIRE: (UptakeSite.BRA_CLASP,),
        UptakeSite.BRA_CLASP: (UptakeSite.BRA_WIRE,),
    }
)
"""What comes along with a site: a urine bag has a catheter."""
_ORGANS = _of_groups(
    SiteGroup.KIDNEY,
    SiteGroup.BLADDER,
    SiteGroup.URINE,
    SiteGroup.INJECTION,
    SiteGroup.SOFT_TISSUE,
)
_WORN = _of_groups(SiteGroup.WORN) | {UptakeSite.BREAST_PROSTHESIS}  # drawn with what is worn


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedUptake:
    """Benign uptake, organs or worn objects that a patient certainly has.

    Attributes:
        sites: what the patient has for certain.
        others: share of the other kinds of mimic that stay, of those that the patient would have
            had; 0 for none.

    Raises:
        ParameterError: a metastasis among the sites, or a share outside 0 to 1.

    Examples:
        >>> RequestedUptake(sites=(UptakeSite.RIB_FRACTURE,), others=0.5).others
        0.5
    """

    sites: tuple[UptakeSite, ...] = ()
    others: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "others", 0, 1)
        for site in self.sites:
            if site not in UptakeSite or site in _METASTATIC:
                requirement = "uptake sites that are no metastases"
                raise ParameterError("sites", "RequestedUptake", requirement, str(site))


def can_have(patient: Patient, site: UptakeSite) -> bool:
    """Whether a patient can have an uptake site: a man has no bra, nor has every anatomy a heart.

    Examples:
        >>> from bonescint.simulate import draw_patient
        >>> can_have(draw_patient(np.random.default_rng(1)), UptakeSite.BLADDER)
        True
    """
    if site in (UptakeSite.BREAST, UptakeSite.BRA_WIRE, UptakeSite.BRA_CLASP):
        return patient.sex == "F"
    if site is UptakeSite.BREAST_PROSTHESIS:
        return patient.sex == "F" and patient.primary == "breast"
    if site is UptakeSite.HEART:
        return anatomy_model(patient.anatomy).uptake_levels
    return site not in _METASTATIC


def with_requested(
    requested: RequestedUptake,
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    rng: np.random.Generator,
    *,
    mimics: Sequence[FocalUptake],
    organs: Sequence[FocalUptake],
    worn: Sequence[WornObject],
) -> tuple[list[FocalUptake], list[FocalUptake], list[WornObject]]:
    """Add what is requested and missing, and leave out a share of the rest.

    Args:
        requested: what the patient certainly has.
        anatomy: the patient.
        normal: normal uptake of the bone samples (n,).
        rng: source of randomness.
        mimics: benign uptake in bone, and metal, that was drawn for the patient.
        organs: tracer outside bone that was drawn.
        worn: objects that were drawn.

    Returns:
        The three lists anew.

    Raises:
        ParameterError: a site that this patient cannot have (see `can_have`).
    """
    for site in requested.sites:
        if not can_have(anatomy.patient, site):
            requirement = "among what the patient's sex, tumour and anatomy allow"
            raise ParameterError("sites", "with_requested", requirement, str(site))

    def in_organs(only: frozenset[UptakeSite]) -> list[FocalUptake]:
        return draw_organs(anatomy, rng, only=only)

    def in_bone(only: frozenset[UptakeSite]) -> list[FocalUptake]:
        return draw_mimics(anatomy, normal, rng, only=only)

    def on_skin(only: frozenset[UptakeSite]) -> list[WornObject]:
        found = draw_worn_objects(anatomy, rng)
        return [thing for thing in found if thing.cause in only]

    of_organs = [site for site in requested.sites if site in _ORGANS]
    of_worn = [site for site in requested.sites if site in _WORN]
    of_bone = [site for site in requested.sites if site not in _ORGANS | _WORN]
    kept = _kept(requested, rng, [*mimics, *organs, *worn])
    return (
        _completed([one for one in mimics if one.cause in kept], of_bone, in_bone),
        _completed([one for one in organs if one.cause in kept], of_organs, in_organs),
        _completed([one for one in worn if one.cause in kept], of_worn, on_skin),
    )


def _kept(
    requested: RequestedUptake,
    rng: np.random.Generator,
    drawn: Sequence[FocalUptake | WornObject],
) -> frozenset[UptakeSite]:
    """The kinds that stay: organs, requested ones with what comes along, a share of the others."""
    wanted = {one for site in requested.sites for one in (site, *_WITH.get(site, ()))}
    organs = {
        one.cause for one in drawn if isinstance(one, FocalUptake) and one.kind is FocusKind.ORGAN
    }
    others = sorted({one.cause for one in drawn} - wanted - organs)
    stay = {site for site in others if rng.random() < requested.others}
    return frozenset(wanted | organs | stay)


def _completed(
    drawn: list[_Uptake],
    sites: Sequence[UptakeSite],
    draw: Callable[[frozenset[UptakeSite]], list[_Uptake]],
) -> list[_Uptake]:
    """Draw again and again until each site that is missing is there, and add it."""
    for site in sites:
        if any(one.cause is site for one in drawn):
            continue
        company = frozenset((site, *_WITH.get(site, ())))
        for _ in range(_MOST_DRAWS):
            found = draw(company)
            if any(one.cause is site for one in found):
                break
        else:
            raise ParameterError("sites", "with_requested", "among those that occur", str(site))
        present = {one.cause for one in drawn}
        drawn += [one for one in found if one.cause not in present]
    return drawn
