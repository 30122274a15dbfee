"""The patients of a centre (sex, age, build, cancer) and their metastatic bone disease."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from bonescint.scan import ParameterError
from bonescint.scan.checked import (
    check_number,
    check_shares,
    check_table,
    check_whole,
    require_number,
)
from bonescint.simulate.anatomy_model import ANATOMIES
from bonescint.simulate.constants import SITE_WEIGHTS

SEXES = ("F", "M")


def _frozen(shares: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(shares))


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The patients of one centre; the defaults are assumed.

    Attributes:
        female_share: share of women.
        age_mean, age_sd: in years, cut off at 22 and 95.
        body_mass_index_mean: in kg/m2.
        cancer_share: share of patients sent because of a known cancer; the others come for
            joints, fractures, prostheses.
        primaries_female, primaries_male: share of each primary tumour among those with
            cancer; each sums to 1.
        anatomy: version of the simulated body, see `anatomy_model`.
        uptake_spread: largest factor by which uptake varies more between patients, bones and soft
            tissue than in nature; each patient's factor is drawn between 1 and this one. Meant for
            training cohorts, in which the brightness of a bone alone should reveal nothing (domain
            randomisation: Tobin et al., IROS 2017).

    Raises:
        ParameterError: a share outside 0 to 1, shares that do not sum to 1, an unknown
            primary tumour.

    Examples:
        >>> Population(female_share=1.0).primaries_female["breast"]
        0.68
    """

    female_share: float = 0.47
    age_mean: float = 66.0
    age_sd: float = 12.0
    body_mass_index_mean: float = 26.66
    cancer_share: float = 0.8
    primaries_female: Mapping[str, float] = field(
        default_factory=lambda: _frozen({"breast": 0.68, "lung": 0.12, "other": 0.20})
    )
    primaries_male: Mapping[str, float] = field(
        default_factory=lambda: _frozen({"prostate": 0.68, "lung": 0.14, "other": 0.18})
    )
    anatomy: int = 1
    uptake_spread: float = 1.0

    def __post_init__(self) -> None:
        check_number(self, "female_share", 0, 1)
        check_number(self, "cancer_share", 0, 1)
        check_number(self, "age_mean", 22, 95)
        check_number(self, "age_sd", 0, 40)
        if self.age_sd == 0:
            raise ParameterError("age_sd", "Population", "above 0", self.age_sd)
        check_number(self, "body_mass_index_mean", 18, 40)
        check_whole(self, "anatomy", min(ANATOMIES), max(ANATOMIES))
        check_number(self, "uptake_spread", 1, 5)
        for name in ("primaries_female", "primaries_male"):
            unknown = [one for one in check_table(self, name) if one not in SITE_WEIGHTS]
            if unknown:
                known = f"among {', '.join(SITE_WEIGHTS)}"
                raise ParameterError(name, "Population", known, unknown[0])
            check_shares(self, name)
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    def primaries(self, sex: str) -> Mapping[str, float]:
        """Share of each primary tumour among patients of one sex with cancer."""
        return self.primaries_female if sex == "F" else self.primaries_male


PRIMARIES = tuple(SITE_WEIGHTS)
"""Primary tumours that the simulator knows."""


def _superscan_shares() -> Mapping[str, float]:
    # Assumed; 10 of 81 with prostate cancer in World J Radiol 2024;16(7):265, a series of
    # advanced disease.
    return {"prostate": 0.08, "breast": 0.04, "lung": 0.01, "other": 0.02}


@dataclass(frozen=True, slots=True, kw_only=True)
class Disease:
    """Number, size and uptake of the metastases of patients who have them.

    No source was found for sizes and contrasts: they are tuned, and they determine how hard a
    simulated cohort is. The other defaults are assumed.

    Attributes:
        radius_median_mm: median radius of a metastasis.
        radius_sd: standard deviation of the radius' natural logarithm.
        contrast_median: median of (uptake relative to the bone around it, minus 1) of a hot one.
        contrast_sd: standard deviation of that contrast's natural logarithm.
        patient_contrast_sd: the same, shared by all metastases of a patient.
        solitary_share: share of patients without a superscan who have a single metastasis.
        mean_number: mean number of metastases of the others.
        cold_share: share of metastases that take up less than the bone around them.
        mixed_share: share of metastases with a cold core in a hot rim.
        superscan_share: share of patients with diffuse disease, by primary tumour.
        visible_contrast_to_noise: a metastasis counts as visible in a view from this
            contrast-to-noise ratio on. Rose criterion: 3 to 5 for a uniform disc in noise.

    Raises:
        ParameterError: an impossible value; the message names it.

    Examples:
        >>> Disease().radius_median_mm
        13.0
        >>> Disease(solitary_share=1.2)
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.ParameterError: The 'solitary_share' parameter of Disease must be \
from 0 to 1. Got 1.2 instead.
    """

    radius_median_mm: float = 13.0
    radius_sd: float = 0.45
    contrast_median: float = 4.0
    contrast_sd: float = 0.65
    patient_contrast_sd: float = 0.25
    solitary_share: float = 0.22
    mean_number: float = 7.25
    cold_share: float = 0.03
    mixed_share: float = 0.03
    superscan_share: Mapping[str, float] = field(default_factory=_superscan_shares)
    visible_contrast_to_noise: float = 5.0

    def __post_init__(self) -> None:
        bounds = {
            "radius_median_mm": (2.0, 60.0),
            "radius_sd": (0.0, 2.0),
            "contrast_median": (0.01, 100.0),
            "contrast_sd": (0.0, 2.0),
            "patient_contrast_sd": (0.0, 2.0),
            "solitary_share": (0.0, 1.0),
            "mean_number": (2.0, 40.0),
            "cold_share": (0.0, 1.0),
            "mixed_share": (0.0, 1.0),
            "visible_contrast_to_noise": (0.0, 1000.0),
        }
        for name, (low, high) in bounds.items():
            check_number(self, name, low, high)
        together = self.cold_share + self.mixed_share
        if together > 1:
            most = 1 - self.cold_share
            requirement = f"at most {most:g} beside a cold_share of {self.cold_share:g}"
            raise ParameterError("mixed_share", "Disease", requirement, self.mixed_share)
        if not isinstance(self.superscan_share, Mapping):
            raise ParameterError(
                "superscan_share", "Disease", "a share by primary tumour", self.superscan_share
            )
        for primary, share in self.superscan_share.items():
            if primary not in PRIMARIES:
                known = f"among {', '.join(PRIMARIES)}"
                raise ParameterError("superscan_share", "Disease", known, primary)
            require_number("Disease", f"superscan_share[{primary}]", share, 0.0, 1.0)
        object.__setattr__(self, "superscan_share", MappingProxyType(dict(self.superscan_share)))

    def __reduce__(self) -> tuple[Callable[..., Disease], tuple[dict[str, object]]]:
        # A mapping proxy cannot cross to a worker process: pass plain values.
        values: dict[str, object] = {item.name: getattr(self, item.name) for item in fields(self)}
        values["superscan_share"] = dict(self.superscan_share)
        return _rebuilt, (values,)

    def superscan_share_of(self, primary: str) -> float:
        """Share of patients with diffuse disease; 0 for a primary tumour that is not listed.

        Examples:
            >>> Disease(superscan_share={"breast": 0.1}).superscan_share_of("lung")
            0.0
        """
        return float(self.superscan_share.get(primary, 0.0))


def _rebuilt(values: dict[str, Any]) -> Disease:
    return Disease(**values)
