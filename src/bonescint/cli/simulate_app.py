"""Names, options and help of `bonescint simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.options import CONTEXT, path

_SIMULATE = """Simulate scans of synthetic patients, for training, testing and teaching.

Needs the extra: pip install 'bonescint[simulate]'"""
_COHORT = """Simulate a cohort: DICOM studies with AP and PA, the truth of each, and manifest.csv.

Give --count for a mixture of all cameras and patients, or --protocol for centres of your own: the
name of a protocol that comes with the package, or a YAML file. The same seed gives the same bytes,
for any number of workers. If interrupted, rerun the same command to resume. Every study is of a
different synthetic patient.

\b
Written to the folder:
  manifest.csv   one row per study: scan_id, patient_id, centre, split, label, file, sex, ...
  occult.csv     positive patients whose metastases cannot be seen, not part of the numbers
  occult/        their scans
  scans/         NM DICOM
  truth/         masks and foci of metastases and of benign findings that look like them

\b
Examples:
  bonescint simulate cohort --count 20 --seed 1 --out demo-scans/
  bonescint simulate cohort --protocol ibrahim2023 --seed 1 --out cohort/
  bonescint simulate cohort --protocol my-protocol.yaml --seed 1 --out mine/
  bonescint classify demo-scans/scans/ --out results/"""
_SCAN = """Simulate one study as NM DICOM, together with its truth.

\b
Examples:
  bonescint simulate scan --out one.dcm --truth one.json
  bonescint simulate scan --primary prostate --lesions 5 --counts 0.6e6 --camera symbia \\
      --out one.dcm --truth one.json"""
_TRUTH = """Regenerate what a simulated cohort does not store: noise-free means, bone maps, a mask
of every focus. The study is simulated again and must equal the stored one, bit for bit.

\b
Example:
  bonescint simulate truth bs-639cdcfb99af00b0 --cohort cohort/ --out truth.npz"""
_GALLERY = """Draw a picture of simulated studies of many kinds: builds, disease, benign findings.

\b
Example:
  bonescint simulate gallery --out gallery.png"""

Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that is random.")]

simulate_app = typer.Typer(help=_SIMULATE, no_args_is_help=True, context_settings=CONTEXT)


@simulate_app.callback()
def _all_simulations() -> None:
    return


@simulate_app.command("cohort", help=_COHORT, short_help="A cohort in DICOM, with truth.")
def _cohort(
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="Folder of the cohort.")],
    count: Annotated[
        int | None, typer.Option(min=1, help="Number of studies.", show_default="20")
    ] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Name of a protocol, or a YAML file.", show_default="none")
    ] = None,
    seed: Seed = 1,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Worker processes.", show_default="as many as cores"),
    ] = None,
) -> None:
    from bonescint.cli.simulating import run_simulate_cohort

    if count is not None and protocol is not None:
        raise typer.BadParameter("give --count or --protocol, not both: a protocol has its counts.")
    run_simulate_cohort(out, count=count, protocol=protocol, seed=seed, workers=workers)


@simulate_app.command(
    "scan", help=_SCAN, short_help="One study, with the properties that you choose."
)
def _scan(
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="DICOM file to write.")],
    truth: Annotated[
        Path | None,
        typer.Option(
            parser=path, help="Truth file: .json (foci), .npz (masks too).", show_default="none"
        ),
    ] = None,
    primary: Annotated[
        str | None,
        typer.Option(help="prostate, breast, lung or other.", show_default="drawn"),
    ] = None,
    lesions: Annotated[
        int | None,
        typer.Option(min=0, help="Number of metastases; 0 for none.", show_default="drawn"),
    ] = None,
    counts: Annotated[
        float | None,
        typer.Option(help="Counts in the posterior view.", show_default="as the camera's"),
    ] = None,
    camera: Annotated[
        str | None, typer.Option(help="Name of a camera.", show_default="drawn")
    ] = None,
    seed: Seed = 1,
) -> None:
    from bonescint.cli.simulating import ScanChoices, run_simulate_scan

    choices = ScanChoices(primary=primary, lesions=lesions, counts=counts, camera=camera, seed=seed)
    run_simulate_scan(out, choices, truth=truth)


@simulate_app.command("truth", help=_TRUTH, short_help="Noise-free means, maps and masks.")
def _truth(
    scan_id: Annotated[str, typer.Argument(help="The study, as manifest.csv names it.")],
    cohort: Annotated[Path, typer.Option(parser=path, help="Folder of the cohort.")] = Path(),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=path, help="File to write.", show_default="SCAN_ID.npz"),
    ] = None,
) -> None:
    from bonescint.cli.simulating import run_simulate_truth

    run_simulate_truth(cohort, scan_id, out or Path(f"{scan_id}.npz"))


@simulate_app.command("gallery", help=_GALLERY, short_help="A picture of many studies.")
def _gallery(
    out: Annotated[Path, typer.Option("--out", "-o", parser=path, help="PNG file to write.")],
    count: Annotated[int, typer.Option(min=1, max=60, help="Number of studies.")] = 12,
    seed: Seed = 1,
) -> None:
    from bonescint.cli.simulating import run_simulate_gallery

    run_simulate_gallery(out, count=count, seed=seed)
