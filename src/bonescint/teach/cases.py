"""Teaching cases: a scan with the truth of every spot, simulated or from a user's own cohort."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.scan import FocusKind, InputError, ParameterError, Scan, Truth, UptakeSite
from bonescint.scan.checked import check_number, check_text, check_whole
from bonescint.scan.uptake_sites import SiteGroup
from bonescint.teach.appearances import Appearance, draw_disease

if TYPE_CHECKING:
    from bonescint.simulate import SimulatedScan

VISIBLE_CONTRAST_TO_NOISE = 5.0
"""From this ratio on, a spot counts as visible in a view (Rose criterion: 3 to 5)."""

_BODY = 2  # the version that was fitted to real scans
_ATTEMPTS = 6
_BLUR_PX = 2  # so far beyond its area a hot spot still outshines others; assumed
_WOMEN_ONLY = frozenset(
    {
        UptakeSite.BREAST,
        UptakeSite.BRA_WIRE,
        UptakeSite.BRA_CLASP,
        UptakeSite.BREAST_PROSTHESIS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSpec:
    """Everything that is needed to make one case again.

    Attributes:
        seed: seed of everything that is drawn.
        course: name of the course that the case belongs to; empty if none.
        appearance: how the metastases look; `None` for a patient without metastases.
        metastases: how many; drawn by the appearance if `None`.
        contrast_to_noise: of the faintest metastasis, in the view that shows it better; as drawn if
            `None`.
        bone: one of the twelve coarse regions, in which the faintest metastasis lies; any if empty.
        findings: benign findings, organs or worn objects that there must be.
        others: share of the other kinds of mimic that the patient would have and that stay: the
            fewer, the easier.
        primary: primary tumour; drawn if `None`, none if empty.
        counts: expected counts in the posterior view; drawn if `None`.
        camera: name of a camera; drawn if empty.
        scan_id: scan of a user's cohort, instead of a simulated one.

    Raises:
        ParameterError: an impossible value; the message names it.

    Examples:
        >>> spec = CaseSpec(seed=7, appearance=Appearance.SOLITARY, contrast_to_noise=12.0)
        >>> spec.positive, CaseSpec(seed=7).positive
        (True, False)
    """

    seed: int
    course: str = ""
    appearance: Appearance | None = None
    metastases: int | None = None
    contrast_to_noise: float | None = None
    bone: str = ""
    findings: tuple[UptakeSite, ...] = ()
    others: float = 1.0
    primary: str | None = None
    counts: float | None = None
    camera: str = ""
    scan_id: str = ""

    def __post_init__(self) -> None:
        check_whole(self, "seed", 0, 2**63 - 1)
        for name in ("course", "bone", "camera", "scan_id"):
            check_text(self, name)
        if self.metastases is not None:
            check_whole(self, "metastases", 1, 500)
        if self.contrast_to_noise is not None:
            check_number(self, "contrast_to_noise", 0.5, 1000)
        if self.appearance is None and (self.metastases or self.contrast_to_noise or self.bone):
            raise ParameterError("appearance", "CaseSpec", "given with metastases", None)
        check_number(self, "others", 0, 1)
        for site in self.findings:
            if site.group in (SiteGroup.METASTASIS, SiteGroup.OTHER):
                raise ParameterError("findings", "CaseSpec", "benign uptake sites", str(site))

    @property
    def positive(self) -> bool:
        """Whether the simulated patient has metastases."""
        return self.appearance is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotArea:
    """The pixels of one spot in one view, as JSON can hold them.

    Attributes:
        top: first row.
        left: first column.
        rows: number of rows.
        columns: number of columns.
        bits: one bit for each pixel, row after row, the first in the highest bit of a byte; base64.

    Examples:
        >>> area = SpotArea.of(np.array([[False, True], [True, True]]), top=5, left=7)
        >>> area.bits, area.mask().tolist()
        ('cA==', [[False, True], [True, True]])
    """

    top: int
    left: int
    rows: int
    columns: int
    bits: str

    @classmethod
    def of(cls, mask: NDArray[np.bool_], *, top: int, left: int) -> SpotArea:
        """The area of a mask (rows, columns) whose first pixel lies at a row and a column."""
        rows, columns = mask.shape
        bits = base64.b64encode(np.packbits(mask).tobytes()).decode()
        return cls(top=top, left=left, rows=rows, columns=columns, bits=bits)

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the view that it covers."""
        return slice(self.top, self.top + self.rows), slice(self.left, self.left + self.columns)

    def mask(self) -> NDArray[np.bool_]:
        """Bool (rows, columns)."""
        packed = np.frombuffer(base64.b64decode(self.bits), dtype=np.uint8)
        flat = np.unpackbits(packed, count=self.rows * self.columns)
        return flat.reshape(self.rows, self.columns).astype(bool)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TeachingCase:
    """A case for a learner.

    Attributes:
        case_id: its name, which reveals nothing.
        scan: what is shown; its `scan_id` is the case's.
        truth: what is true of it.
        spec: how it was made.
        areas: pixels of each of `truth.foci`, in the same order; `None` where only a point is
            known.
        bones: for each of `truth.foci` the coarse region it lies in; empty outside bone.
    """

    case_id: str
    scan: Scan
    truth: Truth
    spec: CaseSpec
    areas: tuple[SpotArea | None, ...]
    bones: tuple[str, ...]


def simulate_case(spec: CaseSpec, case_id: str) -> TeachingCase:
    """Simulate a case; the same specification gives the same bytes.

    Where a requested finding or, of metastases as they are drawn, every one turns out too faint to
    be seen, or the faintest metastasis lies behind something hotter, such as a full bladder,
    another patient is drawn, a few times; if none shows everything, the one that shows most stays.

    Args:
        spec: what is wanted.
        case_id: name of the case.

    Raises:
        ParameterError: a specification that no patient can meet.
        MissingExtraError: the libraries of the extra `simulate` are not installed.
    """
    best, fewest = _attempt(spec, case_id, 0)
    for attempt in range(1, _ATTEMPTS):
        if not fewest:
            break
        case, lacking = _attempt(spec, case_id, attempt)
        if lacking < fewest:
            best, fewest = case, lacking
    return best


def _attempt(spec: CaseSpec, case_id: str, attempt: int) -> tuple[TeachingCase, int]:
    """A case of one patient, and how much of what was wanted cannot be seen in it."""
    simulated = _simulated(spec, case_id, attempt)
    case = _case_of(simulated, spec, case_id)
    hidden = simulated.occult if spec.contrast_to_noise is None else _is_covered(case)
    return case, hidden + len(_unseen(case.truth, spec.findings))


def _case_of(simulated: SimulatedScan, spec: CaseSpec, case_id: str) -> TeachingCase:
    return TeachingCase(
        case_id=case_id,
        scan=simulated.scan,
        truth=simulated.truth,
        spec=spec,
        areas=tuple(
            SpotArea.of(area.mask, top=area.top, left=area.left) for area in simulated.focus_masks
        ),
        bones=tuple(bone_of(focus.region) for focus in simulated.truth.foci),
    )


def _simulated(spec: CaseSpec, case_id: str, attempt: int) -> SimulatedScan:
    from bonescint.simulate import (
        FaintestMetastasis,
        Population,
        RequestedUptake,
        camera_named,
        draw_anatomy,
        draw_camera,
        set_up_camera,
        simulate_scan,
    )

    rng = np.random.default_rng([spec.seed, attempt, 0x7EAC])
    women = bool(_WOMEN_ONLY & set(spec.findings))
    population = Population(anatomy=_BODY)
    population = replace(population, female_share=1.0) if women else population
    primary = "breast" if UptakeSite.BREAST_PROSTHESIS in spec.findings else spec.primary
    anatomy = draw_anatomy(rng, population, primary=primary)
    camera = set_up_camera(camera_named(spec.camera), rng) if spec.camera else draw_camera(rng)
    drawn = None if spec.appearance is None else draw_disease(spec.appearance, rng)
    faintest = None
    if spec.contrast_to_noise is not None:
        faintest = FaintestMetastasis(contrast_to_noise=spec.contrast_to_noise, bone=spec.bone)
    return simulate_scan(
        anatomy,
        camera,
        rng,
        positive=drawn is not None,
        scan_id=case_id,
        lesions=None if drawn is None else spec.metastases or drawn.lesions,
        counts=spec.counts,
        disease=None if drawn is None else drawn.disease,
        requested=RequestedUptake(sites=spec.findings, others=spec.others),
        faintest=faintest,
    )


def _unseen(truth: Truth, findings: Iterable[UptakeSite]) -> set[UptakeSite]:
    """Of which findings no focus can be seen."""
    seen = {
        focus.cause
        for focus in truth.foci
        if (focus.contrast_to_noise or 0.0) >= VISIBLE_CONTRAST_TO_NOISE
    }
    return {site for site in findings if site not in seen}


def _is_covered(case: TeachingCase) -> bool:
    """Whether hotter spots cover more than half of the faintest metastasis, where it shows best."""
    best: dict[tuple[object, ...], tuple[float, int]] = {}
    for number, focus in enumerate(case.truth.foci):
        if focus.kind is FocusKind.METASTASIS:
            lesion = (focus.region, focus.radius_mm, focus.contrast)
            seen = (focus.contrast_to_noise or 0.0, number)
            best[lesion] = max(best.get(lesion, seen), seen)
    if not best:
        return False
    ratio, number = min(best.values())
    hotter = np.zeros(case.scan.shape, dtype=bool)
    for other, area in zip(case.truth.foci, case.areas, strict=True):
        brighter = (other.contrast_to_noise or 0.0) > ratio
        if area is not None and other.view is case.truth.foci[number].view and brighter:
            hotter[area.window] |= area.mask()
    own = case.areas[number]
    if own is None or not hotter.any():
        return False
    covered = ndimage.binary_dilation(hotter, iterations=_BLUR_PX)[own.window] & own.mask()
    return bool(covered.sum() > own.mask().sum() / 2)


def bone_of(region: str) -> str:
    """The coarse region that a region of the simulator belongs to; empty for soft tissue.

    Examples:
        >>> bone_of("rib07 L"), bone_of("kidney R"), bone_of("femur L")
        ('ribs', '', 'femora')
    """
    from bonescint.simulate.seen_foci import TWELVE_REGIONS
    from bonescint.simulate.skeleton import group_of_region

    return TWELVE_REGIONS.get(group_of_region(region), "")


class CohortCases:
    """Cases from a user's own cohort, with masks or truth files; cases without are left out.

    Args:
        path: the manifest, or its folder.

    Raises:
        InputError: no readable manifest, or no case whose truth says where the disease is.
    """

    def __init__(self, path: Path) -> None:
        from bonescint.cohort import read_manifest

        self._manifest = read_manifest(path)
        # A negative case needs no mask; a positive one without a mask has nothing to point at.
        self._cases = {
            case.scan_id: case
            for case in self._manifest.cases
            if not case.positive or case.truth or case.mask_anterior or case.mask_posterior
        }
        if not self._cases:
            raise InputError(path, "no case has a mask or a truth file", "Add them to the manifest")

    @property
    def scan_ids(self) -> tuple[str, ...]:
        """Identifiers of the scans that can be shown, in the order of the manifest."""
        return tuple(self._cases)

    @property
    def left_out(self) -> int:
        """Number of positive cases that were left out because nothing says where disease is."""
        return len(self._manifest.cases) - len(self._cases)

    @property
    def sha256(self) -> str:
        """Hash of which scans these are: of their identifiers, and of the first one's file."""
        first = self._manifest.path(next(iter(self._cases.values())))
        content = first.read_bytes() if first.is_file() else b""
        return hashlib.sha256("\n".join(self.scan_ids).encode() + content).hexdigest()

    def read(self, spec: CaseSpec, case_id: str) -> TeachingCase:
        """Read one case.

        Args:
            spec: with the `scan_id`.
            case_id: name of the case.

        Raises:
            InputError: no such scan, or a file that cannot be read.
        """
        from bonescint.cohort import truth_of
        from bonescint.dicom import read

        case = self._cases.get(spec.scan_id)
        if case is None:
            raise InputError("the cohort", "a scan is no longer in it", "Start a new course")
        scan = read(self._manifest.path(case))
        truth = truth_of(self._manifest, case, pixel_spacing_mm=scan.pixel_spacing_mm)
        truth = truth or Truth(positive=case.positive, source="label")
        return TeachingCase(
            case_id=case_id,
            scan=replace(scan, scan_id=case_id, patient_id=None),
            truth=truth,
            spec=spec,
            areas=_areas_of_masks(truth),
            bones=tuple(bone_of(focus.region) for focus in truth.foci),
        )


def _areas_of_masks(truth: Truth) -> tuple[SpotArea | None, ...]:
    """The piece of a mask that each focus lies in."""
    from bonescint.scan.lesions import mask_pieces

    pieces = {view: mask_pieces(mask) for view, mask in truth.masks.items()}
    return tuple(_piece(pieces.get(f.view), f.row, f.column) for f in truth.foci)


def _piece(pieces: NDArray[np.intp] | None, row: float, column: float) -> SpotArea | None:
    if pieces is None or not pieces.any():
        return None
    rows, columns = np.nonzero(pieces)
    nearest = int(np.argmin((rows - row) ** 2 + (columns - column) ** 2))
    mask = pieces == pieces[rows[nearest], columns[nearest]]
    rows, columns = np.nonzero(mask)
    top, left = int(rows.min()), int(columns.min())
    return SpotArea.of(mask[top : rows.max() + 1, left : columns.max() + 1], top=top, left=left)
