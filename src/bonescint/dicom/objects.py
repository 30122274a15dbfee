"""Scans that a caller holds in memory: data sets, open files, arrays."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonescint.dicom import identity
from bonescint.dicom.files import MAX_FILE_BYTES
from bonescint.dicom.header import quiet
from bonescint.dicom.pictures import with_dark_background
from bonescint.dicom.reading import read
from bonescint.dicom.whole_body import check_geometry, check_outline
from bonescint.scan import (
    Acquisition,
    InputError,
    ParameterError,
    PixelUnit,
    Scan,
    View,
    ViewRule,
)

if TYPE_CHECKING:
    from pydicom import Dataset

    ScanSource: TypeAlias = str | Path | BinaryIO | Dataset

_HELP = (
    "a path, a folder, a pydicom Dataset, a file opened in binary mode, or one or two of these of "
    "one scan; arrays go by name: anterior=, posterior="
)
_ARRAYS = "arrays"


def read_given(source: ScanSource | Sequence[ScanSource]) -> Scan:
    """Read one bone scan from whatever holds it.

    A data set and an open file are read exactly as a file of that content would be, within the
    same limits, by way of a temporary file that only its owner can read. Neither is changed, but
    the open file is read to its end.

    Args:
        source: a path, a folder that holds one study, a pydicom `Dataset`, a binary file object,
            or the two of these that hold the views of one scan.

    Raises:
        InputError: it cannot be read as one bone scan; `NotABoneScanError` and
            `ViewConflictError` are kinds of it.
        ParameterError: it is none of these.

    Examples:
        >>> from pydicom import dcmread
        >>> from pydicom.data import get_testdata_file
        >>> dataset = dcmread(get_testdata_file("JPGExtended.dcm", download=False))
        >>> read_given(dataset).shape
        (1024, 256)
    """
    given = list(source) if isinstance(source, list | tuple) else [source]
    if not given:
        raise ParameterError("source", "read_given", _HELP, "nothing")
    if all(isinstance(one, str | Path) for one in given):
        return read([Path(str(one)) for one in given])
    # "bonescint" is no word of a view: what the folder is called tells nothing.
    with tempfile.TemporaryDirectory(prefix="bonescint-") as name:
        folder = Path(name)
        paths, called = [], {}
        for number, one in enumerate(given):
            path, shown = _stored(one, folder / str(number))
            paths.append(path)
            called[str(path)] = shown
        try:
            return read(paths)
        except InputError as error:
            told = [error.source, error.problem, error.remedy]
            for place, shown in called.items():
                told = [part.replace(place, shown) for part in told]
            raise type(error)(*told) from None


def _stored(one: object, folder: Path) -> tuple[Path, str]:
    """A file with the content of what was given, and what messages call it."""
    from pydicom import Dataset

    if isinstance(one, str | Path):
        return Path(one), str(one)
    folder.mkdir()
    if isinstance(one, Dataset):
        path = folder / "dataset.dcm"
        _write(one, path)
        return path, "the Dataset"
    if hasattr(one, "read"):
        content: Any = one.read(MAX_FILE_BYTES + 1)
        if not isinstance(content, bytes):
            raise ParameterError("source", "read_given", "opened in binary mode", "a text file")
        named = getattr(one, "name", None)
        # The name of a picture may tell its view.
        path = folder / (PurePath(named).name if isinstance(named, str) and named else "file")
        path.write_bytes(content)
        return path, "the open file"
    raise ParameterError("source", "read_given", _HELP, type(one).__name__)


def _write(dataset: Dataset, path: Path) -> None:
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    shallow = copy.copy(dataset)
    shallow.file_meta = copy.copy(getattr(dataset, "file_meta", None) or FileMetaDataset())
    if "TransferSyntaxUID" not in shallow.file_meta:
        shallow.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    try:
        with quiet():
            shallow.save_as(path, enforce_file_format=True)
    except Exception as error:  # noqa: BLE001 - whatever a data set in memory may hold
        problem = f"cannot be written as DICOM ({type(error).__name__})"
        raise InputError("the Dataset", problem, "Read it from its file") from None


def scan_of_arrays(
    *,
    anterior: ArrayLike | None = None,
    posterior: ArrayLike | None = None,
    unit: PixelUnit | str | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Scan:
    """A scan of one or two arrays, checked as the views of a file are.

    Args:
        anterior: (rows, columns), head at row 0, the patient's right on the left.
        posterior: the same from behind: the patient's right on the right, not mirrored.
        unit: `"counts"` or `"intensity"`. Without it whole numbers of at least 0 are taken as
            counts, with a warning; other values are refused.
        pixel_spacing_mm: between rows and between columns, or `None` if unknown.

    Raises:
        ParameterError: no array, or one that is no image; another unit; views of two sizes; a
            spacing that is not two distances above 0.
        InputError: an array shows no whole body.

    Examples:
        >>> from bonescint.dicom import read
        >>> from pydicom.data import get_testdata_file
        >>> scan = read(get_testdata_file("JPGExtended.dcm", download=False))
        >>> again = scan_of_arrays(anterior=scan.anterior, unit="counts")
        >>> again.views[0].value, again.unit.value
        ('anterior', 'counts')
    """
    given = {View.ANTERIOR: anterior, View.POSTERIOR: posterior}
    images = {view: _image(view, array) for view, array in given.items() if array is not None}
    if not images:
        raise ParameterError("anterior", "scan_of_arrays", "given when posterior is missing", None)
    known, warnings = _unit(images, unit)
    spacing = _spacing(pixel_spacing_mm)
    for view, image in images.items():
        rows, columns = image.shape
        warnings += check_geometry(rows, columns, spacing, f"{view.value} array")
        if known is PixelUnit.INTENSITY:
            images[view], inverted = with_dark_background(image)
            if inverted:
                warnings.append(
                    f"{view.value} view: dark body on a bright background: grey values were "
                    "inverted"
                )
        check_outline(images[view], f"{view.value} array")
    return Scan(
        anterior=images.get(View.ANTERIOR),
        posterior=images.get(View.POSTERIOR),
        pixel_spacing_mm=spacing,
        unit=known,
        scan_id=identity.scan_id_from_images(images.values(), key=identity.PUBLIC_SCAN_KEY),
        acquisition=Acquisition(modality=_ARRAYS, view_rules=dict.fromkeys(images, ViewRule.GIVEN)),
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _image(view: View, array: ArrayLike) -> NDArray[np.float32]:
    """An array as a view's image."""
    try:
        image = np.asarray(array, dtype=np.float32)
    except (TypeError, ValueError):
        got = type(array).__name__
        raise ParameterError(view.value, "scan_of_arrays", "an array of numbers", got) from None
    if image.ndim != 2 or 0 in image.shape or not np.isfinite(image).all():
        wanted = "finite numbers of shape (rows, columns)"
        raise ParameterError(view.value, "scan_of_arrays", wanted, image.shape)
    return image


def _spacing(given: ArrayLike | None) -> tuple[float, float] | None:
    if given is None:
        return None
    try:
        row_mm, column_mm = np.asarray(given, dtype=np.float64).tolist()
        if 0 < row_mm < np.inf and 0 < column_mm < np.inf:
            return row_mm, column_mm
    except (TypeError, ValueError):
        pass
    wanted = "two distances above 0 mm"
    raise ParameterError("pixel_spacing_mm", "scan_of_arrays", wanted, given)


def _unit(
    images: dict[View, NDArray[np.float32]], unit: PixelUnit | str | None
) -> tuple[PixelUnit, list[str]]:
    wanted = '"counts" or "intensity"'
    if unit is None:
        if all((image >= 0).all() and (image == np.rint(image)).all() for image in images.values()):
            return PixelUnit.COUNTS, [
                "the unit of the arrays was not given: whole numbers were taken as counts"
            ]
        raise ParameterError("unit", "scan_of_arrays", f"{wanted} (not whole counts)", None)
    if unit not in (PixelUnit.COUNTS, PixelUnit.INTENSITY):
        raise ParameterError("unit", "scan_of_arrays", wanted, str(unit))
    if any(image.min() < 0 for image in images.values()):
        raise ParameterError("unit", "scan_of_arrays", "of values of at least 0", "negative ones")
    return PixelUnit(unit), []
