"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A busy machine makes no property false: how long an example takes is not what is tested.
settings.register_profile("bonescint", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("bonescint")
