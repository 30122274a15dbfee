"""Pictures of examples: a simulated scan, cropped to its finding, with a ring around it.

Those of the package come with it; those of a teacher's own course are drawn when they are first
shown and kept in a folder.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from bonescint.explain.crop import crop_boxes
from bonescint.files import written_beside
from bonescint.scan import FocusKind, Scan, SiteGroup, UptakeSite
from bonescint.simulate import (
    Disease,
    Population,
    RequestedUptake,
    SimulatedScan,
    build_anatomy,
    camera_named,
    draw_patient,
    simulate_scan,
)
from bonescint.teach.appearances import Appearance, draw_disease
from bonescint.teach.courses import Example, kind_named
from bonescint.viewer.window import grey_window

WIDTH = 260
"""Of a picture that shows a part of the body, in pixels; its height is the same."""

_WHOLE_HEIGHT = 560
_COUNTS = 1.4e6
_MANY_COUNTS = 6e6  # for what hardly shows at usual counts: thin wires, silicone, hazes
_OTHERS = 0.15  # of the patient's other mimics: enough to look like a patient, not to distract
_RING = (214, 84, 16)
_LEAST_SIDE_MM = 190.0
_MOST_SIDE_MM = 430.0
_MARGIN_MM = 55.0
_JOINED_MM = 9.0  # parts of one thing, such as stem and cup, get one ring
_SEEN_FROM = 3.0  # contrast-to-noise ratio; fainter parts get no ring
_HAZES = (UptakeSite.LIVER, UptakeSite.BLOOD_POOL, UptakeSite.BREAST)
_FAINT = (UptakeSite.BOWEL, *_HAZES)
_SOFT_WINDOW = 0.5  # of the value that is black, for faint uptake outside bone
_BEFORE = 0.25  # of the contrast: metastases before treatment


def simulate_example(example: Example, *, before: bool = False) -> SimulatedScan:
    """Simulate the scan of an example: a patient who certainly has what it shows.

    Args:
        example: what to show.
        before: with metastases as they were before a flare.
    """
    kind = kind_named(example.shows) if example.shows else None
    rng = np.random.default_rng([example.seed, 0x7EAC])
    patient = draw_patient(rng, _population(kind), primary=_primary(kind))
    anatomy = build_anatomy(patient, rng)
    lesions, disease = 0, Disease()
    sites: tuple[UptakeSite, ...] = ()
    if isinstance(kind, Appearance):
        drawn = draw_disease(kind, rng)
        lesions, disease = drawn.lesions, drawn.disease
    elif kind is not None:
        sites = (kind,)
    if before:
        disease = replace(disease, contrast_median=_BEFORE * disease.contrast_median)
    return simulate_scan(
        anatomy,
        replace(camera_named("symbia"), motion_share=0.0),
        rng,
        positive=lesions > 0,
        scan_id=f"example-{example.seed}",
        lesions=lesions,
        counts=_MANY_COUNTS if _hardly_shows(kind) else _COUNTS,
        disease=disease,
        requested=RequestedUptake(sites=sites, others=_OTHERS),
    )


def _population(kind: UptakeSite | Appearance | None) -> Population:
    """Patients who can have what is shown."""
    women = (
        UptakeSite.BREAST,
        UptakeSite.BREAST_PROSTHESIS,
        UptakeSite.BRA_WIRE,
        UptakeSite.BRA_CLASP,
    )
    return Population(anatomy=2, female_share=1.0 if kind in women else 0.47)


def _hardly_shows(kind: UptakeSite | Appearance | None) -> bool:
    faint = (UptakeSite.BREAST_PROSTHESIS, UptakeSite.COSTOCHONDRAL, *_HAZES)
    return kind in faint or (isinstance(kind, UptakeSite) and kind.group is SiteGroup.WORN)


def _primary(kind: UptakeSite | Appearance | None) -> str | None:
    if kind is UptakeSite.BREAST_PROSTHESIS:
        return "breast"
    if kind in (Appearance.SUPERSCAN, Appearance.FLARE):
        return "prostate"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """A part of a finding that gets a ring, in pixels of its view.

    Attributes:
        top, bottom, left, right: rows and columns that it covers.
        contrast_to_noise: of the clearest focus in it.
        region: bone or organ of that focus.
    """

    top: int
    bottom: int
    left: int
    right: int
    contrast_to_noise: float
    region: str


def rings(example: Example, simulated: SimulatedScan) -> tuple[Ring, ...]:
    """Where the finding of an example lies in its view, clearest first.

    Args:
        example: what to show.
        simulated: its scan, from `simulate_example`.
    """
    kind = kind_named(example.shows) if example.shows else None
    pixel_mm = (simulated.scan.pixel_spacing_mm or (1.0, 1.0))[0]
    shape = simulated.scan.shape
    mask = np.zeros(shape, dtype=bool)
    foci = []
    for focus, own in zip(simulated.truth.foci, simulated.focus_masks, strict=True):
        shown = (
            focus.kind is FocusKind.METASTASIS
            if isinstance(kind, Appearance)
            else focus.cause == kind
        )
        clear = (focus.contrast_to_noise or 0.0) >= _SEEN_FROM or _is_dark(focus.cause)
        if shown and clear and focus.view is example.view:
            if not focus.region.startswith(example.region):
                continue
            mask[own.window] |= own.mask
            foci.append((focus, own))
    reach = max(1, round(_JOINED_MM / pixel_mm))
    joined = ndimage.binary_dilation(mask, iterations=reach)
    pieces, _ = ndimage.label(joined, structure=np.ones((3, 3)))
    found = []
    for number, part in enumerate(ndimage.find_objects(pieces), start=1):
        inside = [focus for focus, own in foci if (pieces[own.window][own.mask] == number).any()]
        if not inside:
            continue
        clearest = max(inside, key=lambda focus: abs(focus.contrast_to_noise or 0.0))
        found.append(
            Ring(
                top=part[0].start,
                bottom=part[0].stop,
                left=part[1].start,
                right=part[1].stop,
                contrast_to_noise=abs(clearest.contrast_to_noise or 0.0),
                region=clearest.region,
            )
        )
    return tuple(sorted(found, key=lambda ring: -ring.contrast_to_noise))


def _is_dark(cause: str) -> bool:
    """Metal, whose foci take counts away."""
    return UptakeSite.named(cause).group in (SiteGroup.PROSTHESIS, SiteGroup.WORN)


def draw_example(example: Example) -> bytes:
    """Simulate an example and draw it, as WebP.

    Args:
        example: what to show. A flare is drawn beside the scan before treatment, on its left.
    """
    simulated = simulate_example(example)
    if example.shows != Appearance.FLARE:
        return _webp(_drawn(example, simulated, simulated.scan))
    earlier = _drawn(example, simulated, simulate_example(example, before=True).scan)
    present = _drawn(example, simulated, simulated.scan)
    both = Image.new("RGB", (earlier.width + present.width + 8, present.height), "white")
    both.paste(earlier, (0, 0))
    both.paste(present, (earlier.width + 8, 0))
    return _webp(both)


def _drawn(example: Example, simulated: SimulatedScan, scan: Scan) -> Image.Image:
    """A part of one view with the rings in it."""
    found = rings(example, simulated)
    image = dict(scan.images())[example.view]
    pixel_mm = (scan.pixel_spacing_mm or (1.0, 1.0))[0]
    window = grey_window(image, scan.unit)
    if example.shows in _FAINT:  # as readers do
        window = replace(window, high=_SOFT_WINDOW * window.high)
    grey = window.inverted_grey(image)
    if example.whole_body or not found:
        rows, columns = crop_boxes(scan)[example.view]
        zoom = _WHOLE_HEIGHT / (rows.stop - rows.start)
    else:
        rows, columns = _square(found, pixel_mm, image.shape)
        zoom = WIDTH / (rows.stop - rows.start)
    part = Image.fromarray(np.ascontiguousarray(grey[rows, columns]))
    size = (round(part.width * zoom), round(part.height * zoom))
    picture = part.resize(size, Image.Resampling.BICUBIC).convert("RGB")
    if example.whole_body and isinstance(kind_named(example.shows or "bladder"), Appearance):
        return picture  # disease everywhere: rings would hide it
    return _ringed(picture, found, rows.start, columns.start, zoom)


def _square(
    found: tuple[Ring, ...], pixel_mm: float, shape: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of a square around the clearest part, and others as far as they fit."""
    top, bottom, left, right = found[0].top, found[0].bottom, found[0].left, found[0].right
    most = (_MOST_SIDE_MM - 2 * _MARGIN_MM) / pixel_mm
    for ring in found[1:]:
        height = max(bottom, ring.bottom) - min(top, ring.top)
        width = max(right, ring.right) - min(left, ring.left)
        if max(height, width) <= most:
            top, bottom = min(top, ring.top), max(bottom, ring.bottom)
            left, right = min(left, ring.left), max(right, ring.right)
    wanted = max(bottom - top, right - left) + 2 * _MARGIN_MM / pixel_mm
    side = min(round(max(wanted, _LEAST_SIDE_MM / pixel_mm)), *shape)
    first_row = min(max(0, round((top + bottom - side) / 2)), shape[0] - side)
    first_column = min(max(0, round((left + right - side) / 2)), shape[1] - side)
    return slice(first_row, first_row + side), slice(first_column, first_column + side)


def _ringed(
    picture: Image.Image, found: tuple[Ring, ...], top: int, left: int, zoom: float
) -> Image.Image:
    """Draw rings, at four times the size so that their edges are smooth."""
    fine = 4
    overlay = Image.new("L", (fine * picture.width, fine * picture.height), 0)
    draw = ImageDraw.Draw(overlay)
    for ring in found:
        half = np.array([ring.bottom - ring.top, ring.right - ring.left]) * zoom / 2
        middle = (
            np.array([ring.top + ring.bottom - 2 * top, ring.left + ring.right - 2 * left])
            * zoom
            / 2
        )
        half = np.maximum(1.15 * half, 11.0)
        (y0, x0), (y1, x1) = fine * (middle - half), fine * (middle + half)
        draw.ellipse((x0, y0, x1, y1), outline=255, width=fine * 2)
    ring_mask = overlay.resize(picture.size, Image.Resampling.BOX)
    picture.paste(Image.new("RGB", picture.size, _RING), (0, 0), ring_mask)
    return picture


def _webp(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", quality=72, method=6)
    return buffer.getvalue()


def picture_name(example: Example) -> str:
    """File name of an example's picture, which depends on everything but the caption.

    Examples:
        >>> from bonescint.scan import View
        >>> whole = Example(shows="superscan", seed=3, view=View.POSTERIOR, caption="Bright bones.")
        >>> picture_name(whole)
        'superscan-3-posterior-e52ea5.webp'
    """
    said = (example.shows, example.seed, example.view, example.region, example.whole_body)
    digest = hashlib.sha256("/".join(map(str, said)).encode()).hexdigest()[:6]
    plain = "".join(letter if letter.isalnum() else "-" for letter in example.shows or "normal")
    return f"{plain}-{example.seed}-{example.view}-{digest}.webp".lower()


def example_picture(example: Example, folder: Path) -> bytes:
    """The picture of an example: of the package, from a folder, or drawn and put there.

    Args:
        example: what to show.
        folder: where pictures of teachers' own courses are kept.

    Raises:
        OutputError: the folder cannot be written.
    """
    name = picture_name(example)
    packaged = resources.files("bonescint.teach.content") / "pictures" / name
    if packaged.is_file():
        return packaged.read_bytes()
    path = folder / name
    if path.is_file():
        return path.read_bytes()
    drawn = draw_example(example)
    folder.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as beside:
        beside.write_bytes(drawn)
    return drawn
