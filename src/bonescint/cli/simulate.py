"""`bonescint simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.console import progress_shown, say
from bonescint.cli.group import command, command_group
from bonescint.cli.options import PositiveOrNone, Seed

_MIXED_COUNT = 20

simulate_app = command_group(
    """Simulate scans of synthetic patients, for training, testing and teaching.

    Needs the extra: pip install 'bonescint[simulate]'"""
)


@command(simulate_app)
def cohort(
    *,
    out: Path,
    count: PositiveOrNone = None,
    protocol: str | None = None,
    seed: Seed = 1,
    workers: PositiveOrNone = None,
) -> None:
    """Simulate a cohort: DICOM studies with AP and PA, the truth of each, and manifest.csv.

    Give --count for a mixture of all cameras and patients, or --protocol for centres of your own:
    the name of a protocol that comes with the package, or a YAML file. The same seed gives the same
    bytes, for any number of workers. If interrupted, rerun the same command to resume. Every study
    is of a different synthetic patient.

    Args:
        out: Folder of the cohort.
        count: Number of studies; 20 unless a protocol has its own.
        protocol: Name of a protocol, or a YAML file.
        workers: Worker processes; as many as cores unless given.

    Written to the folder:
      manifest.csv   one row per study: scan_id, patient_id, centre, split, label, file, sex, ...
      occult.csv     further positive patients, whose metastases cannot be seen on the scan
      occult/        their scans
      scans/         NM DICOM
      truth/         masks and foci of metastases and of benign findings that look like them

    Examples:
      bonescint simulate cohort --count 20 --seed 1 --out demo-scans/
      bonescint simulate cohort --protocol ibrahim2023 --seed 1 --out cohort/
      bonescint simulate cohort --protocol my-protocol.yaml --seed 1 --out mine/
      bonescint classify demo-scans/scans/ --out results/
    """
    if count is not None and protocol is not None:
        raise typer.BadParameter("give --count or --protocol, not both: a protocol has its counts.")
    from bonescint.cohort import mixed_protocol, read_protocol, simulate_cohort

    wanted = mixed_protocol(count or _MIXED_COUNT) if protocol is None else read_protocol(protocol)
    with progress_shown() as shown:
        made = simulate_cohort(
            out, wanted, seed=seed, workers=workers, progress=shown.part("Simulating")
        )
    occult = len(made.occult.cases)
    said = f"{wanted.count} studies of synthetic patients"
    said += f", {occult} occult ones listed separately in occult.csv" if occult else ""
    say(f"{said}; manifest: {out / 'manifest.csv'}")
    if changed := made.changed_centres(wanted):
        say(
            f"Not what {wanted.identifier} was frozen as: centre {', '.join(changed)}. "
            f"Another processor or release of a library? Say so when you report results."
        )


@command(simulate_app)
def scan(
    *,
    out: Path,
    truth: Path | None = None,
    primary: str | None = None,
    lesions: Annotated[int | None, typer.Option(min=0)] = None,
    counts: float | None = None,
    camera: str | None = None,
    seed: Seed = 1,
) -> None:
    r"""Simulate one study as NM DICOM, with the properties that you choose, and its truth.

    What you do not choose is drawn at random.

    Args:
        out: DICOM file to write.
        truth: Truth file: .json (foci), .npz (masks too).
        primary: Primary tumour: prostate, breast, lung or other.
        lesions: Number of metastases; 0 for none.
        counts: Counts in the posterior view; as the camera's unless given.
        camera: brightview, discovery, ecam, forte, infinia, millennium or symbia.

    Examples:
      bonescint simulate scan --out one.dcm --truth one.json
      bonescint simulate scan --primary prostate --lesions 5 --counts 0.6e6 --camera symbia \
          --out one.dcm --truth one.json
    """
    from bonescint.cohort import simulate_study

    _check_targets(out, truth)
    study = simulate_study(
        primary=primary, lesions=lesions, counts=counts, camera=camera, seed=seed
    )
    study.write_scan(out)
    if truth is not None:
        study.write_truth(truth)
    patient, simulated = study.anatomy.patient, study.simulated
    who = "woman" if patient.sex == "F" else "man"
    disease = "with metastases" if simulated.truth.positive else "without metastases"
    disease += ", none of them visible" if simulated.occult else ""
    say(
        f"{out}: a synthetic {who} of {patient.age:.0f}, {disease}, "
        f"on the camera {study.camera.name}"
    )


@command(simulate_app)
def truth(scan_id: str, *, cohort: Path = Path(), out: Path | None = None) -> None:
    """Regenerate what a simulated cohort does not store: noise-free means, maps and masks.

    The study is simulated again and must equal the stored one, bit for bit. The file then holds its
    noise-free means, bone maps, and a mask of every focus.

    Args:
        scan_id: The study, as manifest.csv names it.
        cohort: Folder of the cohort.
        out: File to write; SCAN_ID.npz unless given.

    Example:
      bonescint simulate truth bs-639cdcfb99af00b0 --cohort cohort/ --out truth.npz
    """
    from bonescint.cohort import regenerate_truth
    from bonescint.files import require_new
    from bonescint.scan import OutputError

    out = out or Path(f"{scan_id}.npz")
    if out.suffix != ".npz":
        raise OutputError(f"{out}: means and maps need a file that ends in .npz.")
    require_new(out)
    regenerate_truth(cohort, scan_id, out)
    say(f"Means, maps and masks: {out}")


@command(simulate_app)
def gallery(
    *, out: Path, count: Annotated[int, typer.Option(min=1, max=60)] = 12, seed: Seed = 1
) -> None:
    """Draw a picture of simulated studies of many kinds: builds, disease, benign findings.

    Args:
        out: PNG file to write.
        count: Number of studies.

    Example:
      bonescint simulate gallery --out gallery.png
    """
    from bonescint.cohort import simulate_study
    from bonescint.explain import ContactPrint, write_contact_sheet
    from bonescint.files import require_new

    require_new(out)
    prints = []
    with progress_shown() as shown:
        for number in range(count):
            shown.progress("Simulating", number, count)
            study = simulate_study(seed=seed + number)
            prints.append(ContactPrint(scan=study.simulated.scan, caption=study.caption))
    write_contact_sheet(prints, out)
    say(f"{count} studies of synthetic patients: {out}")


def _check_targets(out: Path, truth: Path | None) -> None:
    """Report before the work begins what could not be written after it."""
    from bonescint.files import require_new
    from bonescint.scan import OutputError

    if truth is not None and truth.suffix not in (".json", ".npz"):
        raise OutputError(f"{truth}: a truth file ends in .json or .npz.")
    if truth is not None and truth.resolve() == out.resolve():
        raise OutputError(f"{out}: scan and truth need files of their own.")
    for target in (out, truth):
        if target is not None and (target.is_dir() or not target.resolve().parent.is_dir()):
            raise OutputError(f"{target}: cannot be written. Give a file in a folder that exists.")
    require_new(out, truth)
