"""Make the simulated studies that travel with the package (`bonescint demo`).

python benchmarks/make_examples.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bonescint.dicom import HeaderStyle, write_nm
from bonescint.simulate import camera_named, draw_anatomy, simulate_scan

OUT = Path(__file__).parents[1] / "src" / "bonescint" / "classify" / "examples"
STUDIES = (
    # name, seed, metastases, counts in the posterior view, camera, header
    ("simulated-several-metastases", 109, 9, 0.60e6, "discovery", HeaderStyle.GE),
    ("simulated-no-metastasis", 14, 0, 0.50e6, "symbia", HeaderStyle.SIEMENS),
    ("simulated-one-metastasis", 216, 1, 0.60e6, "discovery", HeaderStyle.GE),
    ("simulated-missed-metastasis", 105, 1, 0.60e6, "discovery", HeaderStyle.GE),
)


def main() -> None:
    """Simulate and write."""
    OUT.mkdir(parents=True, exist_ok=True)
    for name, seed, lesions, counts, camera, style in STUDIES:
        rng = np.random.default_rng([2023, seed])
        study = simulate_scan(
            draw_anatomy(rng),
            camera_named(camera),
            rng,
            positive=lesions > 0,
            lesions=lesions,
            counts=counts,
            scan_id=f"example-{name}",
        )
        write_nm(study.scan, OUT / f"{name}.dcm", style=style, compress=True)
        seen = [
            (focus.region, round(focus.contrast_to_noise or 0))
            for focus in study.truth.foci
            if focus.kind == "metastasis"
        ]
        print(name, (OUT / f"{name}.dcm").stat().st_size, seen)


if __name__ == "__main__":
    main()
