"""Makes the bone atlas that `bonescint.quantify` registers to a scan.

    python benchmarks/make_bone_atlas.py simulate EXAMPLES --count 400 --seed 9001
    python benchmarks/make_bone_atlas.py fit EXAMPLES       # writes quantify/bone_atlas.npz

`simulate` stores scans of simulated patients with the places of a part of their bone samples,
which correspond between patients. `fit` learns from them how bodies differ, and how to find a
body's shape in a scan. Measure the result on other scans with benchmarks/quantify.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bonescint.quantify.bone_atlas import (
    TERMS,
    BoneAtlas,
    Floats,
    Stage,
    atlas_of,
    packed,
    terms_of,
)
from bonescint.quantify.registration import (
    BodyPose,
    SearchedView,
    corrected,
    landmarks_mm,
    looked_at,
)
from bonescint.scan import View, mirrored
from bonescint.simulate import Anatomy, draw_anatomy, draw_camera, simulate_scan
from bonescint.simulate.population import Population
from bonescint.simulate.projection import Projector
from bonescint.simulate.reference_skeleton import reference_skeleton
from bonescint.simulate.skeleton import Skeleton, group_of_region

SHARE, LEAST = 0.08, 120


def kept_samples(skeleton: Skeleton) -> NDArray[np.intp]:
    """The samples that the atlas keeps of each bone, the same for every patient."""
    rng = np.random.default_rng(0)
    kept = []
    for region in skeleton.regions:
        members = skeleton.members(region)
        number = min(len(members), max(LEAST, round(SHARE * len(members))))
        kept.append(np.sort(rng.choice(members, number, replace=False)))
    return np.concatenate(kept)


def strengths(
    projector: Projector, anatomy: Anatomy, kept: NDArray[np.intp]
) -> dict[str, NDArray[np.float32]]:
    """Photons of each kept sample that reach either detector, and the blur there (mm)."""
    positions = anatomy.positions_mm[kept]
    cell = anatomy.body.flat_cell_of(positions)
    found = {}
    for view in View:
        rows = (projector.top_mm - positions[:, 2]) / projector.camera.pixel_mm
        row = np.clip(rows.astype(int), 0, projector.camera.rows - 1)
        face = projector._face_of_row_mm[view][row]
        distance = projector._distance(view, positions[:, 1], face)
        survival = projector._survival[view].reshape(-1)[cell]
        found[f"weight_{view.value}"] = survival * anatomy.skeleton.volume[kept]
        levels = np.linspace(0, 600, 61)
        sigma = np.array([projector.camera.sigma_mm(float(level)) for level in levels])
        found[f"sigma_{view.value}"] = np.interp(distance, levels, sigma)
    return found


def simulate(out: Path, count: int, seed: int, start: int) -> None:
    """Store examples, one file each; those that are there are kept."""
    out.mkdir(parents=True, exist_ok=True)
    for number in range(start, start + count):
        file = out / f"{number:05d}.npz"
        if file.exists():
            continue
        rng = np.random.default_rng([seed, number])
        anatomy = draw_anatomy(rng, Population(anatomy=2, female_share=0.5, age_mean=63))
        camera = draw_camera(rng)
        simulated = simulate_scan(
            anatomy,
            camera,
            rng,
            positive=bool(rng.random() < 0.4),
            scan_id="example",
            exposure=float(np.exp(rng.uniform(np.log(0.4), np.log(1.3)))),
        )
        kept = kept_samples(anatomy.skeleton)
        images = {
            view.value: np.rint(
                image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2).sum((1, 3))
            ).astype(np.uint16)
            for view, image in simulated.scan.images()
        }
        part = {
            name: np.float16(of)
            for name, of in strengths(simulated.projector, anatomy, kept).items()
        }
        np.savez_compressed(
            file,
            **images,
            **part,
            positions=np.rint(anatomy.positions_mm[kept] * 10).astype(np.int16),
            pixel_mm=camera.pixel_mm * 2,
            top_mm=simulated.projector.top_mm,
            left_mm=simulated.projector.left_mm,
        )


class Examples:
    """Simulated patients: places of the samples around an origin, and views with the origin."""

    def __init__(self, folder: Path, most: int | None) -> None:
        files = sorted(folder.glob("*.npz"))[:most]
        skeleton = reference_skeleton()
        self.bones = skeleton.regions
        kept = kept_samples(skeleton)
        self.bone = skeleton.region[kept]
        groups = [group_of_region(name) for name in self.bones]
        trunk = [n for n, group in enumerate(groups) if group in ("sacrum", "lumbar")]
        middle = np.isin(self.bone, trunk)
        self.volume = np.array(
            [float(skeleton.volume[skeleton.span(name)].sum()) for name in self.bones]
        )
        self.uptake_groups = groups
        self.places, self.views, self.origins, sums = [], [], [], None
        for file in files:
            stored = np.load(file)
            places = stored["positions"].astype(np.float32) / 10
            origin = places[middle].mean(axis=0)
            self.places.append(places - origin)
            pixel = (float(stored["pixel_mm"]),) * 2
            width = stored["anterior"].shape[1] * pixel[1]
            left, top = float(stored["left_mm"]), float(stored["top_mm"])
            at = np.array([origin[0] - left, top - origin[2]], np.float32)
            self.origins.append(dict.fromkeys(View, at))
            images = {}
            for view in View:
                counts = stored[view.value].astype(np.float32)
                laid = counts if view is View.ANTERIOR else mirrored(counts)
                images[view] = SearchedView(counts=laid, pixel_mm=pixel)
            self.views.append(images)
            del width
            arrays = [
                stored[f"{kind}_{view.value}"].astype(np.float64)
                for kind in ("weight", "sigma")
                for view in View
            ]
            sums = arrays if sums is None else [a + b for a, b in zip(sums, arrays, strict=True)]
        self.photons = dict(zip(View, (part / len(files) for part in sums[:2]), strict=True))
        self.sigma = dict(zip(View, (part / len(files) for part in sums[2:]), strict=True))


NUMBER_OF_LANDMARKS = {
    "skull": 10, "mandible": 3, "cervical": 2, "thoracic": 2, "lumbar": 3, "sacrum": 5,
    "sternum": 6, "rib": 4, "clavicle": 3, "scapula": 5, "humerus": 8, "ulna": 6, "radius": 6,
    "hand": 8, "pelvis": 12, "femur": 10, "tibia": 6, "fibula": 3, "foot": 4, "patella": 1,
}  # fmt: skip
SPACINGS_MM = (40.0, 24.0, 18.0, 12.0, 10.0)
WHOLE_BODY_STEPS = 2
MODES = 36
PARTS: dict[str, tuple[tuple[str, ...], int]] = {
    "head": (("skull", "mandible", "cervical"), 8),
    "spine": (("cervical", "thoracic", "lumbar", "sacrum"), 10),
    "thorax": (("rib", "sternum"), 16),
    **{f"shoulder {side}": ((f"clavicle {side}", f"scapula {side}"), 7) for side in "LR"},
    "pelvis": (("pelvis", "sacrum"), 6),
    **{f"arm {side}": ((f"humerus {side}", f"ulna {side}", f"radius {side}", f"hand {side}"), 12)
       for side in "LR"},
    **{f"leg {side}": ((f"femur {side}", f"patella {side}", f"tibia {side}", f"fibula {side}",
                        f"foot {side}"), 12) for side in "LR"},
}  # fmt: skip
"""Bones, or groups of bones, of each part, and the number of its modes."""


def spread_out(places: Floats, number: int) -> NDArray[np.intp]:
    """So many places far from each other."""
    chosen = [int(np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1)))]
    far = ((places - places[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < number:
        chosen.append(int(far.argmax()))
        far = np.minimum(far, ((places - places[chosen[-1]]) ** 2).sum(axis=1))
    return np.array(chosen)


def store_modes(stored: dict, moves: Floats) -> None:
    """Keep moves of the bones (modes, bones, 10, 2) as 16-bit numbers."""
    whole, scale = packed(moves.reshape(len(moves), -1).T, 32767)
    stored |= {"modes_q": whole, "modes_s": scale}


def shape_model(examples: Examples, rng: np.random.Generator) -> tuple[dict, Space]:
    """Mean and modes of the whole body, and the space of coefficients."""
    mean = np.mean(examples.places, axis=0)
    stored = {
        "bones": np.array(examples.bones),
        "bone": examples.bone,
        "mean_mm": np.rint(mean * 10).astype(np.int16),
        "volume": examples.volume / examples.volume.sum(),
    }
    terms = terms_of(examples.bone, stored["mean_mm"].astype(np.float32) / 10)
    plane = np.ascontiguousarray(stored["mean_mm"][:, [0, 2]].astype(np.float32) / 10)
    bases, weights = [], []
    for number, group in enumerate(examples.uptake_groups):
        basis, upper = np.linalg.qr(terms[examples.bone == number])
        bases.append((basis, upper))
        weights.append(np.sqrt(NUMBER_OF_LANDMARKS[group] / len(basis)))

    def coefficients(places: Floats) -> Floats:
        moved = places[:, [0, 2]] - plane
        return np.concatenate(
            [
                weight * (basis.T @ moved[examples.bone == number]).ravel()
                for number, ((basis, _), weight) in enumerate(zip(bases, weights, strict=True))
            ]
        )

    scales = np.exp(rng.normal(0, 0.04, (4, len(examples.places))))
    scales[0] = 1
    rows = np.array(
        [
            coefficients(places * scale)
            for row in scales
            for places, scale in zip(examples.places, row, strict=True)
        ]
    )
    _, singular, axes = np.linalg.svd(rows, full_matrices=False)  # about the mean body
    sd = singular[:MODES] / np.sqrt(len(rows))
    axes = axes[:MODES]
    print("variance kept", float((singular[:MODES] ** 2).sum() / (singular**2).sum()))
    moves = np.empty((MODES, len(examples.bones), TERMS, 2), np.float32)
    for number, ((_, upper), weight) in enumerate(zip(bases, weights, strict=True)):
        part = (axes * sd[:, None])[:, number * 2 * TERMS : (number + 1) * 2 * TERMS]
        part = part.reshape(MODES, TERMS, 2) / weight
        moves[:, number] = (
            np.linalg.solve(upper, part.transpose(1, 0, 2).reshape(TERMS, -1))
            .reshape(TERMS, MODES, 2)
            .transpose(1, 0, 2)
        )
    store_modes(stored, moves)
    stored["landmarks"] = np.concatenate(
        [
            np.flatnonzero(examples.bone == number)[
                spread_out(plane[examples.bone == number], NUMBER_OF_LANDMARKS[group])
            ]
            for number, group in enumerate(examples.uptake_groups)
        ]
    )
    for view in View:
        stored[f"expected_start_{view.value}"] = stored[f"expected_end_{view.value}"] = np.zeros(0)
    for view in View:
        stored[f"photons_{view.value}"] = examples.photons[view].astype(np.float16)
        stored[f"blur_mm_{view.value}"] = np.array(
            [
                np.average(
                    examples.sigma[view][examples.bone == n],
                    weights=examples.photons[view][examples.bone == n],
                )
                for n in range(len(examples.bones))
            ],
            np.float32,
        )

    def unwound(part: Floats) -> Floats:
        """Rows in the space of the coefficients as moves of the bones (rows, bones, 10, 2)."""
        moves = np.empty((len(part), len(examples.bones), TERMS, 2), np.float32)
        for number, ((_, upper), weight) in enumerate(zip(bases, weights, strict=True)):
            mine = part[:, number * 2 * TERMS : (number + 1) * 2 * TERMS]
            mine = mine.reshape(-1, TERMS, 2).transpose(1, 0, 2).reshape(TERMS, -1) / weight
            moves[:, number] = np.linalg.solve(upper, mine).reshape(TERMS, -1, 2).transpose(1, 0, 2)
        return moves

    return stored, Space(coefficients, unwound, axes * sd[:, None], axes / sd[:, None])


class Space(NamedTuple):
    """The space of coefficients, in which the modes of the whole body are orthogonal."""

    coefficients: Callable[[Floats], Floats]
    unwound: Callable[[Floats], Floats]
    modes: Floats
    inverse: Floats


def part_modes(space: Space, left: Floats, bones: tuple[str, ...]) -> dict[str, Floats]:
    """For each part the modes of what the whole body's modes left over, in coefficients."""
    found = {}
    for name, (members, number) in PARTS.items():
        mine = [bone in members or group_of_region(bone) in members for bone in bones]
        columns = np.repeat(mine, 2 * TERMS)
        _, singular, axes = np.linalg.svd(left[:, columns], full_matrices=False)
        modes = np.zeros((number, left.shape[1]), np.float32)
        modes[:, columns] = axes[:number] * (singular[:number, None] / np.sqrt(len(left)))
        print(name, "variance kept", (singular[:number] ** 2).sum() / (singular**2).sum())
        found[name] = modes
    return found


def cut(view: SearchedView, at: Floats, rng: np.random.Generator, scale: float) -> SearchedView:
    """A view that is scaled, and from which head, feet or a side may be cut."""
    counts = view.counts.copy()
    rows, columns = counts.shape
    row = at[1] / view.pixel_mm[0]
    if rng.random() < 0.08:
        counts[: int(row - rng.uniform(350, 750) / view.pixel_mm[0])] = 0
    if rng.random() < 0.12:
        counts[int(row + rng.uniform(250, 950) / view.pixel_mm[0]) :] = 0
    if rng.random() < 0.1:
        width = int(rng.uniform(0, 0.25) * columns)
        counts[:, :width] = 0
    del rows
    return SearchedView(counts=counts, pixel_mm=tuple(size * scale for size in view.pixel_mm))


STRENGTHS = (0.05, 0.4, 2.0, 10.0, 50.0, 500.0)


class Ridge:
    """Linear regressions with a penalty, for whichever is smaller: the examples or the features."""

    def __init__(self, x: Floats, y: Floats) -> None:
        self.centre, self.middle = x.mean(axis=0), y.mean(axis=0)
        self.x, y = x - self.centre, y - self.middle
        self.dual = len(x) < x.shape[1]
        gram = self.x @ self.x.T if self.dual else self.x.T @ self.x
        self.values, self.vectors = np.linalg.eigh(gram)
        self.turned = self.vectors.T @ (y if self.dual else self.x.T @ y)
        self.mean = float(self.values.sum()) / len(x)

    def weights(self, strengths: float | NDArray[np.float64]) -> Floats:
        """Weights for a penalty, or one for each column of y."""
        part = self.turned / (self.values[:, None] + strengths * self.mean)
        found = self.vectors @ part
        return self.x.T @ found if self.dual else found


def regression(x: Floats, y: Floats, folds: NDArray[np.intp]) -> tuple[Floats, Floats]:
    """Weights with a constant, and what such weights say of patients that were left out."""
    guesses = np.zeros((len(STRENGTHS), *y.shape), np.float32)
    for fold in np.unique(folds):
        held = folds == fold
        fitted = Ridge(x[~held], y[~held])
        for n, strength in enumerate(STRENGTHS):
            weights = fitted.weights(strength)
            guesses[n, held] = (x[held] - fitted.centre) @ weights + fitted.middle
    best = ((guesses - y) ** 2).mean(axis=1).argmin(axis=0)
    guess = np.take_along_axis(guesses, best[None, None, :], axis=0)[0]
    fitted = Ridge(x, y)
    weights = fitted.weights(np.asarray(STRENGTHS)[best])
    constant = fitted.middle - fitted.centre @ weights
    return np.vstack([weights, constant]).astype(np.float32), guess


COPIES = (tuple(View), tuple(View), (View.ANTERIOR,), (View.POSTERIOR,))


class Copies:
    """Examples as they are, and scaled, cut, or with one view only; with first guesses."""

    def __init__(self, examples: Examples, space: Space, rng: np.random.Generator) -> None:
        self.origins, self.truths, self.poses, self.views, patients = [], [], [], [], []
        for number, places in enumerate(examples.places):
            for copy, used in enumerate(COPIES):
                scale = float(np.exp(rng.normal(0, 0.03))) if copy == 1 else 1.0
                at = examples.origins[number][View.ANTERIOR]
                seed = int(rng.integers(1 << 31))
                views = {}
                for view in used:
                    given = examples.views[number][view]
                    views[view] = SearchedView(counts=given.counts, pixel_mm=given.pixel_mm)
                    if copy:
                        views[view] = cut(given, at, np.random.default_rng(seed), scale)
                shift = rng.normal(0, (14, 30))
                start = {
                    view: np.asarray(at * scale + shift + rng.normal(0, 5, 2), np.float32)
                    for view in used
                }
                self.poses.append(BodyPose(origin_mm=start, shape=np.zeros(MODES, np.float32)))
                self.origins.append(dict.fromkeys(used, at * scale))
                self.truths.append(space.coefficients(places * scale))
                self.views.append(views)
                patients.append(number)
        self.patients = np.array(patients)
        self.truths = np.array(self.truths)

    def seen(self, atlas: BoneAtlas, n: int, view: View, spacing: float, pose: BodyPose) -> Floats:
        """What the landmarks of a copy see."""
        image = self.views[n][view]
        places = landmarks_mm(atlas, pose, view)
        return looked_at(image.smoothed(spacing / 2), image.pixel_mm, places, spacing)


def expect(stored: dict, atlas: BoneAtlas, copies: Copies, space: Space) -> None:
    """Store what landmarks see of an average body, and of one whose shape has been found."""
    for name, spacing in (("start", SPACINGS_MM[0]), ("end", SPACINGS_MM[-1])):
        for view in View:
            seen = []
            for n in range(0, len(copies.views), len(COPIES)):
                shape = np.zeros(MODES, np.float32)
                if name == "end":
                    shape = np.asarray(space.inverse @ copies.truths[n], np.float32)
                pose = BodyPose(origin_mm=copies.origins[n], shape=shape)
                seen.append(copies.seen(atlas, n, view, spacing, pose)[:-1])
            stored[f"expected_{name}_{view.value}"] = np.mean(seen, axis=0).astype(np.float16)


def fit(folder: Path, most: int | None, out: Path) -> None:
    """Make the atlas from the examples."""
    rng = np.random.default_rng(7)
    examples = Examples(folder, most)
    stored, space = shape_model(examples, rng)
    stored["spacings_mm"] = np.zeros(0)
    atlas = atlas_of(stored)
    copies = Copies(examples, space, rng)
    expect(stored, atlas, copies, space)
    modes = space.modes
    parts: dict[str, Floats] = {}
    for number, spacing in enumerate(SPACINGS_MM):
        if number == WHOLE_BODY_STEPS:
            shapes = np.array([pose.shape for pose in copies.poses])
            parts = part_modes(space, copies.truths - shapes @ modes, examples.bones)
            modes = np.vstack([modes, *parts.values()])
            store_modes(stored, space.unwound(modes))
            atlas = atlas_of(stored)
            copies.poses = [
                BodyPose(
                    origin_mm=pose.origin_mm,
                    shape=np.append(pose.shape, np.zeros(len(modes) - MODES, np.float32)),
                )
                for pose in copies.poses
            ]
        step(stored, atlas, copies, number, spacing, modes, parts, space)
        off = [
            np.abs(
                atlas.places_mm(pose.shape, atlas.landmarks)
                - atlas.places_mm(true, atlas.landmarks)
            ).mean()
            for pose, true in zip(copies.poses, true_shapes(copies, modes, space), strict=True)
        ]
        print(number, "landmarks off by mm:", np.mean(off), "whole", np.mean(off[:: len(COPIES)]))
    pad(stored, len(modes))
    stored["spacings_mm"] = np.array(SPACINGS_MM)
    np.savez_compressed(out, **stored)
    print(out, out.stat().st_size)


def true_shapes(copies: Copies, modes: Floats, space: Space) -> Floats:
    """Shapes of the whole body's modes that come nearest to the truth."""
    shapes = np.zeros((len(copies.poses), len(modes)), np.float32)
    shapes[:, :MODES] = copies.truths @ space.inverse.T
    return shapes


def step(stored, atlas, copies, number, spacing, modes, parts, space) -> None:
    """Learn one step of the cascade, and follow it with each copy."""
    said: list[dict[View, Floats]] = [{} for _ in copies.poses]
    stages = {}
    fold_of = np.random.default_rng(number).permutation(copies.patients.max() + 1) % 3
    folds = fold_of[copies.patients]
    shapes = np.array([pose.shape for pose in copies.poses])
    left = copies.truths - shapes @ modes
    for view in View:
        mine = np.array([n for n, pose in enumerate(copies.poses) if view in pose.origin_mm])
        x = np.array([copies.seen(atlas, n, view, spacing, copies.poses[n]) for n in mine])
        origins = np.array(
            [copies.origins[n][view] - copies.poses[n].origin_mm[view] for n in mine]
        )
        weights = np.zeros((x.shape[1], 2 + len(modes)), np.float32)
        guess = np.zeros((len(mine), 2 + len(modes)), np.float32)
        rest = np.ones(2 + len(modes), np.float32)
        if not parts:
            y = np.hstack([origins, left[mine] @ space.inverse.T])
            weights, guess = regression(x[:, :-1], y, folds[mine])
            rest = ((y - guess) ** 2).mean(axis=0)
            print(
                number,
                view.value,
                "share left",
                round(float(rest[2:].mean() / (y[:, 2:] ** 2).mean()), 3),
                (rest[:2] ** 0.5).round(1),
            )
        jobs = [("origin", slice(0, 2), None)] if parts else []
        first = 2 + MODES
        for name, own in parts.items():
            jobs.append((name, slice(first, first + len(own)), own))
            first += len(own)
        for name, columns, own in jobs:
            of = np.vstack([parts["spine"], parts["pelvis"]]) if own is None else own
            used = np.any(of.reshape(len(of), -1, 2 * TERMS) != 0, axis=(0, 2))
            landmarks = np.repeat(used[atlas.bone[atlas.landmarks]], 9)
            y = (
                origins
                if own is None
                else left[mine] @ (own / (own**2).sum(axis=1, keepdims=True)).T
            )
            w, guess[:, columns] = regression(x[:, np.append(landmarks, False)], y, folds[mine])
            weights[np.ix_(np.append(landmarks, True), np.arange(columns.start, columns.stop))] = w
            rest[columns] = ((y - guess[:, columns]) ** 2).mean(axis=0)
            print(
                number,
                view.value,
                name,
                "share left",
                round(float(rest[columns].mean() / (y**2).mean()), 3),
                flush=True,
            )
        trust = np.asarray(1 / (rest + 0.01), np.float32)
        stages[view] = Stage(spacing_mm=spacing, weights=weights, trust=trust)
        whole, scale = packed(weights)
        stored[f"weights_{view.value}_{number}_q"] = whole
        stored[f"weights_{view.value}_{number}_s"] = scale
        stored[f"trust_{view.value}_{number}"] = trust
        for n, of in zip(mine, guess, strict=True):
            said[n][view] = of
    copies.poses = [corrected(pose, said[n], stages) for n, pose in enumerate(copies.poses)]


def pad(stored: dict, modes: int) -> None:
    """Give every step an output for every mode."""
    for number in range(len(SPACINGS_MM)):
        for view in View:
            for name in ("weights", "trust"):
                key = f"{name}_{view.value}_{number}" + ("_q" if name == "weights" else "")
                missing = 2 + modes - stored[key].shape[-1]
                width = [(0, 0)] * (stored[key].ndim - 1) + [(0, missing)]
                stored[key] = np.pad(stored[key], width, constant_values=int(name == "trust"))
            key = f"weights_{view.value}_{number}_s"
            stored[key] = np.pad(stored[key], (0, 2 + modes - len(stored[key])))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    made = steps.add_parser("simulate")
    made.add_argument("examples", type=Path)
    made.add_argument("--count", type=int, default=400)
    made.add_argument("--seed", type=int, default=9001)
    made.add_argument("--start", type=int, default=0)
    made = steps.add_parser("fit")
    made.add_argument("examples", type=Path)
    made.add_argument("--most", type=int)
    made.add_argument("--out", type=Path, default=Path("src/bonescint/quantify/bone_atlas.npz"))
    given = parser.parse_args()
    if given.step == "fit":
        fit(given.examples, given.most, given.out)
        return
    simulate(given.examples, given.count, given.seed, given.start)


if __name__ == "__main__":
    main()
