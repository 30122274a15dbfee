"""From an anatomy to a scan: tracer, disease, projection, counts, the truth, and what was drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import (
    Acquisition,
    FocusKind,
    ParameterError,
    PixelUnit,
    Scan,
    Truth,
    View,
    ViewRule,
)
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.camera import Camera
from bonescint.simulate.constants import SOFT_TISSUE_UPTAKE_MEDIAN, SOFT_TISSUE_UPTAKE_SD
from bonescint.simulate.faintest import FaintestMetastasis, with_faintest
from bonescint.simulate.faults import HeadFaults, draw_faults, field_of
from bonescint.simulate.focal import FocalUptake
from bonescint.simulate.metastases import draw_lesion_number, draw_metastases
from bonescint.simulate.mimics import draw_mimics
from bonescint.simulate.motion import Motion, draw_motion
from bonescint.simulate.organs import draw_organs
from bonescint.simulate.population import Disease
from bonescint.simulate.projection import Projector, detected
from bonescint.simulate.requested import RequestedUptake, with_requested
from bonescint.simulate.seen_foci import FocusMask, SeenFocus, joined_masks, occult, seen_foci
from bonescint.simulate.skeleton import Skeleton
from bonescint.simulate.uptake import normal_uptake
from bonescint.simulate.worn_objects import (
    WornObject,
    cast_shadows,
    draw_worn_objects,
    share_passing,
)

_HEADROOM_MM = (40.0, 220.0)
_COUNTS_SD = 0.35
"""Spread of the logarithm of the counts between patients of one camera. Assumed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimulatedScan:
    """A scan of a synthetic patient, with its truth and all that was drawn.

    Attributes:
        scan: both views as counts.
        truth: label, foci, masks of the metastases.
        means: for each view the noise-free mean (rows, columns).
        occult: positive, but no metastasis reaches the stated contrast-to-noise ratio.
        primary: primary tumour, or empty.
        mimic_masks: for each view a bool array (rows, columns), true on mimics.
        organ_masks: the same for organs.
        focus_masks: the mask of each of `truth.foci`, in the same order.
        parameters: everything that was drawn, as JSON can hold it.
        projector: the projector of the scan; it can project more of the anatomy, such as its
            regions, onto the same pixels.
    """

    scan: Scan
    truth: Truth
    means: Mapping[View, NDArray[np.float32]]
    occult: bool
    primary: str
    mimic_masks: Mapping[View, NDArray[np.bool_]]
    organ_masks: Mapping[View, NDArray[np.bool_]]
    focus_masks: tuple[FocusMask, ...]
    parameters: Mapping[str, Json]
    projector: Projector


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tracer:
    """Where the tracer is in one patient.

    Attributes:
        primary: primary tumour, or empty.
        normal: normal uptake of the bone samples (n,).
        metastases, mimics, organs: focal uptake that is added to it.
        worn: objects that absorb photons.
        tissue: concentration in soft tissue.
        spare: share of the tracer that diffuse disease leaves for organs and soft tissue.
    """

    primary: str
    normal: NDArray[np.float32]
    metastases: list[FocalUptake]
    mimics: list[FocalUptake]
    organs: list[FocalUptake]
    worn: list[WornObject]
    tissue: float
    spare: float

    @property
    def foci(self) -> list[FocalUptake]:
        return [*self.metastases, *self.mimics, *self.organs]


def simulate_scan(
    anatomy: Anatomy,
    camera: Camera,
    rng: np.random.Generator,
    *,
    positive: bool,
    scan_id: str,
    lesions: int | None = None,
    counts: float | None = None,
    exposure: float = 1.0,
    disease: Disease | None = None,
    requested: RequestedUptake | None = None,
    faults: Mapping[View, HeadFaults] | None = None,
    faintest: FaintestMetastasis | None = None,
) -> SimulatedScan:
    """Simulate one whole-body bone scan.

    Args:
        anatomy: the patient.
        camera: what it is acquired with.
        rng: source of randomness; the same state gives the same counts.
        positive: whether the patient has metastatic bone disease.
        scan_id: identifier to give it.
        lesions: number of metastases; drawn if `None`.
        counts: expected counts in the posterior view of a detector without faults; drawn
            around the camera's value if `None`.
        exposure: activity and time relative to the camera's usual ones, where `counts` is
            `None`.
        disease: properties of the metastases; the default ones if `None`.
        requested: benign uptake that the patient certainly has, beside what is drawn. Patient,
            metastases and all else that is drawn are the same with it and without.
        faults: the faults of each detector; drawn with the camera's probabilities if
            `None`.
        faintest: where the faintest metastasis is and how well it is seen; as drawn if `None`.

    Returns:
        The scan with its truth.

    Raises:
        ParameterError: lesions in a negative scan or none in a positive one, a faintest metastasis
            in a negative one, counts or an exposure that are not above 0, requested uptake that
            the patient cannot have.
    """
    if lesions is not None and (lesions > 0) != positive:
        requirement = "at least 1 in a positive scan, 0 in a negative one"
        raise ParameterError("lesions", "simulate_scan", requirement, lesions)
    if counts is not None and not counts > 0:
        raise ParameterError("counts", "simulate_scan", "above 0", counts)
    if not exposure > 0:
        raise ParameterError("exposure", "simulate_scan", "above 0", exposure)
    if faintest is not None and not positive:
        raise ParameterError("faintest", "simulate_scan", "None in a negative scan", faintest)
    disease = disease or Disease()
    tracer = _draw_tracer(
        anatomy,
        rng,
        positive=positive,
        lesions=lesions,
        disease=disease,
        first_bone="" if faintest is None else faintest.bone,
    )
    if requested is not None:
        tracer = _with_request(tracer, anatomy, requested, rng)
    projector = _placed(anatomy, camera, rng)
    motion = draw_motion(anatomy, camera.motion_share, rng)
    faults = draw_faults(camera, rng) if faults is None else faults
    if counts is None:
        usual = camera.expected_counts * exposure
        counts = float(np.exp(rng.normal(np.log(usual), _COUNTS_SD)))
    shadows = cast_shadows(tracer.worn, projector)
    transmission = share_passing(shadows, (camera.rows, camera.columns))
    exposed = partial(
        _exposed,
        projector,
        anatomy,
        motion,
        transmission=transmission,
        faults=faults,
        counts=counts,
    )
    means, per_photon = exposed(tracer)
    if faintest is not None:
        changed = with_faintest(tracer.metastases, faintest, projector, means, per_photon, motion)
        tracer = replace(tracer, metastases=changed)
        means, per_photon = exposed(tracer)
    images = {view: detected(mean, rng) for view, mean in means.items()}
    seen = seen_foci(projector, tracer.foci, means, per_photon, motion)
    seen += [shadow.seen(means[shadow.view]) for shadow in shadows]
    return SimulatedScan(
        scan=_scan(images, camera, scan_id),
        truth=_truth(seen, means, positive=positive),
        means=means,
        occult=positive and occult(seen, disease.visible_contrast_to_noise),
        primary=tracer.primary,
        mimic_masks=joined_masks(seen, means, kind=FocusKind.MIMIC),
        organ_masks=joined_masks(seen, means, kind=FocusKind.ORGAN),
        focus_masks=tuple(focus.mask for focus in seen),
        parameters=_parameters(anatomy, projector, tracer, counts, faults, motion),
        projector=projector,
    )


def _draw_tracer(
    anatomy: Anatomy,
    rng: np.random.Generator,
    *,
    positive: bool,
    lesions: int | None,
    disease: Disease,
    first_bone: str,
) -> _Tracer:
    primary = anatomy.patient.primary
    if positive and not primary:
        primary = "other"
    normal = normal_uptake(anatomy.skeleton, anatomy.patient, rng)
    number = 0
    if positive:
        number = draw_lesion_number(rng, primary, disease) if lesions is None else lesions
    metastases = draw_metastases(
        anatomy,
        normal,
        rng,
        number=number,
        primary=primary,
        disease=disease,
        first_bone=first_bone,
    )
    tissue_sd = SOFT_TISSUE_UPTAKE_SD * anatomy.patient.uptake_spread**0.5
    # Diffuse disease takes tracer away from organs and soft tissue.
    spare = float(np.exp(-number / 60)) if number > 20 else 1.0
    return _Tracer(
        primary=primary,
        normal=normal,
        metastases=metastases,
        mimics=draw_mimics(anatomy, normal, rng),
        organs=[
            replace(organ, activity=organ.activity * np.float32(spare))
            for organ in draw_organs(anatomy, rng)
        ],
        worn=draw_worn_objects(anatomy, rng),
        tissue=spare * float(np.exp(rng.normal(np.log(SOFT_TISSUE_UPTAKE_MEDIAN), tissue_sd))),
        spare=spare,
    )


def _with_request(
    tracer: _Tracer, anatomy: Anatomy, requested: RequestedUptake, rng: np.random.Generator
) -> _Tracer:
    """Complete what was drawn, from a generator of its own: the other one goes on undisturbed."""
    apart = np.random.default_rng(deepcopy(rng).integers(2**63, size=4))
    mimics, organs, worn = with_requested(
        requested,
        anatomy,
        tracer.normal,
        apart,
        mimics=tracer.mimics,
        organs=tracer.organs,
        worn=tracer.worn,
    )
    spared = {id(organ) for organ in tracer.organs}  # those that diffuse disease has dimmed
    organs = [
        organ
        if id(organ) in spared
        else replace(organ, activity=organ.activity * np.float32(tracer.spare))
        for organ in organs
    ]
    return replace(tracer, mimics=mimics, organs=organs, worn=worn)


def _placed(anatomy: Anatomy, camera: Camera, rng: np.random.Generator) -> Projector:
    """Put the patient under the camera: headroom above, not quite in the middle."""
    _, vertex = anatomy.body.height_range_mm
    headroom = float(rng.uniform(*_HEADROOM_MM))
    shift = float(rng.normal(0, 14))
    half_field = camera.columns * camera.pixel_mm / 2
    return Projector(anatomy.body, camera, top_mm=vertex + headroom, left_mm=shift - half_field)


def _exposed(
    projector: Projector,
    anatomy: Anatomy,
    motion: Motion | None,
    tracer: _Tracer,
    *,
    transmission: Mapping[View, NDArray[np.float32]],
    faults: Mapping[View, HeadFaults],
    counts: float,
) -> tuple[dict[View, NDArray[np.float32]], dict[View, NDArray[np.float32]]]:
    """Noise-free mean counts of each view, and counts per unscattered photon."""
    camera = projector.camera
    primary = _primary_photons(projector, anatomy, tracer, motion)
    for view, passing in transmission.items():
        primary[view] *= passing
    means = {view: projector.with_scatter(image, view) for view, image in primary.items()}
    field = field_of(camera)
    per_activity = counts / float(
        (means[View.POSTERIOR] * field).sum()
    )  # both detectors have the same speed
    sensitivity = {
        view: faults[view].sensitivity(camera) * field * np.float32(per_activity) for view in View
    }
    means = {view: np.maximum(image * sensitivity[view], 0) for view, image in means.items()}
    per_photon = {
        view: line[None, :] * transmission.get(view, np.ones((1, 1), dtype=np.float32))
        for view, line in sensitivity.items()
    }
    return means, per_photon


def _primary_photons(
    projector: Projector, anatomy: Anatomy, tracer: _Tracer, motion: Motion | None
) -> dict[View, NDArray[np.float32]]:
    """Unscattered photons of bone, foci, organs and soft tissue on both heads."""
    bone = tracer.normal * np.float32(0.35 + 0.65 * tracer.spare)
    pieces = [(anatomy.positions_mm, bone)]
    if motion is not None:
        length = projector.camera.field_length_mm
        bone = bone.copy()
        for region in motion.regions:
            if region in anatomy.skeleton.regions:
                span = anatomy.skeleton.span(region)
                pieces.append(motion.applied(anatomy.positions_mm[span], bone[span], length))
                bone[span] = 0
        pieces[0] = (anatomy.positions_mm, bone)
    pieces += [_met(focus, projector, motion) for focus in tracer.foci]
    positions = np.concatenate([positions for positions, _ in pieces])
    activity = np.concatenate([activity for _, activity in pieces])
    photons = projector.project_tissue(tracer.tissue)
    for view, part in projector.project(positions, activity).items():
        photons[view][part.window] += np.maximum(part.image, 0)
    return photons


def _met(
    focus: FocalUptake, projector: Projector, motion: Motion | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Samples of a focus as the camera sees them."""
    if motion is None or focus.region not in motion.regions:
        return focus.positions_mm, focus.activity
    return motion.applied(focus.positions_mm, focus.activity, projector.camera.field_length_mm)


def _scan(images: Mapping[View, NDArray[np.float32]], camera: Camera, scan_id: str) -> Scan:
    return Scan(
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
            energy_window_kev=camera.energy_window_kev,
            view_rules=dict.fromkeys(View, ViewRule.SIMULATED),
        ),
        history=("simulated",),
    )


def _truth(
    seen: list[SeenFocus], means: Mapping[View, NDArray[np.float32]], *, positive: bool
) -> Truth:
    return Truth(
        positive=positive,
        foci=tuple(item.focus for item in seen),
        masks=joined_masks(seen, means, kind=FocusKind.METASTASIS),
        source="simulator",
        simulated=True,
    )


def _parameters(
    anatomy: Anatomy,
    projector: Projector,
    tracer: _Tracer,
    counts: float,
    faults: Mapping[View, HeadFaults],
    motion: Motion | None,
) -> dict[str, Json]:
    camera = projector.camera
    return {
        "simulated": True,
        "patient": as_json(anatomy.patient),
        "camera": as_json(camera),
        "duration_s": camera.duration_s,
        "top_mm": projector.top_mm,
        "left_mm": projector.left_mm,
        "counts": counts,
        "primary": tracer.primary,
        "soft_tissue_uptake": tracer.tissue,
        "spared_by_diffuse_disease": tracer.spare,
        "bone_uptake": as_json(bone_uptake(anatomy.skeleton, tracer.normal)),
        "metastases": as_json(tracer.metastases),
        "mimics": as_json(tracer.mimics),
        "organs": as_json(tracer.organs),
        "worn": as_json([thing.facts for thing in tracer.worn]),
        "faults": as_json({view.value: head for view, head in faults.items()}),
        "motion": as_json(motion),
    }


Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


def as_json(value: object) -> Json:
    """Convert dataclasses, mappings and sequences to JSON types.

    Args:
        value: numbers, words, `None`, or dataclasses, mappings and sequences of such.

    Raises:
        TypeError: something else, such as an image.

    Examples:
        >>> from bonescint.simulate.faults import Ripple
        >>> as_json({"waves": (Ripple(amplitude=0.01, period_mm=60.0, phase=0.0),)})
        {'waves': [{'amplitude': 0.01, 'period_mm': 60.0, 'phase': 0.0}]}
    """
    if isinstance(value, FocalUptake):
        return _of_focus(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, str):
        return str(value)  # a plain word, also of a StrEnum
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, np.generic):
        return as_json(value.item())
    if isinstance(value, Sequence):
        return [as_json(item) for item in value]
    raise TypeError(f"as_json: no JSON for {type(value).__name__}.")


def _of_focus(focus: FocalUptake) -> Json:
    """A focus without its samples: where it is, and how much activity it adds."""
    weight = np.abs(focus.activity) + np.float32(1e-12)
    centre = (focus.positions_mm * weight[:, None]).sum(axis=0) / weight.sum()
    return {
        "kind": focus.kind.value,
        "cause": focus.cause,
        "region": focus.region,
        "radius_mm": float(focus.radius_mm),
        "contrast": float(focus.contrast),
        "centre_mm": [round(float(place), 1) for place in centre],
        "activity": float(focus.activity.sum(dtype=np.float64)),
    }


def bone_uptake(skeleton: Skeleton, normal: NDArray[np.float32]) -> dict[str, float]:
    """Mean concentration of each bone, as it was drawn.

    Args:
        skeleton: the reference.
        normal: normal uptake of the samples (n,).
    """
    means = {}
    for region in skeleton.regions:
        span = skeleton.span(region)
        means[region] = round(float(normal[span].sum() / skeleton.volume[span].sum()), 4)
    return means
