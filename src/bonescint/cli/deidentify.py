"""`bonescint deidentify`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bonescint.cli.console import SOME_FAILED, progress_shown, say, say_notice
from bonescint.cli.options import Workers

if TYPE_CHECKING:
    from bonescint.dicom import DeidentifiedFolder


def deidentify(
    folder: Path,
    *,
    out: Path,
    retain_device: bool = False,
    retain_longitudinal: bool = False,
    allow_burned_in: bool = False,
    key: Path | None = None,
    workers: Workers = None,
) -> int:
    """Write the DICOM objects of a folder without the identity of their patients.

    Follows the standard's Basic Application Level Confidentiality Profile (PS3.15, Annex E). Every
    file is read again after it is made, and left out if a value of an identifying attribute of its
    source occurs anywhere in it. Reports, pictures (PNG, JPEG), and objects whose pixels hold or
    may hold text are left out. If interrupted, rerun the same command.

    Args:
        folder: File, folder or ZIP archive.
        out: Folder to write.
        retain_device: Keep what identifies the camera, such as its serial number and station name.
        retain_longitudinal: Move dates instead of removing them, by the same number of days in
            everything of a patient; times of day stay.
        allow_burned_in: Also take objects whose pixels hold, or may hold, text (perhaps a name),
            as they are.
        key: File with the secret key of pseudonyms, UIDs and dates; made in OUT.private unless
            given. The key of a cohort gives the pseudonyms of that cohort.

    Written:
      clean/PATIENT/STUDY/*.dcm        the objects; all names are pseudonyms
      clean/deidentification.json      how it was done, and how many were left out
      clean.private/                   the secret key, what each file was made from, what was left
                                       out and why: keep it, and do not share it

    Exit status: 0 every file was taken, 1 some were left out, 2 nothing was written.

    Examples:
      bonescint deidentify archive/ --out clean/
      bonescint deidentify archive.zip --out clean/ --retain-longitudinal --retain-device
      bonescint deidentify archive/ --out clean/ --key my-cohort.private/key
    """
    from bonescint.dicom import ConfidentialityProfile, deidentify_folder
    from bonescint.parallel import usual_workers

    with progress_shown() as shown:
        made = deidentify_folder(
            folder,
            out,
            profile=ConfidentialityProfile(
                retain_device=retain_device, retain_longitudinal=retain_longitudinal
            ),
            allow_burned_in=allow_burned_in,
            key=key,
            workers=usual_workers(workers),
            progress=shown.part("De-identifying"),
        )
    _report(made, out)
    return SOME_FAILED if made.left_out else 0


def _report(made: DeidentifiedFolder, out: Path) -> None:
    for name, count in made.emptied.items():
        say(f"Note: {count} x {name} was emptied, because it repeated an identifying value.")
    if made.left_out:
        say(f"Left out: {len(made.left_out)} files; the reasons: {made.private}/left-out.csv")
    say(f"The key is in {made.private}: keep it, and do not share it.")
    patients = "1 patient" if made.patients == 1 else f"{made.patients} patients"
    say_notice(f"{len(made.files)} objects of {patients} without identity in {out}")
