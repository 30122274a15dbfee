"""How a reader study is analysed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bonescint.mrmc.choices import chosen
from bonescint.mrmc.covariance import DRAWS, CovarianceMethod
from bonescint.mrmc.endpoints import Endpoint
from bonescint.mrmc.marked_endpoints import MarkedEndpoint
from bonescint.mrmc.reads import Nest
from bonescint.mrmc.testing import require_margin
from bonescint.scan.checked import check_number, check_whole

RESEARCH_USE = "For research use only. Not a medical device."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a study is analysed.

    Attributes:
        endpoint: the figure of merit; AUC, or wAFROC for marked foci, if `None`.
        method: covariances of the headline; the others are computed too.
        level: coverage of the intervals.
        margin: of non-inferiority and equivalence; `None` leaves both out.
        decide_at: lowest rating that calls disease; `None` if the ratings do not say.
        model_at: the model's operating point.
        nest: within what cases are numbered anew; `None` if a case's name is its own.
        draws: of every bootstrap.
        seed: of everything that is drawn.
    """

    endpoint: Endpoint | MarkedEndpoint | None = None
    method: CovarianceMethod = CovarianceMethod.DELONG
    level: float = 0.95
    margin: float | None = None
    decide_at: float | None = None
    model_at: float = 0.5
    nest: Nest | None = None
    draws: int = DRAWS
    seed: int = 1

    def __post_init__(self) -> None:
        method = chosen(CovarianceMethod, self.method, "method", "Settings")
        object.__setattr__(self, "method", method)
        if self.nest is not None:
            object.__setattr__(self, "nest", chosen(Nest, self.nest, "nest", "Settings"))
        check_number(self, "level", 0.5, 0.999999)
        check_whole(self, "draws", 10, 1_000_000)
        check_whole(self, "seed", 0, 2**63)
        check_number(self, "model_at", -1e12, 1e12)
        if self.decide_at is not None:
            check_number(self, "decide_at", -1e12, 1e12)
        if self.margin is not None:
            require_margin(self.margin)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "covariance": self.method.value,
            "level": self.level,
            "margin": self.margin,
            "reader_calls_disease_from": self.decide_at,
            "model_calls_disease_from": self.model_at,
            "cases_nested_in": None if self.nest is None else self.nest.value,
            "bootstrap_draws": self.draws,
            "seed": self.seed,
        }
