"""From an anatomy to a scan: tracer, disease, projection, counts, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import (
    Acquisition,
    Focus,
    FocusKind,
    ParameterError,
    PixelUnit,
    Scan,
    Truth,
    View,
    ViewRule,
)
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.camera import Camera, Projector, detected
from bonescint.simulate.constants import (
    SOFT_TISSUE_UPTAKE_MEDIAN,
    SOFT_TISSUE_UPTAKE_SD,
    VISIBLE_CONTRAST_TO_NOISE,
)
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.metastases import draw_lesion_number, draw_metastases
from bonescint.simulate.mimics import draw_mimics
from bonescint.simulate.organs import draw_organs
from bonescint.simulate.uptake import normal_uptake

_MASK_LEVEL = 0.40
"""A focus' mask is where its own counts exceed this share of their peak. Assumed."""

_HEADROOM_MM = (40.0, 220.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedScan:
    """A scan of a patient who never lived, with everything that is true of it.

    Attributes:
        scan: both views as counts.
        truth: label, foci, masks of the metastases.
        means: for each view the noise-free mean (rows, columns).
        occult: positive, but no metastasis reaches the stated contrast-to-noise ratio.
        primary: primary tumour, or empty.
    """

    scan: Scan
    truth: Truth
    means: dict[View, NDArray[np.float32]]
    occult: bool
    primary: str


def simulate_scan(
    anatomy: Anatomy,
    camera: Camera,
    rng: np.random.Generator,
    *,
    positive: bool,
    scan_id: str,
    lesions: int | None = None,
    counts: float | None = None,
) -> SimulatedScan:
    """Simulate one whole-body bone scan.

    Args:
        anatomy: the patient.
        camera: what it is acquired with.
        rng: source of randomness; the same state gives the same counts.
        positive: whether the patient has metastatic bone disease.
        scan_id: identifier to give it.
        lesions: number of metastases; drawn if `None`.
        counts: counts in the posterior view; drawn around the camera's median if `None`.

    Returns:
        The scan with its truth.

    Raises:
        ParameterError: lesions in a negative scan or none in a positive one, or counts that
            are not above 0.
    """
    if lesions is not None and (lesions > 0) != positive:
        requirement = "at least 1 in a positive scan, 0 in a negative one"
        raise ParameterError("lesions", "simulate_scan", requirement, lesions)
    if counts is not None and not counts > 0:
        raise ParameterError("counts", "simulate_scan", "above 0", counts)
    primary = anatomy.patient.primary
    if positive and not primary:
        primary = "other"
    normal = normal_uptake(anatomy.skeleton, anatomy.patient, rng)
    number = 0
    if positive:
        number = draw_lesion_number(rng, primary) if lesions is None else lesions
    foci = draw_metastases(anatomy, normal, rng, number=number, primary=primary)
    foci += draw_mimics(anatomy, normal, rng)
    # Diffuse disease takes up what organs and soft tissue then lack.
    spare = float(np.exp(-number / 60)) if number > 20 else 1.0
    organs = draw_organs(anatomy, rng)
    tissue = spare * float(
        np.exp(rng.normal(np.log(SOFT_TISSUE_UPTAKE_MEDIAN), SOFT_TISSUE_UPTAKE_SD))
    )
    projector = _placed(anatomy, camera, rng)
    primaries = _primary_photons(projector, anatomy, normal, foci, organs, tissue, spare)
    if counts is None:
        counts = float(np.exp(rng.normal(np.log(camera.median_counts), 0.35)))
    means = {view: projector.with_scatter(image) for view, image in primaries.items()}
    per_activity = counts / float(means[View.POSTERIOR].sum())  # both heads run equally long
    means = {view: np.maximum(image * per_activity, 0) for view, image in means.items()}
    images = {view: detected(mean, rng) for view, mean in means.items()}
    truth = _truth(projector, foci, means, per_activity, positive=bool(number))
    scan = Scan(
        anterior=images[View.ANTERIOR],
        posterior=images[View.POSTERIOR],
        pixel_spacing_mm=(camera.pixel_mm, camera.pixel_mm),
        unit=PixelUnit.COUNTS,
        scan_id=scan_id,
        acquisition=Acquisition(
            modality="NM",
            manufacturer=camera.maker,
            camera=f"simulated {camera.name}",
            image_type="DERIVED\\PRIMARY\\WHOLE BODY\\EMISSION",
            energy_window_kev=(126.5, 154.5),
            view_rules=dict.fromkeys(View, ViewRule.SIMULATED),
        ),
        history=("simulated",),
    )
    return SimulatedScan(
        scan=scan, truth=truth, means=means, occult=_occult(truth), primary=primary
    )


def _placed(anatomy: Anatomy, camera: Camera, rng: np.random.Generator) -> Projector:
    """Put the patient under the camera: headroom above, not quite in the middle."""
    _, vertex = anatomy.body.height_range_mm
    headroom = float(rng.uniform(*_HEADROOM_MM))
    shift = float(rng.normal(0, 14))
    half_field = camera.columns * camera.pixel_mm / 2
    return Projector(anatomy.body, camera, top_mm=vertex + headroom, left_mm=shift - half_field)


def _primary_photons(
    projector: Projector,
    anatomy: Anatomy,
    normal: NDArray[np.float32],
    foci: list[FocalUptake],
    organs: list[FocalUptake],
    tissue: float,
    spare: float,
) -> dict[View, NDArray[np.float32]]:
    """Unscattered photons of bone, foci, organs and soft tissue on both heads."""
    positions = np.concatenate(
        [anatomy.positions_mm, *(focus.positions_mm for focus in (*foci, *organs))]
    )
    activity = np.concatenate(
        [
            normal * np.float32(0.35 + 0.65 * spare),
            *(focus.activity for focus in foci),
            *(organ.activity * np.float32(spare) for organ in organs),
        ]
    )
    photons = {view: np.float32(tissue) * soft for view, soft in projector.project_tissue().items()}
    for view, part in projector.project(positions, activity).items():
        photons[view][part.window] += np.maximum(part.image, 0)
    return photons


def _truth(
    projector: Projector,
    foci: list[FocalUptake],
    means: dict[View, NDArray[np.float32]],
    per_activity: float,
    *,
    positive: bool,
) -> Truth:
    """Where each focus appears in each view, and how it stands out from noise."""
    shape = next(iter(means.values())).shape
    masks = {view: np.zeros(shape, dtype=bool) for view in View}
    listed: list[Focus] = []
    for focus in foci:
        parts = projector.project(focus.positions_mm, np.abs(focus.activity))
        for view, part in parts.items():
            peak = float(part.image.max())
            if peak <= 0:
                continue
            mask = part.image > _MASK_LEVEL * peak
            own_counts = float(part.image[mask].sum()) * per_activity
            all_counts = float(means[view][part.window][mask].sum())
            noise = float(np.sqrt(max(all_counts, 1.0)))
            row, column = ndimage.center_of_mass(part.image * mask)
            listed.append(
                Focus(
                    view=view,
                    row=float(row) + part.top,
                    column=float(column) + part.left,
                    radius_mm=focus.radius_mm,
                    kind=focus.kind,
                    cause=focus.cause,
                    region=focus.region,
                    contrast=focus.contrast,
                    contrast_to_noise=own_counts / noise,
                )
            )
            if focus.kind is FocusKind.METASTASIS:
                masks[view][part.window] |= mask
    return Truth(positive=positive, foci=tuple(listed), masks=masks, source="simulator")


def _occult(truth: Truth) -> bool:
    """Positive, yet every metastasis is below the visibility bound in both views."""
    seen = [
        focus.contrast_to_noise or 0.0 for focus in truth.foci if focus.kind is FocusKind.METASTASIS
    ]
    return truth.positive and max(seen, default=0.0) < VISIBLE_CONTRAST_TO_NOISE
