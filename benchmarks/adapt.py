"""What `bonescint model adapt` promises, counted.

    python benchmarks/adapt.py guarantee                # departments of 20, 60, 200 normals
    python benchmarks/adapt.py doubts COHORT            # false alarms, and one in five ill
    python benchmarks/adapt.py speed COHORT --count 60  # the whole command, threshold only
    python benchmarks/adapt.py place COHORT --normals SCANS  # some of SCANS adapt, the others judge
    python benchmarks/adapt.py learn COHORT --normals SCANS --epochs 4 --run RUN  # and learn first

COHORT is a simulated cohort that the model was not trained on. SCANS are scans without disease of
another place; simulated metastases of COHORT are transplanted to those that judge.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import gumbel_r

from bonescint.cohort import Manifest, read_manifest, truth_of
from bonescint.dicom import discover, read, read_study
from bonescint.evaluate.conformal import conformal_threshold, high_scores
from bonescint.experiment.adaptation.adapt import adapt_model
from bonescint.model import Classifier, Engine, ModelFolder, features_of, margin_of
from bonescint.model.ood import adapted_to
from bonescint.prepare import PreparedScan, prepare
from bonescint.scan import Case, PixelUnit, Scan

DEPARTMENTS = 1000
Scores = NDArray[np.float64]


def guarantee() -> None:
    """Departments draw normals from a known distribution, so that specificity is exact."""
    print("asked  normals  stated mean  mean (standard error)  stated 5 %  below it  worst")
    for asked in (0.8, 0.9, 0.95):
        for count in (20, 60, 200):
            rng = np.random.default_rng([count, round(1000 * asked)])
            drawn = gumbel_r.rvs(size=(DEPARTMENTS, count), random_state=rng)
            found = [conformal_threshold(row, asked) for row in drawn]
            brought = gumbel_r.cdf([one.score for one in found])
            fifth = found[0].specificity_quantile(0.05)
            error = brought.std() / np.sqrt(DEPARTMENTS)
            print(
                f"{asked:5.2f}  {count:7d}  {1 - found[0].false_alarm_rate:11.4f}  "
                f"{brought.mean():.4f} ({error:.4f})        {fifth:10.4f}  "
                f"{100 * np.mean(brought < fifth):6.1f} %  {brought.min():.3f}"
            )


def margins_of(classifier: Classifier, scans: Iterator[Scan]) -> Scores:
    """Scores before calibration."""
    return np.array(list(classifier.margins(classifier.prepare(scan) for scan in scans)))


def scans_of(manifest: Manifest, *, positive: bool) -> Iterator[Scan]:
    """Scans of one class."""
    return (read(manifest.path(case)) for case in manifest.cases if case.positive is positive)


def doubts(cohort: Path, model: ModelFolder) -> None:
    """Folders of normals drawn from a cohort's scores: alone, and with one in five ill."""
    manifest = read_manifest(cohort)
    with Classifier(model) as classifier:
        line = model.card.calibration
        pools = [
            line.intercept + line.slope * margins_of(classifier, scans_of(manifest, positive=ill))
            for ill in (False, True)
        ]
    well, ill = pools
    obvious = ill[ill >= np.median(ill)]
    rng = np.random.default_rng(1)
    print(f"{well.size} normal, {ill.size} ill; obvious: logit from {obvious.min():.2f}")
    print("normals  false alarms  noticed: obvious disease in 1 of 5  noticed: any disease")
    for count in (20, 40, 60, 100, 200):
        some = count // 5
        noticed = [
            np.mean(
                [
                    high_scores(
                        np.concatenate([rng.choice(well, count - more), rng.choice(pool, more)])
                    ).suspicious
                    for _ in range(2000)
                ]
            )
            for pool, more in ((well, some), (obvious, some), (ill, some))
        ]
        print(f"{count:7d}  " + "  ".join(f"{100 * share:.1f} %" for share in noticed))


def speed(cohort: Path, model: ModelFolder, count: int) -> None:
    """The whole command on normals of a cohort."""
    manifest = read_manifest(cohort)
    chosen = [case for case in manifest.cases if not case.positive][:count]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "normals"
        folder.mkdir()
        for case in chosen:
            (folder / Path(case.file).name).symlink_to(manifest.path(case).resolve())
        began = time.perf_counter()
        adapt_model(model.path, Path(place) / "ours", normals=folder)
        took = time.perf_counter() - began
    most = max(
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(f"{len(chosen)} normals in {took:.1f} s, largest process {most / 1024:.0f} MiB")


def with_disease(
    hosts: list[Scan], cohort: Path, rng: np.random.Generator, count: int
) -> Iterator[tuple[int, Scan]]:
    """Hosts with metastases of a cohort's positive scans, and the host's number."""
    from bonescint.train.sample import TrainingSample
    from bonescint.train.transplant import transplanted

    manifest = read_manifest(cohort)
    donors = [case for case in manifest.cases if case.positive]
    made = 0
    while made < count:
        number = int(rng.integers(len(hosts)))
        case: Case = donors[int(rng.integers(len(donors)))]
        truth = truth_of(manifest, case)
        donor = TrainingSample(
            scan=read(manifest.path(case)),
            positive=True,
            masks=None if truth is None else truth.masks,
        )
        host = TrainingSample(scan=replace(hosts[number], unit=PixelUnit.COUNTS), positive=False)
        new = transplanted(donor, host, rng)
        if new.scan.scan_id == host.scan.scan_id:
            made += 1
            yield number, new.scan


def place(cohort: Path, model: ModelFolder, normals: Path, learnt: int, draws: int) -> None:
    """Some scans adapt, the others judge, over many draws; the ill ones by their hosts."""
    rng = np.random.default_rng(1)
    scans = [read_study(study) for study in discover([normals]).studies]
    with Classifier(model) as classifier:
        prepared: list[PreparedScan] = [classifier.prepare(scan) for scan in scans]
        well = np.array(list(classifier.margins(prepared)))
        hosts, changed = [], []
        for number, scan in with_disease(scans, cohort, rng, 4 * len(scans)):
            hosts.append(number)
            changed.append(classifier.prepare(scan))
        ill, host = np.array(list(classifier.margins(changed))), np.array(hosts)
    features = [features_of(one) for one in prepared]
    of_ill = [features_of(one) for one in changed]
    detector = model.ood
    if detector is not None:
        before = [np.mean([detector.score(f) > detector.threshold for f in part])
                  for part in (features, of_ill)]  # fmt: skip
        print(f"unlike before: {before[0]:.2f} of normals, {before[1]:.2f} of ill")
    area = np.mean(ill[:, None] > well) + 0.5 * np.mean(ill[:, None] == well)
    print(f"{well.size} normals, {ill.size} ill, area under the ROC curve {area:.3f}")
    for asked in (0.8, 0.9):
        rows = []
        for _ in range(draws):
            order = rng.permutation(well.size)
            mine, others = order[:learnt], order[learnt:]
            found = conformal_threshold(well[mine], asked)
            apart = np.isin(host, others)
            row = [np.mean(well[others] <= found.score), np.mean(ill[apart] > found.score)]
            if detector is not None:
                moved = adapted_to(detector, [features[one] for one in mine])
                row += [
                    np.mean([moved.score(features[one]) > moved.threshold for one in others]),
                    np.mean([moved.score(of_ill[one]) > moved.threshold
                             for one in np.flatnonzero(apart)]),
                ]  # fmt: skip
            rows.append(row)
        mean = np.mean(rows, axis=0)
        print(
            f"asked {asked}: specificity {mean[0]:.3f}, sensitivity {mean[1]:.3f}"
            + (f", unlike {mean[2]:.3f} of normals, {mean[3]:.3f} of ill" if detector else "")
        )


def learn(cohort: Path, model: ModelFolder, given: argparse.Namespace) -> None:
    """A network learns from some scans and COHORT; the others, and ill ones made of them, judge."""
    from bonescint.train.adapting import adapting_settings, learn_from_normals
    from bonescint.train.weights import load_weights

    rng = np.random.default_rng(1)
    studies = discover([given.normals]).studies
    order = rng.permutation(len(studies))
    settings = adapting_settings(model, load_weights(model.path), given.epochs)
    if given.steps:
        settings = replace(settings, steps_per_epoch=given.steps)
    began = time.perf_counter()
    learnt = learn_from_normals(
        model, [studies[one] for one in order[: given.learnt]], read_manifest(cohort), given.run,
        epochs=given.epochs, settings=settings,
    )  # fmt: skip
    areas = learnt.areas
    print(
        f"{learnt.epochs} epochs of {settings.steps_per_epoch} steps in "
        f"{time.perf_counter() - began:.0f} s; area on {learnt.cases.count} simulated validation "
        f"scans {areas.second:.4f} before, {areas.first:.4f} after; kept: {learnt.kept}"
    )
    hosts = [read_study(studies[one]) for one in order[given.learnt :]]
    preprocessing = model.card.preprocessing
    well = [prepare(scan, preprocessing) for scan in hosts]
    ill = [
        prepare(scan, preprocessing) for _, scan in with_disease(hosts, cohort, rng, 3 * len(hosts))
    ]
    for name, graph in (("before", model.onnx_path), ("after", learnt.onnx)):
        with Engine(graph) as engine:
            scores = [
                np.array([margin_of(answer.logits) for answer in engine.run_many(composites)])
                for composites in ((one.composite for one in part) for part in (well, ill))
            ]
        area = np.mean(scores[1][:, None] > scores[0])
        print(
            f"{name}: area {area:.4f} on {len(well)} normals and {len(ill)} ill; normals' scores "
            f"{scores[0].mean():.2f} (SD {scores[0].std():.2f}), ill {scores[1].mean():.2f}"
        )


def main() -> None:
    """Measure one thing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("guarantee", "doubts", "speed", "place", "learn"))
    parser.add_argument("cohort", type=Path, nargs="?")
    parser.add_argument("--model", default="shipped")
    parser.add_argument("--normals", type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--learnt", type=int, default=22)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--steps", type=int, help="of an epoch, in place of the usual ones")
    parser.add_argument("--run", type=Path, default=Path("adapt-learn.run"))
    given = parser.parse_args()
    if given.what == "guarantee":
        guarantee()
        return
    model = ModelFolder.load(given.model)
    if given.what == "doubts":
        doubts(given.cohort, model)
    elif given.what == "speed":
        speed(given.cohort, model, given.count)
    elif given.what == "learn":
        learn(given.cohort, model, given)
    else:
        place(given.cohort, model, given.normals, given.learnt, given.draws)


if __name__ == "__main__":
    main()
