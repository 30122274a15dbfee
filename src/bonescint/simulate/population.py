"""Who comes to a centre: sex, age, build, and what disease they are sent for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isclose
from types import MappingProxyType

from bonescint.scan import ParameterError
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

    def __post_init__(self) -> None:
        for name in ("female_share", "age_mean", "age_sd", "body_mass_index_mean", "cancer_share"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ParameterError(name, "Population", "a number (1.0e+1, not 1e1)", value)
        for name in ("female_share", "cancer_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ParameterError(name, "Population", "from 0 to 1", getattr(self, name))
        if not 22 <= self.age_mean <= 95:
            raise ParameterError("age_mean", "Population", "from 22 to 95", self.age_mean)
        if not 0 < self.age_sd <= 40:
            raise ParameterError("age_sd", "Population", "above 0, up to 40", self.age_sd)
        if not 18 <= self.body_mass_index_mean <= 40:
            raise ParameterError(
                "body_mass_index_mean", "Population", "from 18 to 40 kg/m2",
                self.body_mass_index_mean,
            )  # fmt: skip
        for name in ("primaries_female", "primaries_male"):
            self._check_primaries(name)
            object.__setattr__(self, name, _frozen(getattr(self, name)))

    def _check_primaries(self, name: str) -> None:
        shares = getattr(self, name)
        if not isinstance(shares, Mapping):
            raise ParameterError(name, "Population", "a table of shares", shares)
        for share in shares.values():
            if not isinstance(share, int | float) or isinstance(share, bool):
                raise ParameterError(name, "Population", "a table of numbers", share)
        unknown = [primary for primary in shares if primary not in SITE_WEIGHTS]
        if unknown:
            raise ParameterError(name, "Population", f"among {', '.join(SITE_WEIGHTS)}", unknown[0])
        if any(share < 0 for share in shares.values()) or not isclose(
            sum(shares.values()), 1.0, abs_tol=1e-6
        ):
            raise ParameterError(name, "Population", "shares that sum to 1", dict(shares))

    def primaries(self, sex: str) -> Mapping[str, float]:
        """Share of each primary tumour among patients of one sex with cancer."""
        return self.primaries_female if sex == "F" else self.primaries_male
