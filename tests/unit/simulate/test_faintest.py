"""The faintest metastasis is seen as well as was asked for, and no other is fainter."""

from __future__ import annotations

import numpy as np
import pytest

from bonescint.scan import FocusKind, ParameterError, View
from bonescint.simulate import (
    Disease,
    FaintestMetastasis,
    Population,
    SimulatedScan,
    camera_named,
    draw_anatomy,
    simulate_scan,
)

HOT = Disease(cold_share=0.0, mixed_share=0.0)


def _scan(faintest: FaintestMetastasis | None, *, seed: int = 4, lesions: int = 4) -> SimulatedScan:
    rng = np.random.default_rng(seed)
    anatomy = draw_anatomy(rng, Population(anatomy=2), primary="breast")
    return simulate_scan(
        anatomy,
        camera_named("symbia"),
        rng,
        positive=True,
        scan_id="s",
        lesions=lesions,
        disease=HOT,
        faintest=faintest,
    )


def _ratios(simulated: SimulatedScan) -> list[tuple[float, str]]:
    """Of each metastasis, from the noise-free means and the masks: not what the code says."""
    best: dict[tuple[str, float | None], float] = {}
    for focus in simulated.truth.foci:
        if focus.kind is FocusKind.METASTASIS:
            key = (focus.region, focus.contrast)
            best[key] = max(best.get(key, 0.0), focus.contrast_to_noise or 0.0)
    return sorted((ratio, region) for (region, _), ratio in best.items())


@pytest.mark.parametrize(
    ("ratio", "bone", "regions"), [(4.0, "ribs", "rib"), (25.0, "pelvis", "pelvis")]
)
def test_it_is_where_and_as_asked(ratio: float, bone: str, regions: str) -> None:
    found = _ratios(_scan(FaintestMetastasis(contrast_to_noise=ratio, bone=bone)))
    assert len(found) == 4
    assert found[0][0] == pytest.approx(ratio, rel=0.03)
    assert found[0][1].startswith(regions)
    assert found[1][0] > 1.1 * ratio


def test_the_mean_counts_rise_with_it() -> None:
    """The difference of two scans that differ in it is at its place, and as large as it says."""
    faint = _scan(FaintestMetastasis(contrast_to_noise=6.0, bone="ribs"), lesions=1)
    strong = _scan(FaintestMetastasis(contrast_to_noise=30.0, bone="ribs"), lesions=1)
    focus = max(
        (f for f in strong.truth.foci if f.kind is FocusKind.METASTASIS),
        key=lambda f: f.contrast_to_noise or 0.0,
    )
    mask = next(
        area for f, area in zip(strong.truth.foci, strong.focus_masks, strict=True) if f is focus
    )
    high = strong.means[focus.view][mask.window][mask.mask].sum()
    low = faint.means[focus.view][mask.window][mask.mask].sum()
    # own = ratio * sqrt(all), so that all counts differ by what the lesion adds.
    added = 30.0 * np.sqrt(high) - 6.0 * np.sqrt(low)
    assert high - low == pytest.approx(added, rel=0.1)


def test_nothing_asked_for_changes_nothing_and_a_healthy_patient_has_none() -> None:
    plain, again = _scan(None), _scan(None)
    for view in View:
        assert np.array_equal(plain.means[view], again.means[view])
    anatomy = draw_anatomy(np.random.default_rng(1))
    with pytest.raises(ParameterError, match="faintest"):
        simulate_scan(
            anatomy,
            camera_named("symbia"),
            np.random.default_rng(1),
            positive=False,
            scan_id="s",
            faintest=FaintestMetastasis(contrast_to_noise=10.0),
        )


@pytest.mark.parametrize(
    "wrong", [{"contrast_to_noise": 0.0}, {"contrast_to_noise": 9, "bone": "tail"}]
)
def test_an_impossible_request_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError):
        FaintestMetastasis(**wrong)  # type: ignore[arg-type]
