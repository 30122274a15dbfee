"""Trains the network that says what a focus is, on simulated scans with their truth.

    python benchmarks/focus_network.py normal COHORT            # usual uptake of normal scans
    CANDIDATES="python benchmarks/focus_network.py candidates"
    $CANDIDATES AB V.npz --split validation --negatives 60
    $CANDIDATES AB 1.npz --negatives 190
    $CANDIDATES AB 2.npz --positives 120 --negatives 40 --skip 190 --thinned --seed 2
    $CANDIDATES AB 3.npz --positives 0 --skip 190 --having "Paget's disease" --seed 3
    $CANDIDATES DE 4.npz --split test --positives 0 --having "Paget's disease" --seed 4
    $CANDIDATES DE 5.npz --split test --positives 110 --negatives 15 --seed 5
    python benchmarks/focus_network.py train V.npz 1.npz 2.npz 3.npz 4.npz 5.npz

AB is a cohort of the protocol ibrahim2023, DE of the protocol development, both of seed 1. These
commands made the network that is shipped: about 10 and 6 minutes of one core.

COHORT is what `bonescint simulate cohort` wrote. Only its centres A, B, D and E are used: C is kept
for `benchmarks/quantify.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from scipy import ndimage
from sklearn.metrics import roc_auc_score
from torch import nn

from bonescint import __version__
from bonescint.classify.classify import model_folder
from bonescint.cohort import read_manifest
from bonescint.dicom import read
from bonescint.model import Classifier
from bonescint.quantify import body_regions
from bonescint.quantify.bone_atlas import bone_atlas
from bonescint.quantify.candidates import SMOOTHING_MM, FocusInView, usual_uptake
from bonescint.quantify.foci import matched_candidates
from bonescint.quantify.focus_network import FOCUS_FINDINGS, PROPERTIES, SIZE, USUAL, FocusNetwork
from bonescint.scan import Case, Focus, FocusKind, Scan, SiteGroup, UptakeSite, View
from bonescint.scan.lesions import lesions_by_description, numbered_areas
from bonescint.simulate.reference_skeleton import reference_skeleton

SCALE = 36.0
"""Patches are stored as whole numbers: 36 for a logarithm of 1."""
USUAL_KEPT = 14
"""Candidates without any finding that are kept of each scan; their weight stands for the rest."""
LARGEST_LOG_RATIO = 1.5
NETWORK = Path("src/bonescint/quantify/focus_network.onnx")
NORMAL = Path("src/bonescint/quantify/normal_uptake.json")
MOST = 1_000_000


class TrueLesions:
    """Metastases and mimics of a scan, numbered, with the area of each in each view."""

    def __init__(self, stored: dict, shape: tuple[int, int]) -> None:
        content = json.loads(str(stored["json"]))
        foci = [Focus(**{**entry, "view": View(entry["view"])}) for entry in content["foci"]]
        numbers = np.array(lesions_by_description(foci), dtype=int)
        self.kind, self.noise, self.contrast, self.cause, self.described = {}, {}, {}, {}, {}
        self.centres = []
        for number, focus in zip(numbers.tolist(), foci, strict=True):
            self.kind[number] = FocusKind(focus.kind)
            self.contrast[number] = focus.contrast or 0.0
            self.cause[number] = focus.cause
            self.described[number] = (focus.region, focus.cause, focus.radius_mm, focus.contrast)
            self.centres.append((number, focus.view, round(focus.row), round(focus.column)))
            self.noise[number] = max(self.noise.get(number, 0.0), focus.contrast_to_noise or 0.0)
        self.areas = {}
        for view in View:
            area = np.zeros(shape, np.intp)
            for kind, name in ((FocusKind.MIMIC, "mimics"), (FocusKind.METASTASIS, "mask")):
                mine = [n for n, f in enumerate(foci) if f.view is view and f.kind == kind]
                centres = np.array([(foci[n].row, foci[n].column) for n in mine]).reshape(-1, 2)
                mask = stored[f"{name}_{view.value}"]
                if len(mine):
                    part = numbered_areas(mask, centres, numbers[mine], (1.0, 1.0))
                    area[part > 0] = part[part > 0]
            self.areas[view] = area

    def at(self, view: View, row: int, column: int, near: int = 5) -> int:
        """The lesion at a place, or the nearest within some pixels; 0 for none."""
        area = self.areas[view]
        top, left = max(0, row - near), max(0, column - near)
        part = area[top : row + near + 1, left : column + near + 1]
        rows, columns = np.nonzero(part)
        if not rows.size:
            return 0
        far = (rows + top - row) ** 2 + (columns + left - column) ** 2
        return int(part[rows[far.argmin()], columns[far.argmin()]])

    def enclosed(self, foci) -> set[int]:
        """The lesions whose centre lies in an outline."""
        found = set()
        for shown in foci:
            rows, columns = shown.mask.shape
            for number, view, row, column in self.centres:
                down, across = row - shown.top, column - shown.left
                inside = view is shown.view and 0 <= down < rows and 0 <= across < columns
                if inside and shown.mask[down, across]:
                    found.add(number)
        return found


def chosen(
    cohort: Path, split: str, positives: int, negatives: int, skip: int, having: str = ""
) -> list[Case]:
    """Cases of a split in an order that does not depend on their centre.

    Negative ones only where their truth has a cause, if one is given: rare ones need more scans.
    """
    cases = [
        case
        for case in read_manifest(cohort / "manifest.csv").cases
        if case.centre in ("A", "B", "D", "E") and case.split == split
    ]
    cases.sort(key=lambda case: hashlib.sha256(case.scan_id.encode()).hexdigest())
    ill = [case for case in cases if case.positive][:positives]
    well = [case for case in cases if not case.positive][skip:]
    if having:
        well = [case for case in well if having in _causes(cohort, case)]
    return ill + well[:negatives]


def _causes(cohort: Path, case: Case) -> set[str]:
    stored = np.load(cohort / "truth" / f"{Path(case.file).stem}.npz")
    return {focus["cause"] for focus in json.loads(str(stored["json"]))["foci"]}


def normal(cohort: Path, count: int) -> None:
    """Usual uptake of each bone in normal scans, against the median of all bones."""
    rows: dict[str, list[np.ndarray]] = {view.value: [] for view in View}
    names = bone_atlas().bones
    for case in chosen(cohort, "train", 0, count, 0):
        scan = read(cohort / case.file)
        body = body_regions(scan)
        for view, image in scan.images():
            sigma = [SMOOTHING_MM / size for size in body.registration.pixel_mm]
            usual = usual_uptake(
                ndimage.gaussian_filter(image, sigma), body.bones[view], body.bone_names
            )[1:]
            area = np.bincount(body.bones[view].ravel(), minlength=len(names) + 1)[1:]
            rows[view.value].append(np.where((area >= 20) & (usual > 0), usual, np.nan))
    found = {}
    for view, of in rows.items():
        log = np.log(np.array(of))
        middle = np.nanmedian(log, axis=0)
        for _ in range(8):
            middle = np.nanmedian(log - np.nanmedian(log - middle, axis=1)[:, None], axis=0)
        middle -= np.median(middle)
        low = np.nanpercentile(log - middle, 20, axis=1) - np.nanmedian(log - middle, axis=1)
        print(f"{view}: the fifth of coldest bones lies {low.mean():.3f} below the level")
        found[view] = {name: round(float(x), 2) for name, x in zip(names, middle, strict=True)}
    source = f"benchmarks/focus_network.py normal, {count} negative simulated scans"
    NORMAL.write_text(json.dumps({"source": source, "logarithms": found}, indent=1) + "\n")


class Labels:
    """What each candidate of a scan truly is."""

    def __init__(self, stored: dict, shape: tuple[int, int]) -> None:
        self.truth = TrueLesions(stored, shape)
        content = json.loads(str(stored["json"]))
        self.organs = {view: stored[f"organs_{view.value}"] for view in View}
        self.organ_foci = [focus for focus in content["foci"] if focus["kind"] == "organ"]
        self.volume = _volumes(content["parameters"])

    def of(self, group: tuple[FocusInView, ...]) -> tuple[int, float]:
        """Number of the finding, and share of the skeleton's volume of the metastases in it."""
        hit = {self.truth.at(f.view, f.row, f.column) for f in group} - {0}
        ill = {n for n in hit if self.truth.kind[n] is FocusKind.METASTASIS}
        hot = {n for n in ill if self.truth.contrast[n] > 1}
        if hot:
            held = hot | {
                n for n in self.truth.enclosed(group) if self.truth.kind[n] is FocusKind.METASTASIS
            }
            return 0, sum(self.volume.get(self.truth.described[n], 0.0) for n in held)
        for number in hit - ill:
            site = UptakeSite.named(self.truth.cause[number]).group
            if site.value in FOCUS_FINDINGS:
                return FOCUS_FINDINGS.index(site.value), 0.0
        for focus in group:
            if self.organs[focus.view][focus.row, focus.column]:
                near = min(
                    (one for one in self.organ_foci if one["view"] == focus.view.value),
                    key=lambda one: np.hypot(one["row"] - focus.row, one["column"] - focus.column),
                    default=None,
                )
                site = UptakeSite.named(near["cause"]).group if near else SiteGroup.SOFT_TISSUE
                return FOCUS_FINDINGS.index(site.value), 0.0
        return FOCUS_FINDINGS.index(USUAL), 0.0


def _volumes(parameters: dict) -> dict[tuple, float]:
    """Share of the skeleton's volume of each metastasis, from the activity that it adds."""
    total = float(reference_skeleton().volume.sum())
    found = {}
    for one in parameters["metastases"]:
        if one["contrast"] <= 1:
            continue
        local = max(parameters["bone_uptake"][one["region"]], 0.45)
        volume = one["activity"] / ((one["contrast"] - 1) * local)
        key = (one["region"], one["cause"], one["radius_mm"], one["contrast"])
        found[key] = max(volume, 0.0) / total
    return found


def thinned(scan: Scan, rng: np.random.Generator) -> Scan:
    """A scan with a fifth to four fifths of its counts."""
    share = float(np.exp(rng.uniform(np.log(0.2), np.log(0.8))))
    images = {
        view.value: rng.binomial(np.rint(image).astype(np.int64), share).astype(np.float32)
        for view, image in scan.images()
    }
    return scan.with_views(step="thinned", **images)


def candidates(cohort: Path, out: Path, cases: list[Case], thin: bool, seed: int) -> None:
    """Patches, numbers and truth of the candidates of scans."""
    rng = np.random.default_rng(seed)
    fine, coarse, numbers, labels, volumes, weights, scans = [], [], [], [], [], [], []
    began = time.process_time()
    with Classifier(model_folder(None), threads=1) as model:
        for place, case in enumerate(cases):
            scan = read(cohort / case.file)
            if thin:
                scan = thinned(scan, rng)
            prediction = model.predict(scan)
            groups, inputs = matched_candidates(scan, prediction, body_regions(scan))
            truth = Labels(
                dict(np.load(cohort / "truth" / f"{Path(case.file).stem}.npz")), scan.shape
            )
            said = [truth.of(group) for group in groups]
            label = np.array([one for one, _ in said], dtype=np.int8)
            plain = np.flatnonzero(label == FOCUS_FINDINGS.index(USUAL))
            some = rng.permutation(plain)[:USUAL_KEPT]
            kept = np.sort(
                np.concatenate([np.flatnonzero(label != FOCUS_FINDINGS.index(USUAL)), some])
            )
            weight = np.ones(len(label), np.float32)
            weight[some] = len(plain) / max(len(some), 1)
            for of, part in ((fine, inputs.fine), (coarse, inputs.coarse)):
                of.append(np.rint(np.clip(part[kept] * SCALE, -127, 127)).astype(np.int8))
            numbers.append(inputs.numbers[kept])
            labels.append(label[kept])
            volumes.append(np.array([one for _, one in said], np.float32)[kept])
            weights.append(weight[kept])
            scans.append(np.full(len(kept), place, np.int32))
    np.savez(
        out,
        fine=np.concatenate(fine),
        coarse=np.concatenate(coarse),
        numbers=np.concatenate(numbers),
        label=np.concatenate(labels),
        volume=np.concatenate(volumes),
        weight=np.concatenate(weights),
        scan=np.concatenate(scans),
        ids=np.array([case.scan_id for case in cases]),
    )
    seconds = time.process_time() - began
    print(f"{len(cases)} scans, {sum(map(len, labels))} candidates kept, {seconds:.0f} s of CPU")


class Data:
    """Stored candidates of one or more files."""

    def __init__(self, paths: list[Path]) -> None:
        stored = [np.load(path) for path in paths]
        self.fine, self.coarse, self.numbers, self.label, self.volume, self.weight = (
            np.concatenate([of[name] for of in stored])
            for name in ("fine", "coarse", "numbers", "label", "volume", "weight")
        )
        self.ids = np.concatenate([of["ids"] for of in stored])
        # What is enclosed, the last of the numbers, as focus_network scales it.
        enclosed = (self.numbers[:, -1] - 2) * 3
        off = np.log(np.maximum(self.volume, 1e-9)) - enclosed
        # Of diffuse disease a focus is only a small part: its volume says nothing of the focus.
        self.measured = (self.volume > 0) & (np.abs(off) < LARGEST_LOG_RATIO)
        self.log_ratio = np.where(self.measured, off, 0).astype(np.float32)

    def batch(self, rows: np.ndarray) -> dict[str, torch.Tensor]:
        """Some candidates as tensors."""
        return {
            "fine": torch.from_numpy(self.fine[rows].astype(np.float32) / SCALE),
            "coarse": torch.from_numpy(self.coarse[rows].astype(np.float32) / SCALE),
            "numbers": torch.from_numpy(self.numbers[rows]),
            "label": torch.from_numpy(self.label[rows].astype(np.int64)),
            "weight": torch.from_numpy(self.weight[rows]),
            "measured": torch.from_numpy(self.measured[rows]),
            "log_ratio": torch.from_numpy(self.log_ratio[rows]),
        }


class Network(nn.Module):
    """Two patches through convolutions, joined with the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = _tower(12, (20, 28, 40))
        self.coarse = _tower(6, (14, 20, 28))
        self.numbers = nn.Sequential(nn.Linear(39, 32), nn.ReLU())
        edge = SIZE // 8
        self.joint = nn.Sequential(
            nn.Dropout(0.2), nn.Linear((40 + 28) * edge * edge + 32, 40), nn.ReLU()
        )
        self.finding, self.ratio = nn.Linear(40, len(FOCUS_FINDINGS)), nn.Linear(40, 1)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor, numbers: torch.Tensor):
        """Logits of the findings, and the logarithm of the ratio of volumes."""
        seen = [self.fine(fine), self.coarse(coarse), self.numbers(numbers)]
        joint = self.joint(torch.cat(seen, dim=1))
        return self.finding(joint), self.ratio(joint)


class Exported(nn.Module):
    """The network with probabilities, as it is shipped."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor, numbers: torch.Tensor):
        """Probabilities of the findings, and the logarithm of the ratio of volumes."""
        logits, ratio = self.network(fine, coarse, numbers)
        return logits.softmax(dim=1), ratio


def _tower(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        channels = width
    return nn.Sequential(*layers, nn.Flatten())


SETTINGS = {
    "epochs": 12,
    "batch": 256,
    "learning_rate": 3e-3,
    "weight_decay": 0.02,
    "ratio_weight": 0.1,
    "gain_sd": 0.08,
    "noise_sd": 0.05,
    "measure_sd": 0.05,
    "cell_sd": 0.15,
    "shift": 1,
    "one_view_share": 0.08,
    "no_counts_share": 0.05,
}
_VIEW, _PER_VIEW = 22, 7  # where the numbers of each view begin, and how many there are


def augmented(batch: dict[str, torch.Tensor], rng: np.random.Generator) -> None:
    """Mirror, shift, gain, noise; a view or the counts left out; all in place."""
    fine, coarse, numbers = batch["fine"], batch["coarse"], batch["numbers"]
    count = len(fine)

    def normal(*shape: int) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))

    turned = torch.from_numpy(rng.random(count) < 0.5)
    fine[turned], coarse[turned] = fine[turned].flip(-1), coarse[turned].flip(-1)
    down, across = (int(n) for n in rng.integers(-SETTINGS["shift"], SETTINGS["shift"] + 1, 2))
    fine[:] = fine.roll((down, across), (2, 3))
    for view in (0, 1):
        gain = SETTINGS["gain_sd"] * normal(count, 1, 1)
        fine[:, 5 * view] += gain
        coarse[:, 3 * view] += gain
        for channel in (5 * view, 5 * view + 1):
            fine[:, channel] += SETTINGS["noise_sd"] * normal(count, SIZE, SIZE)
        start = _VIEW + _PER_VIEW * view
        shown = numbers[:, start + 1]
        numbers[:, start + 2 : start + 6] += (
            SETTINGS["measure_sd"] * normal(count, 4) * shown[:, None]
        )
        numbers[:, start + 6] += SETTINGS["cell_sd"] * normal(count) * shown
        other = numbers[:, _VIEW + _PER_VIEW * (1 - view) + 1]
        gone = torch.from_numpy(rng.random(count) < SETTINGS["one_view_share"]) & (other > 0)
        fine[gone, 5 * view : 5 * view + 5] = 0
        fine[gone, 10 + view] = 0
        coarse[gone, 3 * view : 3 * view + 3] = 0
        numbers[gone, start : start + _PER_VIEW] = 0
    picture = torch.from_numpy(rng.random(count) < SETTINGS["no_counts_share"])
    for column in (_VIEW + 3, _VIEW + 4, _VIEW + _PER_VIEW + 3, _VIEW + _PER_VIEW + 4, 36):
        numbers[picture, column] = 0


def train(validation: Path, paths: list[Path], seed: int) -> None:
    """Train on all files but the first, and write the network that is shipped."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    data, held = Data(paths), Data([validation])
    network = Network()
    steps = SETTINGS["epochs"] * (len(data.label) // SETTINGS["batch"])
    optimiser = torch.optim.AdamW(
        network.parameters(),
        lr=SETTINGS["learning_rate"],
        weight_decay=SETTINGS["weight_decay"],
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, SETTINGS["learning_rate"], steps)
    began = time.process_time()
    for epoch in range(SETTINGS["epochs"]):
        network.train()
        order = rng.permutation(len(data.label))
        for start in range(0, len(order) - SETTINGS["batch"] + 1, SETTINGS["batch"]):
            batch = data.batch(order[start : start + SETTINGS["batch"]])
            augmented(batch, rng)
            loss = _loss(network, batch)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(
            f"epoch {epoch}, {time.process_time() - began:.0f} s", _judge(network, held), flush=True
        )
    properties = {
        "notice": "Research use only; not a medical device.",
        "trained_on": "simulated scans only",
        "findings": FOCUS_FINDINGS,
        "settings": SETTINGS,
        "seed": seed,
        "scans": len(data.ids),
        "candidates": len(data.label),
        "scans_sha256": hashlib.sha256("".join(sorted(data.ids)).encode()).hexdigest(),
        "model": model_folder(None).model_id,
        "validation": _judge(network, held),
        "versions": {"bonescint": __version__, "torch": torch.__version__},
    }
    content = exported(network, properties)
    NETWORK.write_bytes(content)
    answers = FocusNetwork(content)
    print(f"{NETWORK}: {len(content)} bytes, {answers.properties['validation']}")


def _loss(network: Network, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    logits, ratio = network(batch["fine"], batch["coarse"], batch["numbers"])
    each = nn.functional.cross_entropy(logits, batch["label"], reduction="none")
    loss = (each * batch["weight"]).sum() / batch["weight"].sum()
    there = batch["measured"]
    if there.any():
        off = nn.functional.smooth_l1_loss(ratio[there, 0], batch["log_ratio"][there])
        loss = loss + SETTINGS["ratio_weight"] * off
    return loss


def _judge(network: Network, held: Data) -> dict[str, float]:
    """Areas under the curve, cross entropy and errors of volume, on candidates held out."""
    network.eval()
    batch = held.batch(np.arange(len(held.label)))
    with torch.no_grad():
        logits, ratio = network(batch["fine"], batch["coarse"], batch["numbers"])
    said = logits.softmax(dim=1).numpy()
    ill, weight, there = held.label == 0, held.weight, held.measured
    benign = (~ill) & (held.label != FOCUS_FINDINGS.index(USUAL))
    both = ill | benign
    off = held.log_ratio[there] - ratio[there, 0].numpy()
    entropy = -np.log(np.maximum(said[np.arange(len(ill)), held.label], 1e-9)) @ weight
    return {
        "auc": round(float(roc_auc_score(ill, said[:, 0], sample_weight=weight)), 4),
        "auc_benign": round(float(roc_auc_score(ill[both], said[both, 0])), 4),
        "cross_entropy": round(float(entropy / weight.sum()), 4),
        "named_rightly": round(float((said.argmax(axis=1) == held.label)[both].mean()), 3),
        "log_ratio_sd": round(float(off.std()), 3),
        "log_ratio_sd_before": round(float(held.log_ratio[there].std()), 3),
    }


def exported(network: Network, properties: dict) -> bytes:
    """The network as ONNX, its larger weights in float16."""
    shapes = {"fine": (12, SIZE, SIZE), "coarse": (6, SIZE, SIZE), "numbers": (39,)}
    outputs = ["probabilities", "log_ratios"]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        file = Path(folder) / "network.onnx"
        torch.onnx.export(
            Exported(network).eval(),
            tuple(torch.zeros(1, *shape) for shape in shapes.values()),
            file,
            input_names=list(shapes),
            output_names=outputs,
            dynamic_axes={name: {0: "candidates"} for name in (*shapes, *outputs)},
            opset_version=17,
            dynamo=False,
        )
        model = onnx.load(file)
    for stored in model.graph.initializer:
        values = onnx.numpy_helper.to_array(stored)
        if values.dtype == np.float32 and values.size > 256:
            name = stored.name
            half = onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}_half")
            stored.CopyFrom(half)
            cast = onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)
    onnx.helper.set_model_props(model, {PROPERTIES: json.dumps(properties)})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("normal", "candidates", "train"))
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--split", default="train")
    parser.add_argument("--positives", type=int, default=MOST)
    parser.add_argument("--negatives", type=int, default=MOST)
    parser.add_argument("--skip", type=int, default=0, help="negatives to leave out first")
    parser.add_argument("--having", default="", help="cause that negative scans must have")
    parser.add_argument("--thinned", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "normal":
        normal(given.files[0], 80)
    elif given.what == "candidates":
        cohort, out = given.files
        cases = chosen(
            cohort, given.split, given.positives, given.negatives, given.skip, given.having
        )
        candidates(cohort, out, cases, given.thinned, given.seed)
    else:
        train(given.files[0], given.files[1:], given.seed)


if __name__ == "__main__":
    main()
