"""A small convolutional network that classifies each candidate for a focus.

It is the second stage of the detection. Its input are, from both views, the uptake around a
candidate relative to the usual uptake of its bone, the outline of that bone, the model's map of
cells, and the mirrored place on the other side of the body; and measurements of the candidate. It
was trained on simulated scans (`benchmarks/focus_network.py`), whose truth names every focus.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonescint.model.engine import load_openvino
from bonescint.quantify.bone_atlas import Floats
from bonescint.quantify.candidates import FocusInView, ViewUptake
from bonescint.quantify.laid_atlas import LaidAtlas
from bonescint.quantify.regions import BodyRegions
from bonescint.scan import PixelUnit, Prediction, Scan, SiteGroup, View
from bonescint.simulate.seen_foci import TWELVE_REGIONS
from bonescint.simulate.skeleton import group_of_region

SIZE = 24
"""Rows and columns of a patch."""
FINE_MM, COARSE_MM = 4.0, 10.0
"""Between the points of the two patches around each candidate."""
USUAL = "usual uptake"
"""Name of the finding of a candidate that is no focus."""
PROPERTIES = "bonescint.focus_network"
"""Key in the ONNX file's metadata: JSON with findings, settings and hashes of the training."""
_COARSE_BLUR_MM = 5.0
_LARGEST_LOG = 3.5
_CELL_LIMIT = 0.002
_GROUPS = tuple(TWELVE_REGIONS)


class FocusInputs(NamedTuple):
    """The network's input for the candidates of one scan, float32.

    Attributes:
        fine: (candidates, 12, 24, 24): for each view the logarithms of uptake relative to the usual
            uptake of the candidate's bone and of each pixel's own bone, the candidate's bone, all
            bones, and the model's cells; then for each view the place on the body's other side.
        coarse: (candidates, 6, 24, 24): for each view both logarithms and the cells.
        numbers: (candidates, 39): bone, place on the average body, and measurements.
    """

    fine: Floats
    coarse: Floats
    numbers: Floats


class FocusAnswers(NamedTuple):
    """The network's output for the candidates of one scan.

    Attributes:
        probabilities: (candidates, findings), in the order of `findings`.
        volume_ratios: (candidates,), diseased volume of a metastasis over that of the samples of
            bone in its outlines.
        findings: what they are, the metastasis first.
    """

    probabilities: Floats
    volume_ratios: Floats
    findings: tuple[str, ...]


def focus_inputs(
    scan: Scan,
    prediction: Prediction,
    body: BodyRegions,
    uptakes: Mapping[View, ViewUptake],
    candidates: Sequence[Sequence[FocusInView]],
    laid: LaidAtlas,
) -> FocusInputs:
    """Patches and numbers of candidates.

    Args:
        scan: the scan.
        prediction: of the scan.
        body: its bones.
        uptakes: each view as it was searched.
        candidates: each in one view or in both.
        laid: the atlas on the scan.
    """
    places = [_in_both_views(one, body, scan.shape[1]) for one in candidates]
    count = len(candidates)
    own, beyond, far = [], [], []
    for view in View:
        if view not in uptakes:
            own.append(np.zeros((count, 5, SIZE, SIZE), np.float32))
            beyond.append(np.zeros((count, 1, SIZE, SIZE), np.float32))
            far.append(np.zeros((count, 3, SIZE, SIZE), np.float32))
            continue
        at = np.array([place[view] for place in places], np.float64).reshape(-1, 2)
        bones = np.array([_bone(one, body) for one in candidates], np.intp)
        patches = _Patches(uptakes[view], body, view)
        base = patches.base(bones, at)
        own.append(patches.fine(at, bones, base))
        beyond.append(patches.beyond(at, base))
        far.append(patches.coarse(at, base))
    counts = max(scan.total(view) for view in scan.views)
    known = scan.unit is PixelUnit.COUNTS and counts > 1
    of_scan = (
        float(np.log10(counts)) - 6 if known else 0.0,
        _logit(prediction.mbd_probability) / 3,
    )
    numbers = [_numbers(of_scan, uptakes, one, laid) for one in candidates]
    return FocusInputs(
        fine=np.concatenate(own + beyond, axis=1),
        coarse=np.concatenate(far, axis=1),
        numbers=np.array(numbers, np.float32).reshape(count, -1),
    )


def _bone(candidate: Sequence[FocusInView], body: BodyRegions) -> int:
    return 1 + body.bone_names.index(clearest(candidate).bone)


def clearest(candidate: Sequence[FocusInView]) -> FocusInView:
    """The view in which a focus stands out most."""
    return max(candidate, key=lambda focus: (focus.contrast_to_noise or 0, focus.contrast))


def _in_both_views(
    candidate: Sequence[FocusInView], body: BodyRegions, columns: int
) -> dict[View, tuple[float, float]]:
    """Row and column of a candidate in each view, also in one that does not show it."""
    shift = shift_between_views(body)
    found = {focus.view: (float(focus.row), float(focus.column)) for focus in candidate}
    for view, other in ((View.ANTERIOR, View.POSTERIOR), (View.POSTERIOR, View.ANTERIOR)):
        if view not in found:
            row, column = found[other]
            found[view] = row, columns - 1 - column - shift
    return found


def shift_between_views(body: BodyRegions) -> float:
    """Columns by which a posterior focus is moved, so that its mirror image lies on the front."""
    origins = body.registration.pose.origin_mm
    if len(origins) < 2:
        return 0.0
    across = body.registration.pixel_mm[1]
    return float((origins[View.POSTERIOR][0] - origins[View.ANTERIOR][0]) / across)


class _Patches:
    """Cuts patches out of one view; columns run as seen from the front."""

    def __init__(self, uptake: ViewUptake, body: BodyRegions, view: View) -> None:
        self.uptake = uptake
        self.pixel_mm = body.registration.pixel_mm
        self.sign = 1 if view is View.ANTERIOR else -1
        middle = float(body.registration.pose.origin_mm[view][0]) / self.pixel_mm[1]
        columns = uptake.smooth.shape[1]
        self.middle = middle if view is View.ANTERIOR else columns - middle
        self.least = 1e-6 + 0.005 * float(np.percentile(uptake.smooth, 99))
        self.log = np.log(uptake.smooth + self.least)
        bony = uptake.bones > 0
        relative = self.log - np.log(np.maximum(uptake.usual, self.least))
        self.relative = np.where(bony, np.clip(relative, -_LARGEST_LOG, _LARGEST_LOG), 0)
        blur = [_COARSE_BLUR_MM / size for size in self.pixel_mm]
        self.far_log, self.far_relative = (
            ndimage.gaussian_filter(of, blur) for of in (self.log, self.relative)
        )

    def base(self, bones: NDArray[np.intp], at: NDArray[np.float64]) -> Floats:
        """Logarithm of the usual uptake of each candidate's bone; of its place if unseen."""
        usual = self.uptake.by_bone[bones]
        row, column = self._inside(*np.rint(at).astype(np.intp).T)
        there = np.maximum(self.uptake.usual[row, column], self.uptake.smooth[row, column])
        return np.asarray(
            np.log(np.maximum(np.where(usual > 0, usual, there), self.least)), np.float32
        )

    def fine(self, at: NDArray[np.float64], bones: NDArray[np.intp], base: Floats) -> Floats:
        rows, columns = self._window(at, FINE_MM)
        there = self.uptake.bones[rows, columns]
        return self._joined(
            self._against(self.log[rows, columns], base),
            self.relative[rows, columns],
            there == bones[:, None, None],
            there > 0,
            self.uptake.cells[rows, columns],
        )

    def beyond(self, at: NDArray[np.float64], base: Floats) -> Floats:
        """The place on the body's other side, mirrored."""
        other = at.copy()
        other[:, 1] = 2 * self.middle - 1 - at[:, 1]
        rows, columns = self._window(other, FINE_MM, mirror=True)
        return self._joined(self._against(self.log[rows, columns], base))

    def coarse(self, at: NDArray[np.float64], base: Floats) -> Floats:
        rows, columns = self._window(at, COARSE_MM)
        return self._joined(
            self._against(self.far_log[rows, columns], base),
            self.far_relative[rows, columns],
            self.uptake.cells[rows, columns],
        )

    def _against(self, log: Floats, base: Floats) -> Floats:
        return np.asarray(np.clip(log - base[:, None, None], -_LARGEST_LOG, _LARGEST_LOG))

    def _joined(self, *channels: NDArray[Any]) -> Floats:
        return np.stack([np.asarray(of, np.float32) for of in channels], axis=1)

    def _window(
        self, at: NDArray[np.float64], step_mm: float, *, mirror: bool = False
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        away = (np.arange(SIZE) - (SIZE - 1) / 2) * step_mm
        sign = -self.sign if mirror else self.sign
        rows = np.rint(at[:, :1] + away / self.pixel_mm[0]).astype(np.intp)
        columns = np.rint(at[:, 1:] + sign * away / self.pixel_mm[1]).astype(np.intp)
        return self._inside(rows[:, :, None], columns[:, None, :])

    def _inside(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        most = self.uptake.smooth.shape
        return np.clip(rows, 0, most[0] - 1), np.clip(columns, 0, most[1] - 1)


def _numbers(
    of_scan: Sequence[float],
    uptakes: Mapping[View, ViewUptake],
    candidate: Sequence[FocusInView],
    laid: LaidAtlas,
) -> list[float]:
    """Measurements of a candidate and its scan, scaled to the order of one."""
    bone = clearest(candidate).bone
    group = group_of_region(bone)
    left, up = laid.place_mm(candidate, bone)
    found = [float(group == name) for name in _GROUPS]
    found += [abs(float(left)) / 200, float(up) / 500]
    shown = {focus.view: focus for focus in candidate}
    down, across = laid.pixel_mm
    for view in View:
        focus = shown.get(view)
        if focus is None:
            found += [float(view in uptakes), 0, 0, 0, 0, 0, 0]
            continue
        noise = focus.contrast_to_noise
        area = float(focus.mask.sum()) * down * across
        found += [
            1.0,
            1.0,
            float(np.log(focus.contrast)),
            0.0 if noise is None else float(np.log1p(max(noise, 0.0))) / 2,
            float(noise is not None),
            float(np.log(area)) / 3 - 2,
            _logit(focus.cell) / 3,
        ]
    return [*found, *of_scan, float(np.log(enclosed_share(candidate, laid))) / 3 + 2]


def enclosed_share(candidate: Sequence[FocusInView], laid: LaidAtlas) -> float:
    """Share of the skeleton's volume that the outlines of a focus enclose, at least a half sample.

    Args:
        candidate: the focus in each view that shows it.
        laid: the atlas on the scan.
    """
    atlas = laid.atlas
    bone = clearest(candidate).bone
    inside = laid.enclosed(candidate, bone)
    least = 0.5 * float(laid.shares[atlas.bones.index(bone)])
    return max(float(laid.shares[atlas.bone[inside]].sum()), least)


def _logit(probability: float) -> float:
    held = min(max(probability, _CELL_LIMIT), 1 - _CELL_LIMIT)
    return float(np.log(held / (1 - held)))


FOCUS_FINDINGS: tuple[str, ...] = (
    *(
        group.value
        for group in SiteGroup
        if group not in (SiteGroup.OTHER, SiteGroup.WORN)  # worn objects are photopenic
    ),
    USUAL,
)
"""The findings: groups of uptake sites, metastasis first, and usual uptake last."""


class FocusNetwork:
    """The network, ready to run.

    Args:
        content: of its ONNX file.

    Attributes:
        properties: what its file says of findings, settings and training.
    """

    def __init__(self, content: bytes) -> None:
        core: Any = load_openvino().Core()
        model = core.read_model(content)
        self.properties: Mapping[str, Any] = json.loads(
            model.get_rt_info(["framework", PROPERTIES]).astype(str)
        )
        settings = {"INFERENCE_NUM_THREADS": "1", "INFERENCE_PRECISION_HINT": "f32"}
        self._compiled: Any = core.compile_model(model, "CPU", settings)

    def run(self, inputs: FocusInputs) -> FocusAnswers:
        """Classify the candidates of one scan."""
        findings = tuple(self.properties["findings"])
        if not len(inputs.numbers):
            return FocusAnswers(
                np.zeros((0, len(findings)), np.float32), np.zeros(0, np.float32), findings
            )
        request = self._compiled.create_infer_request()
        request.infer(inputs._asdict())
        probabilities = np.array(request.get_tensor("probabilities").data, np.float32)
        ratios = np.exp(np.array(request.get_tensor("log_ratios").data, np.float32))
        return FocusAnswers(probabilities, ratios.ravel(), findings)


@cache
def focus_network() -> FocusNetwork:
    """The network that comes with bonescint."""
    return FocusNetwork(files("bonescint.quantify").joinpath("focus_network.onnx").read_bytes())
