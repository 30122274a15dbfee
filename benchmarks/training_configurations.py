"""Training configurations side by side at half resolution: several seeds on one cohort.

    python benchmarks/training_configurations.py --settings ibrahim2023-converging \
        --settings bonescint --seeds 1 2 3 --work cohorts --weights vgg16.safetensors
    python benchmarks/training_configurations.py --learn ours.csv --test theirs.csv \
        --settings compact --work runs
    python benchmarks/training_configurations.py --judge ibrahim2023 --work cohorts

Learns from centres A and B of the protocol `ibrahim2023` and judges on D and E of `development`,
both simulated into the working folder, unless other cohorts are given. Every configuration is
trained with all its epochs at half its own resolution, and judged by the area under the ROC curve
and the pointing game (share of the positive scans whose map's highest value lies on a metastasis,
in either view), exact and within 25 mm. A row is added to `benchmarks/training_configurations.csv`
for each, with hashes of configuration, first weights and cohorts; what is there already is not done
again, so several machines may share the work. A test cohort with scans of centre C adds to
`benchmarks/external-uses.csv`. At the end: mean and range over the seeds. `--judge` trains nothing:
it prints the figures of a finished model, a folder or the name of one that comes with the package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from bonescint.classify.classify import model_folder
from bonescint.cohort import Manifest, read_manifest, read_protocol, simulate_cohort, truth_of
from bonescint.dicom import read
from bonescint.evaluate.localisation import ViewEvidence, localise
from bonescint.experiment.paths import ExternalUse, fingerprint, note_external_use
from bonescint.explain import map_on_grid
from bonescint.model import Classifier, ModelFolder
from bonescint.scan import Prediction, Scan, Split, Truth, View
from bonescint.train import TrainingConfiguration, TrainingStage, read_configuration, train


def halved(
    settings: TrainingConfiguration, *, rows: int, epochs: int | None, seed: int
) -> TrainingConfiguration:
    """The same configuration with all epochs at fewer rows."""
    wanted = settings.epochs if epochs is None else epochs
    return replace(
        settings,
        preprocessing=replace(settings.preprocessing, rows=rows, columns=rows // 2),
        stages=(TrainingStage(epochs=wanted, rows=rows),),
        seed=seed,
    )


def pointing(prediction: Prediction, scan: Scan, truth: Truth) -> tuple[float, float] | None:
    """Whether the highest place of both maps lies on a metastasis, and within 25 mm of one."""
    rows, columns = scan.shape
    views = [
        ViewEvidence(
            values=np.maximum(map_on_grid(shown, scan.shape, rows=rows, columns=columns), 0),
            lesions=truth.masks.get(view, np.zeros(scan.shape)).astype(np.intp),
            pixel_mm=scan.pixel_spacing_mm or (1.0, 1.0),
        )
        for view in View
        if (shown := prediction.activation_map(view)) is not None
    ]
    if not any(view.lesions.any() for view in views):
        return None
    found = localise(views)
    return found.pointing, found.pointing_near


def judged(folder: ModelFolder, cohort: Manifest) -> tuple[float, float, float]:
    """Area under the ROC curve and the pointing game, exact and near, on a cohort."""
    probabilities, hits = [], []
    with Classifier(folder) as classifier:
        for case in cohort.cases:
            scan = read(cohort.path(case))
            prediction = classifier.predict(scan)
            probabilities.append(prediction.mbd_probability)
            truth = truth_of(cohort, case) if case.positive else None
            if truth is not None and (hit := pointing(prediction, scan, truth)) is not None:
                hits.append(hit)
    labels = [case.positive for case in cohort.cases]
    exact, near = np.mean(hits, axis=0) if hits else (np.nan, np.nan)
    return float(roc_auc_score(labels, probabilities)), float(exact), float(near)


def simulated(protocol: str, centres: str, folder: Path) -> Path:
    """Simulate some centres of a protocol, with the seed that it was frozen with; the manifest."""
    part = read_protocol(protocol).of_centres(centres)
    if part.frozen is None:
        raise SystemExit(f"{protocol} is not frozen: its cohorts are no place for comparisons.")
    changed = simulate_cohort(folder, part, seed=part.frozen.seed).changed_centres(part)
    if changed:
        raise SystemExit(f"{folder}: centres {', '.join(changed)} are not the frozen ones.")
    return folder / "manifest.csv"


def centres_of(cohort: Manifest, splits: Sequence[Split]) -> str:
    """The centres that some splits of a cohort have scans of, with blanks between."""
    return " ".join(sorted({case.centre for split in splits for case in cohort.split(split)}))


def settings_hash(settings: TrainingConfiguration) -> str:
    """Of what decides the weights, but for the seed; twelve digits."""
    decides = {
        name: value
        for name, value in settings.to_json().items()
        if name not in ("seed", "loader_workers", "checkpoint_steps")
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]


def work_of(
    configuration: str,
    settings: TrainingConfiguration,
    learn: Path,
    test: Path,
    weights: Path | None,
) -> dict[str, str]:
    """What is to be done, in the columns of the table that tell it from other work."""
    return {
        "configuration": configuration,
        "rows": str(settings.preprocessing.rows),
        "epochs": str(settings.epochs),
        "settings_sha256": settings_hash(settings),
        "weights_sha256": fingerprint(weights)[:12] if weights else "as usual",
        "learnt_from": centres_of(read_manifest(learn), (Split.TRAIN, Split.VALIDATION)),
        "learnt_sha256": fingerprint(learn)[:12],
        "judged_on": centres_of(read_manifest(test), tuple(Split)),
        "judged_sha256": fingerprint(test)[:12],
        "seed": str(settings.seed),
    }


def rows_of(table: Path) -> pd.DataFrame:
    """The table, every column as text; empty where there is none yet."""
    if not table.is_file():
        return pd.DataFrame()
    return pd.read_csv(table, dtype=str, keep_default_na=False)


def is_done(table: Path, work: dict[str, str]) -> bool:
    """Whether the table has a row for it."""
    found = rows_of(table)
    if found.empty:
        return False
    return bool((found[list(work)] == pd.Series(work)).all(axis=1).any())


def summarised(table: Path) -> str:
    """Mean and range over the seeds of what is the same but for them; one line each."""
    found = rows_of(table)
    if found.empty:
        return "Nothing was judged yet."
    lines = []
    same = list(found.columns[: found.columns.get_loc("seed")])
    for _, group in found.groupby(same, sort=False):
        first = group.iloc[0]
        figures = ", ".join(
            f"{words} {_mean_and_range(group[name].astype(float))}"
            for words, name in (
                ("AUC", "roc_auc"),
                ("pointing", "pointing"),
                ("within 25 mm", "pointing_near"),
            )
        )
        lines.append(
            f"{first['configuration']}, {first['rows']} rows, {first['epochs']} epochs on "
            f"{first['learnt_from']}, seeds {' '.join(group['seed'])}, "
            f"judged on {first['judged_on']}: {figures}"
        )
    return "\n".join(lines)


def _mean_and_range(values: pd.Series[float]) -> str:
    return f"{values.mean():.3f} ({values.min():.3f} to {values.max():.3f})"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description="Training configurations at half resolution.")
    parser.add_argument("--learn", type=Path, default=None, help="manifest; A and B if not given")
    parser.add_argument("--test", type=Path, action="append", help="manifest; D and E if not given")
    parser.add_argument("--settings", action="append", default=[])
    parser.add_argument("--judge", help="a finished model, on the test cohorts alone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument(
        "--epochs", type=int, default=None, help="the configuration's own if not given"
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument(
        "--table", type=Path, default=Path("benchmarks/training_configurations.csv")
    )
    parser.add_argument("--external", nargs="*", default=["C"], help="centres whose use is noted")
    parser.add_argument("--external-uses", type=Path, default=Path("benchmarks/external-uses.csv"))
    options = parser.parse_args(arguments)
    for folder_needed in (options.work, options.table.parent):
        folder_needed.mkdir(parents=True, exist_ok=True)
    tests = options.test or [simulated("development", "DE", options.work / "de")]
    if options.judge:
        for test in tests:
            cohort = read_manifest(test)
            if {case.centre for case in cohort.cases} & set(options.external):
                raise SystemExit(f"{test} has external centres: score them in an experiment.")
            area, exact, near = judged(model_folder(options.judge), cohort)
            print(f"{test}: AUC {area:.4f}, pointing {exact:.4f}, within 25 mm {near:.4f}")
        return
    learn = options.learn or simulated("ibrahim2023", "AB", options.work / "ab")
    for seed in options.seeds:
        for name in options.settings:
            configuration = Path(name).stem
            settings = halved(
                read_configuration(name), rows=options.rows, epochs=options.epochs, seed=seed
            )
            work = {
                test: work_of(configuration, settings, learn, test, options.weights)
                for test in tests
            }
            left = [test for test in tests if not is_done(options.table, work[test])]
            if not left:
                continue
            start = time.perf_counter()
            folder = train(
                learn,
                options.work / f"{configuration}-{options.rows}-{seed}",
                settings=settings,
                weights=options.weights,
                cache=options.work / "scans",
                progress=False,
                measure_test=False,
            )
            minutes = (time.perf_counter() - start) / 60
            for test in left:
                cohort = read_manifest(test)
                area, exact, near = judged(folder, cohort)
                row = work[test] | {
                    "roc_auc": f"{area:.4f}",
                    "pointing": f"{exact:.4f}",
                    "pointing_near": f"{near:.4f}",
                    "minutes": f"{minutes:.1f}",
                }
                new = not options.table.is_file()
                pd.DataFrame([row]).to_csv(options.table, mode="a", header=new, index=False)
                scored = sorted({case.centre for case in cohort.cases} & set(options.external))
                if scored:
                    use = ExternalUse(
                        study=f"configurations at {settings.preprocessing.rows} rows",
                        model=folder.card.name,
                        centres=" ".join(scored),
                        settings=configuration,
                        seed=str(seed),
                        model_sha256=folder.sha256[:12],
                        manifest_sha256=work[test]["judged_sha256"],
                        roc_auc=row["roc_auc"],
                    )
                    note_external_use(options.external_uses, use)
                print(f"{configuration}, seed {seed}, {test}: AUC {area:.3f}", flush=True)
    print(summarised(options.table))


if __name__ == "__main__":
    main()
