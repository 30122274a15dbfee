"""Truth files (NPZ with JSON inside, or JSON alone), and physicians' masks (PNG or NIfTI)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.cohort.manifest import Manifest
from bonescint.dicom.pictures import cut_off_refused
from bonescint.files import DAMAGED_NPZ, json_in, written_beside
from bonescint.scan import (
    Case,
    Focus,
    FocusKind,
    InputError,
    MissingExtraError,
    ParameterError,
    Truth,
    View,
)
from bonescint.scan.lesions import mask_pieces

TRUTH_SCHEMA_VERSION = 1
_SIMULATOR = "simulator"


def write_truth(
    truth: Truth,
    path: Path,
    *,
    mimic_masks: Mapping[View, NDArray[np.bool_]] | None = None,
    organ_masks: Mapping[View, NDArray[np.bool_]] | None = None,
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Write a truth file, atomically; equal truths give equal bytes.

    Args:
        truth: what is true of a scan.
        path: the file; its folder must exist. `.npz` holds the masks too, `.json` all but
            them.
        mimic_masks: for each view a bool array (rows, columns), true on what only looks like
            a metastasis.
        organ_masks: the same for organs.
        parameters: what was drawn, JSON-ready.

    Raises:
        ParameterError: another suffix.
        OutputError: the file cannot be written.
    """
    content: dict[str, Any] = {
        "schema_version": TRUTH_SCHEMA_VERSION,
        "positive": truth.positive,
        "source": truth.source,
        "simulated": truth.simulated,
        "foci": [asdict(focus) for focus in truth.foci],
    }
    if parameters is not None:
        content["parameters"] = dict(parameters)
    by_kind = {
        FocusKind.METASTASIS: truth.masks,
        FocusKind.MIMIC: mimic_masks or {},
        FocusKind.ORGAN: organ_masks or {},
    }
    arrays = {
        f"{_MASKS[kind]}_{view.value}": mask
        for kind, masks in by_kind.items()
        for view, mask in masks.items()
    }
    write_arrays(path, content, arrays)


def write_arrays(path: Path, content: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write JSON with arrays (`.npz`, JSON under the name `json`), or without (`.json`).

    Raises:
        ParameterError: another suffix.
        OutputError: the file cannot be written.
    """
    if path.suffix not in (".npz", ".json"):
        raise ParameterError("path", "write_truth", "a path that ends in .npz or .json", path.name)
    with written_beside(path) as beside:
        if path.suffix == ".json":
            beside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        else:
            with beside.open("wb") as stream:
                np.savez_compressed(stream, json=np.array(json.dumps(content)), **arrays)


_MASKS = {
    FocusKind.METASTASIS: "mask",
    FocusKind.MIMIC: "mimics",
    FocusKind.ORGAN: "organs",
}


@contextmanager
def opened_truth(path: Path | str) -> Iterator[Any]:
    """The arrays of a truth file while the block runs.

    Raises:
        InputError: it is missing, damaged or lacks an array, whatever the block finds of that.
    """
    try:
        with Path(path).open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            yield archive
    except DAMAGED_NPZ as error:
        raise InputError(
            path, f"not a readable truth file ({type(error).__name__})", "Make it again"
        ) from error


def read_masks(path: Path | str) -> dict[View, dict[FocusKind, NDArray[np.bool_]]]:
    """Read every mask of a truth file, including those of mimics and organs.

    Returns:
        For each view the masks by kind, bool (rows, columns); empty where the file has none.

    Raises:
        InputError: missing or damaged.
    """
    with opened_truth(path) as archive:
        return {
            view: {
                kind: archive[f"{name}_{view.value}"]
                for kind, name in _MASKS.items()
                if f"{name}_{view.value}" in archive
            }
            for view in View
        }


def read_truth(path: Path | str) -> Truth:
    """Read a truth file.

    Raises:
        InputError: missing, damaged, or of a schema that this release does not know.
    """
    with opened_truth(path) as archive:
        content = json_in(str(archive["json"]))
        masks = {
            view: archive[f"mask_{view.value}"] for view in View if f"mask_{view.value}" in archive
        }
        if content["schema_version"] != TRUTH_SCHEMA_VERSION:
            raise InputError(
                path,
                f"truth schema {content['schema_version']} is not {TRUTH_SCHEMA_VERSION}",
                "Use the release of bonescint that wrote it",
            )
        foci = tuple(
            Focus(**{**entry, "view": View(entry["view"]), "kind": FocusKind(entry["kind"])})
            for entry in content["foci"]
        )
        return Truth(
            positive=content["positive"],
            foci=foci,
            masks=masks,
            source=content["source"],
            # Not in truth files of release 0.1.0.
            simulated=content.get("simulated", content["source"] == _SIMULATOR),
        )


PHYSICIAN = "physician's mask"
_MOST_VALUES = 32
_NIFTI = (".nii", ".nii.gz")


def truth_of(
    manifest: Manifest,
    case: Case,
    *,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Truth | None:
    """The truth of a case, from its truth file or from a physician's masks.

    Each piece of a mask (8-connected) becomes a focus at its centre of mass, with the radius of
    the circle of the same area.

    Args:
        manifest: the cohort.
        case: one of its cases.
        pixel_spacing_mm: spacing of the scan's pixels, between rows and columns; without it foci
            that come from masks have no radius.

    Returns:
        The truth, or `None` if the manifest names neither a truth file nor a mask.

    Raises:
        InputError: a file that is missing or no mask; a truth file and masks; a mask with
            something on it in a case that is labelled negative.
        MissingExtraError: a NIfTI mask, and nibabel is not installed.
    """
    named = {
        view: getattr(case, f"mask_{view.value}")
        for view in View
        if getattr(case, f"mask_{view.value}")
    }
    where = f"{manifest.folder / 'manifest'}, scan {case.scan_id}"
    if case.truth and named:
        raise InputError(where, "names a truth file and masks", "Keep one of them")
    if case.truth:
        return read_truth(manifest.folder / case.truth)
    if not named:
        return None
    masks = {view: read_mask(manifest.folder / file) for view, file in named.items()}
    if not case.positive and any(mask.any() for mask in masks.values()):
        raise InputError(
            where, "is labelled negative, and its mask is not empty", "Correct label or mask"
        )
    foci = tuple(
        focus for view, mask in masks.items() for focus in _foci(mask, view, pixel_spacing_mm)
    )
    return Truth(positive=case.positive, foci=foci, masks=masks, source=PHYSICIAN)


def _foci(
    mask: NDArray[np.bool_], view: View, spacing_mm: tuple[float, float] | None
) -> list[Focus]:
    pieces = mask_pieces(mask)
    foci = []
    for number in range(1, int(pieces.max(initial=0)) + 1):
        rows, columns = np.nonzero(pieces == number)
        radius = None
        if spacing_mm is not None:
            radius = float(np.sqrt(rows.size * spacing_mm[0] * spacing_mm[1] / np.pi))
        foci.append(
            Focus(
                view=view,
                row=float(rows.mean()),
                column=float(columns.mean()),
                radius_mm=radius,
                cause=PHYSICIAN,
            )
        )
    return foci


def read_mask(path: Path, *, shape: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """Read a mask of one view: whatever is not 0 belongs to it.

    A NIfTI image usually has its columns first, as drawing tools write it, and is transposed; if
    its first axis is the longer one, it is kept. No flip is applied: the mask must show the view
    as seen from its own side, with the head at row 0.

    Args:
        path: PNG, `.nii` or `.nii.gz`.
        shape: (rows, columns) of the view, if known.

    Returns:
        bool (rows, columns).

    Raises:
        InputError: missing, damaged, no mask (many grey values), or of another shape.
        MissingExtraError: a NIfTI mask, and nibabel is not installed.
    """
    if not path.is_file():
        raise InputError(path, "no such mask", "Correct the path in the table")
    name = path.name.lower()
    if name.endswith(_NIFTI):
        values = _from_nifti(path)
    elif name.endswith(".png"):
        values = _from_png(path)
    else:
        raise InputError(path, "a mask is a PNG or a NIfTI file", "Export it as one of them")
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(path, f"has shape {values.shape}, not that of one image", "Give 2 axes")
    if not np.isfinite(values).all():
        raise InputError(path, "holds values that are not numbers", "Export the mask again")
    if np.unique(values).size > _MOST_VALUES:
        raise InputError(
            path,
            f"holds more than {_MOST_VALUES} values: it is a picture, not a mask",
            "Give an image of 0 and 1",
        )
    if shape is not None and values.shape != shape:
        raise InputError(
            path, f"its shape is {values.shape}, the view's {shape}", "Draw it on this scan"
        )
    return np.asarray(values != 0, dtype=bool)


def _from_png(path: Path) -> NDArray[Any]:
    from PIL import Image

    try:
        with cut_off_refused(), Image.open(path, formats=("PNG",)) as opened:
            if opened.mode in ("RGBA", "LA", "PA"):
                # Drawn on a transparent ground: black is a colour there, so transparency counts.
                bands = np.asarray(opened.convert("RGBA"))
                return np.asarray(bands[..., :3].max(axis=2) * (bands[..., 3] > 0))
            if opened.mode == "P":
                return np.asarray(opened)
            values = np.asarray(opened)
    except Exception as error:  # Pillow raises anything on damaged files
        raise InputError(path, "is not a readable PNG file", "Export the mask again") from error
    return values.max(axis=2) if values.ndim == 3 else values


def _from_nifti(path: Path) -> NDArray[Any]:
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise MissingExtraError("nibabel", "masks") from error
    try:
        loaded: Any = nibabel.load(path)
        values: NDArray[Any] = np.asanyarray(loaded.dataobj)
    except Exception as error:  # nibabel raises many kinds on damaged files
        raise InputError(path, "is not a readable NIfTI file", "Export the mask again") from error
    values = values.reshape([size for size in values.shape if size != 1] or [1])
    if values.ndim == 2 and values.shape[0] < values.shape[1]:
        values = values.T
    return values


def write_mask(mask: NDArray[np.bool_], path: Path) -> None:
    """Write a mask as a PNG of 0 and 255, atomically.

    Raises:
        OutputError: it cannot be written.
    """
    from PIL import Image

    with written_beside(path) as beside:
        Image.fromarray(mask.astype(np.uint8) * 255).save(beside, format="PNG")
