"""Who comes to a centre: sex, age, build, and what disease they are sent for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bonescint.scan import ParameterError
from bonescint.scan.checked import check_number, check_shares, check_table, check_whole
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
        anatomy: version of the simulated body (`anatomy_model`).
        uptake_spread: how much more than in nature uptake may differ between patients, bones
            and soft tissue; each patient's own spread is drawn from 1 to this one. For cohorts
            to learn from: no bone's brightness alone then tells anything (domain randomisation:
            Tobin et al., IROS 2017).

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
