"""`bonescint simulate`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from bonescint.cli.console import clear_failures, messages_console, progress_bar
from bonescint.files import require_new
from bonescint.report import displayable
from bonescint.scan import OutputError

_MIXED_COUNT = 20


def run_simulate_cohort(
    out: Path, *, count: int | None, protocol: str | None, seed: int, workers: int | None
) -> None:
    """Simulate a cohort on disk and say where its manifest is."""
    with clear_failures():
        from bonescint.cohort import mixed_protocol, read_protocol, simulate_cohort

        wanted = (
            mixed_protocol(count or _MIXED_COUNT) if protocol is None else read_protocol(protocol)
        )
        with progress_bar() as bar:
            task = bar.add_task("Simulating", total=wanted.count)
            cohort = simulate_cohort(
                out,
                wanted,
                seed=seed,
                workers=workers,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        apart = len(cohort.occult.cases)
        said = f"{wanted.count} studies of synthetic patients"
        said += f", {apart} occult ones listed separately in occult.csv" if apart else ""
        _say(f"{said}; manifest: {displayable(out / 'manifest.csv')}")
        changed = cohort.changed_centres(wanted)
        if changed:
            _say(
                f"Not what {wanted.identifier} was frozen as: centre {', '.join(changed)}. "
                f"Another processor or release of a library? Say so when you report results."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanChoices:
    """What the command line says of a single study; `None` is drawn.

    Attributes:
        primary: primary tumour.
        lesions: number of metastases.
        counts: counts in the posterior view.
        camera: name of the camera.
        seed: of everything that is drawn.
    """

    primary: str | None
    lesions: int | None
    counts: float | None
    camera: str | None
    seed: int


def run_simulate_scan(out: Path, choices: ScanChoices, *, truth: Path | None) -> None:
    """Simulate one study, write it, and say what it is."""
    with clear_failures():
        from bonescint.cohort import simulate_study

        _check_targets(out, truth)
        study = simulate_study(**asdict(choices))
        study.write_scan(out)
        if truth is not None:
            study.write_truth(truth)
        patient, simulated = study.anatomy.patient, study.simulated
        who = "woman" if patient.sex == "F" else "man"
        disease = "with metastases" if simulated.truth.positive else "without metastases"
        disease += ", none of them visible" if simulated.occult else ""
        _say(
            f"{displayable(out)}: a synthetic {who} of {patient.age:.0f}, {disease}, "
            f"on the camera {study.camera.name}"
        )


def _check_targets(out: Path, truth: Path | None) -> None:
    """Say before the work begins what could not be written after it."""
    if truth is not None and truth.suffix not in (".json", ".npz"):
        raise OutputError(f"{truth}: a truth file ends in .json or .npz.")
    if truth is not None and truth.resolve() == out.resolve():
        raise OutputError(f"{out}: scan and truth need files of their own.")
    for target in (out, truth):
        if target is not None and (target.is_dir() or not target.resolve().parent.is_dir()):
            raise OutputError(f"{target}: cannot be written. Give a file in a folder that exists.")
    require_new(out, truth)


def run_simulate_truth(cohort: Path, scan_id: str, out: Path) -> None:
    """Make the whole truth of a study again."""
    with clear_failures():
        from bonescint.cohort import regenerate_truth

        if out.suffix != ".npz":
            raise OutputError(f"{out}: means and maps need a file that ends in .npz.")
        require_new(out)
        regenerate_truth(cohort, scan_id, out)
        _say(f"Means, maps and masks: {displayable(out)}")


def run_simulate_gallery(out: Path, *, count: int, seed: int) -> None:
    """Draw a picture of many studies."""
    with clear_failures():
        from bonescint.cohort import simulate_study
        from bonescint.explain import ContactPrint, write_contact_sheet

        require_new(out)
        prints = []
        with progress_bar() as bar:
            for number in bar.track(range(count), description="Simulating"):
                study = simulate_study(seed=seed + number)
                prints.append(ContactPrint(scan=study.simulated.scan, caption=study.caption))
        write_contact_sheet(prints, out)
        _say(f"{count} studies of synthetic patients: {displayable(out)}")


def _say(text: str) -> None:
    messages_console().print(text, soft_wrap=True)
