"""Train the paper's recipe, at its own size or a smaller one, and compare it on centre C.

    python benchmarks/paper_recipe.py --work runs/paper --weights vgg16.safetensors --rows 256 \
        --cohort runs/ibrahim2023/cohort/manifest.csv

`bonescint experiment run ibrahim2023` is the same at 512 rows, with two more models: about 13 hours
of one core with bfloat16 for this one alone. Here the configuration `ibrahim2023` is trained at
`--rows` on the training scans of A and B (`--train-only` ends there), and is compared on C with the
model that comes with the package, in one experiment with the report that any experiment has, and on
134 scans of C with six readers that are programs. `--packaged` names the int8 model that
`benchmarks/package_model.py` made of it, which is then compared in its place: its card says how far
it is from its parent, and it is faster. If interrupted, rerun to resume.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import yaml

from bonescint.cohort import read_manifest
from bonescint.experiment import read_experiment, run_experiment
from bonescint.study import Reader, StudyOptions, analyse_study, create_study, open_study
from bonescint.study.simulated import read_all, reader_panel
from bonescint.train import Precision, TrainingConfiguration, read_configuration, train
from bonescint.train.dataset import resized


def configuration(rows: int, seed: int, precision: Precision) -> TrainingConfiguration:
    """The configuration `ibrahim2023` at another size and precision."""
    paper = read_configuration("ibrahim2023")
    return replace(
        paper,
        preprocessing=resized(paper.preprocessing, rows),
        stages=tuple(replace(stage, rows=rows) for stage in paper.stages),
        seed=seed,
        precision=precision,
        loader_workers=1,
    )


def compared_with_readers(cohort: Path, model: Path, work: Path) -> Path:
    """The paper's 134 scans of C, read by the model and by six programs; the analysis' page."""
    home, panel = work / "readers", reader_panel(6, seed=1)
    if home.is_dir():
        study = open_study(home)
    else:
        people = [Reader(reader=who.reader, name=who.reader) for who in panel]
        options = StudyOptions(
            title="134 scans of centre C", sample=134, balanced=True, seed=7, simulated_readers=True
        )
        study = create_study(home, cohort, people, options)
    read_all(study, panel)
    analyse_study(study, work / "analysis", model=model, draws=100)
    return work / "analysis" / "index.html"


def main() -> None:
    """Train, then evaluate."""
    parser = argparse.ArgumentParser(description="The paper's recipe on simulated scans.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--cohort", type=Path, required=True, help="manifest of ibrahim2023")
    parser.add_argument("--weights", type=Path, required=True, help="VGG16's of ImageNet")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument(
        "--precision",
        default="bfloat16",
        choices=["bfloat16", "float32"],
        help="float32 on a processor that has no bfloat16 of its own",
    )
    parser.add_argument("--train-only", action="store_true", help="leave C alone for now")
    parser.add_argument("--packaged", type=Path, help="the int8 model that was made of it")
    options = parser.parse_args()
    folder = options.work / "ibrahim2023"
    if not folder.is_dir():
        train(
            read_manifest(options.cohort),
            folder,
            settings=configuration(options.rows, options.seed, Precision(options.precision)),
            weights=options.weights,
            device=options.device,
            progress=lambda task, done, total: print(f"{task}: {done} of {total}", flush=True),
            tell=lambda said: print(said, flush=True),
            measure_test=False,  # the experiment reads C, once
        )
    if options.train_only:
        return
    paper = options.packaged or folder
    page = compared_with_readers(options.cohort, paper, options.work)
    asked = options.work / "experiment.yaml"
    asked.write_text(
        yaml.safe_dump(
            {
                "name": "ibrahim2023",
                "about": f"The recipe of Ibrahim et al. at {options.rows} rows; the shipped model.",
                "cohort": {"manifest": str(options.cohort.resolve())},
                "models": {
                    "paper": {"folder": str(paper.resolve())},
                    "bonescint": {"folder": "shipped"},
                },
                "reference": "paper",
                "rule": {"specificity": 0.90},
                "resamples": 2000,
                "published": "ibrahim2023",
                "reader_study": str(page.resolve()),
                "external": ["C"],
            },
            sort_keys=False,
        ),
        encoding="utf-8",
    )
    run_experiment(read_experiment(asked), options.work / "run", tell=print)


if __name__ == "__main__":
    main()
