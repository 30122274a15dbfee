"""Fit the uptake of anatomy 2 to the mean of real scans: makes `simulate/uptake_levels.json`.

Usage:
    python benchmarks/fit_uptake.py MAPS.npz [--count 24] [--pull 0.02] [--out uptake_levels.json]

MAPS.npz as `normal_maps.py` reads it. The square of a prepared scan is proportional to counts, and
counts are a sum over parts of the body; so the mean of the squares (mean map squared plus spread
squared) is a sum of the parts' mean projections times the factors sought. A part is a node of the
tables: samples of a group of bones weighted by how near they lie to the node, soft tissue near a
height and a distance from the midline, or an organ. Least squares with bounds, a pull towards the
present factors and towards equal neighbours. One call is one step, since the scale of a prepared
scan follows its own brightness: repeat it until `normal_maps.py` says no more is gained.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
from normal_maps import CAMERAS, INSIDE, SIDE, Map
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from bonescint.prepare import preprocessing_named
from bonescint.prepare.framing import resampled
from bonescint.scan import View
from bonescint.simulate import camera_named, draw_anatomy, set_up_camera, simulate_scan
from bonescint.simulate import simulated_scan as simulation
from bonescint.simulate import uptake as levels
from bonescint.simulate.anatomy import Anatomy
from bonescint.simulate.constants import CELL_MM
from bonescint.simulate.population import Disease, Population
from bonescint.simulate.projection import Projector
from bonescint.simulate.skeleton import group_of_region

Part = tuple[str, tuple[int, ...]]
Images = Mapping[View, NDArray[np.float32]]
Tables = dict[str, NDArray[np.float64]]
LOWEST, HIGHEST = 0.05, 8.0
ORGANS = ("kidney", "bladder")


def nodes_of(table: NDArray[np.float64]) -> Iterator[tuple[tuple[int, ...], NDArray[np.float64]]]:
    """Every node of a table, with a table that is 1 there and 0 elsewhere."""
    for node in np.ndindex(table.shape):
        one = np.zeros(table.shape)
        one[node] = 1
        yield node, one


def bone_parts(
    anatomy: Anatomy, tables: Tables
) -> Iterator[tuple[Part, NDArray[np.intp], NDArray[np.float32]]]:
    """Samples of each node of the bones' tables, and their weights."""
    skeleton = anatomy.skeleton
    regions = {name: [r for r in skeleton.regions if group_of_region(r) == name] for name in tables}
    for group, members in regions.items():
        for node, one in nodes_of(tables[group]) if members else ():
            weights = [levels.inside_bone(skeleton, region, one) for region in members]
            indices = [skeleton.members(region)[weight > 0]
                       for region, weight in zip(members, weights, strict=True)]  # fmt: skip
            yield (
                (group, node),
                np.concatenate(indices),
                np.concatenate([weight[weight > 0] for weight in weights]),
            )


def projections(seed: int, tables: Tables) -> tuple[dict[Part, Map], Map]:
    """The share of each part in one patient's prepared scan, squared, and the whole of it."""
    rng = np.random.default_rng([99, seed])
    anatomy = draw_anatomy(rng, Population(anatomy=2))
    camera = set_up_camera(camera_named(CAMERAS[seed % len(CAMERAS)]), rng)
    tracer = simulation._draw_tracer(
        anatomy, deepcopy(rng), positive=False, lesions=None, disease=Disease()
    )
    simulated = simulate_scan(anatomy, camera, rng, positive=False, scan_id=f"sim-{seed}")
    projector, preprocessing = simulated.projector, preprocessing_named("body-root")
    extents = preprocessing.framing.extents(simulated.scan)
    size = {"rows": preprocessing.rows, "columns": preprocessing.columns}
    primary = simulation._primary_photons(projector, anatomy, tracer, None)
    whole = {view: projector.with_scatter(image, view) for view, image in primary.items()}
    scale = {}
    for view, image in simulated.scan.images():
        framed = resampled(image, extents[view], **size)
        values = preprocessing.intensity.normalised(framed)
        at = np.unravel_index(np.argmax(np.where(values < 1, values, 0)), values.shape)
        brightest = float(framed[at] / values[at] ** 2)
        scale[view] = float(simulated.means[view].sum() / whole[view].sum()) / brightest

    def reduced(images: Images) -> Map:
        halves = [resampled(images[view] * np.float32(scale[view]), extents[view], **size)
                  for view in View]  # fmt: skip
        step = preprocessing.rows // SIDE
        both = np.concatenate(halves, axis=1)
        return np.asarray(both.reshape(SIDE, step, SIDE, step).mean(axis=(1, 3)), np.float32)

    def seen(positions: NDArray[np.float32], activity: NDArray[np.float32]) -> Map:
        images = {view: np.zeros((camera.rows, camera.columns), np.float32) for view in View}
        for view, part in projector.project(positions, activity).items():
            images[view][part.window] += part.image
        return reduced({view: projector.with_scatter(image, view)
                        for view, image in images.items()})  # fmt: skip

    found: dict[Part, Map] = {}
    for part, indices, weights in bone_parts(anatomy, tables):
        if len(indices):  # no sample of some bones lies near some nodes
            activity = tracer.normal[indices] * weights
            found[part] = seen(anatomy.positions_mm[indices], activity)
    found |= tissue_parts(projector, anatomy, tracer.tissue, tables["tissue"], reduced)
    for cause in ORGANS:
        foci = [focus for focus in tracer.organs if focus.cause == cause]
        if foci:
            found[cause, ()] = seen(np.concatenate([focus.positions_mm for focus in foci]),
                                    np.concatenate([focus.activity for focus in foci]))  # fmt: skip
    return found, reduced(whole)


def tissue_parts(
    projector: Projector,
    anatomy: Anatomy,
    concentration: float,
    table: NDArray[np.float64],
    reduced: object,
) -> dict[Part, Map]:
    """The share of soft tissue at each node."""
    body = projector.body
    x, _, z = (body.origin_mm[axis] + (np.arange(size) + 0.5) * CELL_MM
               for axis, size in enumerate(body.tissue.shape))  # fmt: skip
    factor = levels.tissue_levels(anatomy.landmarks, x, z)
    found = {}
    for node, one in nodes_of(table):
        share = levels.tissue_levels(anatomy.landmarks, x, z, table=one * table) / factor
        projector.body = replace(body, uptake=body.uptake * share)
        images = projector.project_tissue(concentration)
        found["tissue", node] = reduced(  # type: ignore[operator]
            {view: projector.with_scatter(image, view) for view, image in images.items()}
        )
    projector.body = body
    return found


def solved(
    parts: Mapping[Part, Map], whole: Map, target: Map, inside: NDArray[np.bool_], pull: float
) -> dict[Part, float]:
    """What each part's present factor is to be multiplied by."""
    names = sorted(parts)
    weight = 1 / (2 * np.sqrt(target) + 0.15)  # of a square, to count as the map itself does
    rest = np.maximum(whole - sum(parts.values()), 0)
    matrix = np.stack([(parts[name] * weight)[inside] for name in names], axis=1)
    wanted = ((target - rest) * weight)[inside]
    strength = pull * 0.02 * np.sqrt(inside.sum())
    rows, values = [strength * np.eye(len(names))], [np.full(len(names), strength)]
    for number, (table, node) in enumerate(names):
        for axis in range(len(node)):
            after = (table, tuple(n + (a == axis) for a, n in enumerate(node)))
            if after in parts:
                row = np.zeros((1, len(names)))
                row[0, number], row[0, names.index(after)] = 2 * strength, -2 * strength
                rows.append(row)
                values.append(np.zeros(1))
    result = lsq_linear(
        np.vstack([matrix, *rows]), np.concatenate([wanted, *values]), bounds=(LOWEST, HIGHEST)
    )
    return dict(zip(names, map(float, result.x), strict=True))


def main() -> None:
    """Fit one step and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("maps", type=Path)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--pull", type=float, default=0.02)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("uptake_levels.json"))
    args = parser.parse_args()
    with np.load(args.maps) as stored:
        mean, sd = (stored[f"real_{name}"].astype(np.float32) for name in ("mean", "sd"))
    text = resources.files("bonescint.simulate").joinpath("uptake_levels.json").read_text("utf-8")
    tables = {name: np.array(table) for name, table in json.loads(text).items()}
    parts: dict[Part, Map] = {}
    whole = np.zeros((SIDE, SIDE), np.float32)
    with ProcessPoolExecutor(args.workers) as pool:
        for found, total in pool.map(projections, range(args.count), [tables] * args.count):
            whole += np.minimum(total, 1) / args.count
            for part, image in found.items():
                parts[part] = parts.get(part, np.float32(0)) + image / args.count
    inside = np.maximum(mean, np.sqrt(whole)) > INSIDE
    factors = solved(parts, whole, mean**2 + sd**2, inside, args.pull)
    for (table, node), factor in factors.items():
        tables[table][node] = round(float(tables[table][node]) * factor, 2)
    lines = [f'"{name}":{json.dumps(table.tolist())}' for name, table in tables.items()]
    args.out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(factors)} factors, of {args.count} patients; written to {args.out}")


if __name__ == "__main__":
    main()
