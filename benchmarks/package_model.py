"""Make a trained VGG16 one of the models that come with the package.

    python benchmarks/package_model.py runs/paper/ibrahim2023 \
        --cohort runs/ibrahim2023/cohort/manifest.csv --out src/bonescint/model/ibrahim2023 \
        --count 100 --compare 164 --limitation "Trained at 256 rows instead of the 512 of Ibrahim et
        al., on simulated scans: it is not the authors' model."

Quantises the model with training scans of the cohort, compares it with its float32 parent on
validation scans, measures it on the test split, and writes the folder without the weights to
continue training from: `bonescint train --from` then begins with the quantised ones. Refuses a
graph of more than 16 MB. The name of the folder is the model's name for `--model`, and the card's
after `bonescint-`; `bonescint model list` shows it.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from build_shipped_model import measured

from bonescint.model import ModelFolder, write_model_folder
from bonescint.scan import Split
from bonescint.train.quantise import quantise

MOST_MB = 16.0


def main() -> None:
    """Quantise, compare, measure, write."""
    parser = argparse.ArgumentParser(description="Make a model one of the package's.")
    parser.add_argument("model", type=Path, help="model folder in float32")
    parser.add_argument("--cohort", type=Path, required=True, help="manifest it was trained on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limitation", action="append", default=[], help="for the card; repeat it")
    parser.add_argument("--count", type=int, default=200, help="scans that set the ranges")
    parser.add_argument("--compare", type=int, default=200, help="scans of the comparison")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        found = quantise(
            ModelFolder.load(options.model),
            options.cohort,
            Path(work) / "int8",
            count=options.count,
            compare=options.compare,
        )
        size = found.onnx_path.stat().st_size / 1e6
        if size > MOST_MB:
            raise SystemExit(f"{size:.1f} MB: a model of the package has at most {MOST_MB:.0f} MB.")
        card = replace(
            found.card,
            name=f"bonescint-{options.out.name}",
            limitations=(*options.limitation, *found.card.limitations),
        )
        onnx = found.onnx_path.read_bytes()
        written = write_model_folder(options.out, card=card, onnx=onnx, ood=found.ood)
    written = measured(written, options.cohort, Split.TEST)
    print(f"{options.out}: {written.model_id}, {size:.1f} MB")
    for metric in written.card.metrics:
        print(f"  {metric.in_words}: {metric.value_text}, {metric.measured_on}")


if __name__ == "__main__":
    main()
