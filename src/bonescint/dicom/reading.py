"""Read the files of one study into a `Scan`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom import identity, views
from bonescint.dicom.calibration import in_known_unit
from bonescint.dicom.checks import (
    CheckedHeader,
    burned_in_text,
    camera_of,
    check_dicom_header,
    image_type_of,
    maker_of,
)
from bonescint.dicom.discovery import StudyFiles, discover, unnamed_picture
from bonescint.dicom.files import read_bytes, sha256
from bonescint.dicom.frames import PhotopeakFrames
from bonescint.dicom.header import Header, parse, quiet
from bonescint.dicom.pairing import StudyFacts, facts_of, patient_number, sizes_agree, year_of
from bonescint.dicom.pictures import (
    PicturePage,
    halves,
    looks_like_picture,
    read_pictures,
    without_empty_sides,
    without_frame,
    without_seam,
)
from bonescint.dicom.pixels import read_images
from bonescint.dicom.whole_body import (
    MIN_ASPECT,
    check_geometry,
    check_outline,
    holds_two_bodies,
)
from bonescint.dicom.words import view_in_path, view_in_path_is_plain, view_in_text
from bonescint.scan import (
    Acquisition,
    BonescintError,
    InputError,
    NotABoneScanError,
    ParameterError,
    PixelUnit,
    Scan,
    SourceFrame,
    View,
    ViewConflictError,
    ViewRule,
)

_EXPORT_AGAIN = "Export or copy the file again"
_ONE_SCAN = "Give the two views of one scan"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LoadedView:
    """One image with its view, as a file gave it."""

    decision: views.ViewDecision | None
    image: NDArray[np.float32]
    detector: int = 1
    frame: SourceFrame | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LoadedFile:
    """What one file contributes to a scan."""

    images: tuple[_LoadedView, ...]
    unit: PixelUnit
    acquisition: Acquisition
    pixel_spacing_mm: tuple[float, float] | None = None
    facts: StudyFacts | None = None
    instance_uid: str = ""
    patient_number: str = ""
    warnings: tuple[str, ...] = ()


def read(path: str | Path | Sequence[str | Path], *, id_key: bytes | None = None) -> Scan:
    """Read one bone scan: a file, the two files of a study, or a folder that holds one study.

    Args:
        path: a path, or several that belong to one study.
        id_key: secret key for pseudonyms. With it `patient_id` is a keyed hash of the header's
            PatientID, unless that is missing or a placeholder, and `scan_id` is keyed with it too;
            without it `patient_id` is `None` and `scan_id` uses a public key.

    Returns:
        The scan, each view as seen from its own side, in counts (DICOM) or intensity (pictures).

    Raises:
        InputError: nothing, or more than one study, can be read there; `NotABoneScanError` and
            `ViewConflictError` are kinds of it.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> scan = read(get_testdata_file("JPGExtended.dcm", download=False))
        >>> scan.shape, scan.views[0].value
        ((1024, 256), 'anterior')
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(entry) for entry in path]
    source = " + ".join(str(entry) for entry in paths)
    if len(paths) == 2:
        return read_study(StudyFiles(tuple(paths), source), id_key=id_key)
    found = discover(paths)
    if len(found.studies) == 1:
        return read_study(found.studies[0], id_key=id_key)
    if not found.studies and len(found.refused) == 1:
        raise found.refused[0]
    if not found.studies:
        raise InputError(
            source, f"holds no bone scan ({len(found.refused)} files refused)", "Check the path"
        )
    raise InputError(
        source, f"holds {len(found.studies)} studies", "Name one of them, or use discover()"
    )


def read_study(study: StudyFiles, *, id_key: bytes | None = None) -> Scan:
    """Read the files of one study, as `discover` found them.

    Args:
        study: one file with one or two views, or two files with one view each.
        id_key: see `read`.

    Raises:
        InputError: a file cannot be read; `NotABoneScanError` and `ViewConflictError` are kinds
            of it.
        ParameterError: an empty `id_key`.
    """
    if id_key is not None and not id_key:
        raise ParameterError("id_key", "read_study", "non-empty bytes or None", id_key)
    try:
        with quiet():
            files = [_load(path) for path in study.files]
            return _assembled(files, study, id_key)
    except InputError:
        raise
    except BonescintError as error:
        raise InputError(study.source, f"cannot be used: {error}", _EXPORT_AGAIN) from None
    except MemoryError:
        raise InputError(
            study.source, "needs more memory than is available", "Leave this file out"
        ) from None


def _load(path: Path) -> _LoadedFile:
    content = read_bytes(path)
    if looks_like_picture(content):
        return _load_picture(content, path)
    return _load_dicom(content, path)


def _load_picture(content: bytes, path: Path) -> _LoadedFile:
    pictures = read_pictures(content, path)
    images, warnings = (
        _two_pages(pictures, path) if len(pictures) == 2 else _one_page(pictures[0], path)
    )
    return _LoadedFile(
        images=images,
        unit=PixelUnit.INTENSITY,
        acquisition=Acquisition(
            modality="picture",
            transfer_syntax=pictures[0].format_name,
            file_sha256=(sha256(content),),
        ),
        warnings=tuple(warnings),
    )


def _two_pages(
    pictures: Sequence[PicturePage], path: Path
) -> tuple[tuple[_LoadedView, ...], list[str]]:
    """One view per page, as the pages are named; otherwise the first is taken as anterior."""
    warnings = list(dict.fromkeys(text for picture in pictures for text in picture.warnings))
    named = [view_in_text(picture.name) for picture in pictures]
    if named == [None, None]:
        views_of, rule = list(View), ViewRule.PAGE_ORDER
        warnings.append("nothing says which view each page shows: the first was taken as anterior")
    else:
        views_of, rule = [view or _other(named).opposite for view in named], ViewRule.DESCRIPTION
    for picture in pictures:
        check_geometry(picture.image.shape[0], picture.image.shape[1], None, str(path))
    images = tuple(
        _LoadedView(decision=views.ViewDecision(view=view, rule=rule), image=picture.image)
        for view, picture in zip(views_of, pictures, strict=True)
    )
    return images, warnings


def _other(named: Sequence[View | None]) -> View:
    return next(view for view in named if view is not None)


def _one_page(picture: PicturePage, path: Path) -> tuple[tuple[_LoadedView, ...], list[str]]:
    """The one view of a picture, or both side by side."""
    image, warnings = picture.image, list(picture.warnings)
    rows, columns = image.shape
    view = view_in_path(path)
    if rows < MIN_ASPECT * columns:
        image = without_empty_sides(image, (4, 3, 2) if view else (2, 1.5, 1))
        rows, columns = image.shape
    if holds_two_bodies(without_seam(image)) or (view is None and rows < MIN_ASPECT * columns):
        images: tuple[_LoadedView, ...] = _side_by_side(without_seam(image), str(path))
        warnings.append("the left half was taken as anterior, the right half as posterior")
        if view is not None:
            warnings.append("it shows two bodies: the view in its name was not used")
    elif view is not None:
        if rows < MIN_ASPECT * columns:
            raise NotABoneScanError(
                path,
                f"{rows} x {columns} pixels are too wide for one view, perhaps stretched or "
                f"padded, and two bodies cannot be seen",
                "Give each view in its own proportions",
            )
        check_geometry(rows, columns, None, str(path))
        decision = views.ViewDecision(view=view, rule=ViewRule.FILE_NAME)
        images = (_LoadedView(decision=decision, image=image),)
        if not view_in_path_is_plain(path):
            warnings.append(f"only the file name says that it is the {view.value} view")
    else:
        check_geometry(rows, columns, None, str(path))
        check_outline(image, str(path))
        raise unnamed_picture(path)
    return images, warnings


def _side_by_side(
    image: NDArray[np.float32], source: str, frame: SourceFrame | None = None
) -> tuple[_LoadedView, ...]:
    """The two views of an AP|PA picture."""
    left, right = (without_frame(half)[0] for half in halves(image))
    check_geometry(left.shape[0], left.shape[1], None, source)
    return tuple(
        _LoadedView(
            decision=views.ViewDecision(view=view, rule=ViewRule.PICTURE_HALF),
            image=half,
            frame=frame and replace(frame, left=start),
        )
        for view, half, start in zip(
            View, (left, right), (0, image.shape[1] - right.shape[1]), strict=True
        )
    )


def _source_frames(checked: CheckedHeader) -> tuple[SourceFrame, ...]:
    """Where the images that are used of a file lie in it."""
    shape = checked.layout.rows, checked.layout.columns
    return tuple(
        SourceFrame(shape=shape, number=frame.index + 1, turned=turned)
        for frame, turned in zip(checked.photopeak.frames, checked.upside_down, strict=True)
    )


def _load_dicom(content: bytes, path: Path) -> _LoadedFile:
    source = str(path)
    header = parse(content, path, pixels=True)
    checked = check_dicom_header(header, path)
    layout, photopeak = checked.layout, checked.photopeak
    stored, pixel_warnings = read_images(header, layout, photopeak.frames, source)
    images, unit, unit_warnings = in_known_unit(stored, header, layout)
    images = tuple(
        image[::-1, ::-1] if upside_down else image
        for image, upside_down in zip(images, checked.upside_down, strict=True)
    )
    warnings = [*checked.warnings, *pixel_warnings, *unit_warnings]
    side_by_side = checked.is_side_by_side or (
        checked.may_be_side_by_side and holds_two_bodies(without_seam(images[0]))
    )
    if side_by_side and any(checked.upside_down):
        raise InputError(
            source, "both views are in one image that is upside down", "Give each view upright"
        )
    frames = _source_frames(checked)
    if side_by_side:
        loaded = _side_by_side(images[0], source, frames[0])
        unit = PixelUnit.INTENSITY
        warnings.append(
            "both views in one image: left half taken as anterior, right half as posterior"
        )
        if checked.decisions != (None,):
            warnings.append("it shows two bodies: the view that its header or name says was unused")
    else:
        loaded = tuple(
            _LoadedView(decision=decision, image=image, detector=used.detector, frame=frame)
            for used, image, decision, frame in zip(
                photopeak.frames, images, checked.decisions, frames, strict=True
            )
        )
    return _LoadedFile(
        images=loaded,
        unit=unit,
        acquisition=_acquisition(header, photopeak, content),
        pixel_spacing_mm=None if side_by_side else checked.pixel_spacing_mm,
        facts=facts_of(header, checked),
        instance_uid=header.text("SOPInstanceUID"),
        patient_number=patient_number(header),
        warnings=tuple(warnings),
    )


def _acquisition(header: Header, photopeak: PhotopeakFrames, content: bytes) -> Acquisition:
    from pydicom.uid import UID

    return Acquisition(
        modality="NM",
        manufacturer=maker_of(header.text("Manufacturer")),
        camera=camera_of(header.text("ManufacturerModelName")),
        year=year_of(header),
        image_type=image_type_of(header.texts("ImageType")),
        transfer_syntax=UID(header.transfer_syntax).name,
        energy_window_kev=photopeak.window_kev,
        file_sha256=(sha256(content),),
        burned_in_text=burned_in_text(header) is True,
    )


def _assembled(files: Sequence[_LoadedFile], study: StudyFiles, id_key: bytes | None) -> Scan:
    """One scan from what its files gave."""
    source = study.source
    loaded, assumed = _by_view(files, source)
    images = {view: entry.image for view, entry in loaded.items()}
    _check_alike(files, source)
    for view, image in images.items():
        if image.max() == 0 and any(other.max() > 0 for other in images.values()):
            raise InputError(source, f"every pixel of its {view.value} view is 0", _EXPORT_AGAIN)
        check_outline(image, source)
    images, padded = _of_one_size(images, source)
    warnings = [text for file in files for text in file.warnings] + list(assumed)
    acquisition = replace(_joined(files, loaded), frames=_frames_of(loaded, images))
    if acquisition.burned_in_text:
        warnings.append(
            "its header says that text is part of the pixels (Burned In Annotation): pictures of "
            "it may show a name"
        )
    unit, unlike = _common_unit(files, loaded)
    warnings += [*unlike, *padded, *study.warnings]
    key = id_key if id_key is not None else identity.PUBLIC_SCAN_KEY
    patient = None
    if id_key is not None:
        number = files[0].patient_number
        patient = identity.hashed_identifier(identity.Identifier.PATIENT, number, id_key=id_key)
    return Scan(
        anterior=images.get(View.ANTERIOR),
        posterior=images.get(View.POSTERIOR),
        pixel_spacing_mm=files[0].pixel_spacing_mm,
        unit=unit,
        scan_id=_scan_id(files, images, key),
        patient_id=f"pt-{patient}" if patient else None,
        acquisition=acquisition,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _by_view(
    files: Sequence[_LoadedFile], source: str
) -> tuple[dict[View, _LoadedView], tuple[str, ...]]:
    """The images by view, and warnings about assumed views."""
    loaded = [
        replace(entry, frame=entry.frame and replace(entry.frame, file=place))
        for place, file in enumerate(files)
        for entry in file.images
    ]
    decisions, assumed = views.assume_by_detector(
        tuple(entry.detector for entry in loaded), tuple(entry.decision for entry in loaded)
    )
    by_view: dict[View, _LoadedView] = {}
    rules: dict[View, ViewRule] = {}
    for entry, decision in zip(loaded, decisions, strict=True):
        view = decision.view
        if view in by_view:
            raise ViewConflictError(
                source,
                f"two images claim to be {view.value} "
                f"(by {rules[view].value} and by {decision.rule.value})",
                "Correct the view names, or give the files one by one",
            )
        by_view[view], rules[view] = replace(entry, decision=decision), decision.rule
    return {view: by_view[view] for view in View if view in by_view}, assumed


def _check_alike(files: Sequence[_LoadedFile], source: str) -> None:
    """Refuse two files that cannot be of one scan."""
    first, *others = files
    for other in others:
        if first.facts is None or other.facts is None:
            differ: tuple[str, ...] = () if first.unit is other.unit else ("what a pixel means",)
        else:
            differ = first.facts.differences(other.facts)
        if "patient" in differ:
            raise InputError(source, "its two files are of different patients", _ONE_SCAN)
        if differ:
            raise InputError(source, f"its two files differ in {', '.join(differ)}", _ONE_SCAN)


def _common_unit(
    files: Sequence[_LoadedFile], loaded: Mapping[View, _LoadedView]
) -> tuple[PixelUnit, tuple[str, ...]]:
    """Counts if every view is in counts; a warning names a view that alone is not."""
    grey = [
        view.value
        for view, entry in loaded.items()
        if entry.frame is None or files[entry.frame.file].unit is PixelUnit.INTENSITY
    ]
    if not grey:
        return PixelUnit.COUNTS, ()
    if len(grey) == len(loaded):
        return PixelUnit.INTENSITY, ()
    return PixelUnit.INTENSITY, (
        f"its {grey[0]} view is not in counts: the scan was not taken as counts",
    )


def _of_one_size(
    images: dict[View, NDArray[np.float32]], source: str
) -> tuple[dict[View, NDArray[np.float32]], tuple[str, ...]]:
    """Views padded to one size, where they differ by a few rows or columns.

    Public sets are cropped view by view. Rows are added below, columns on both sides, of the level
    that is commonest along the edges.
    """
    shapes = sorted({image.shape for image in images.values()})
    if len(shapes) < 2:
        return images, ()
    sizes = " and ".join(f"{rows} x {columns}" for rows, columns in shapes)
    (one, other), rows, columns = shapes, max(r for r, _ in shapes), max(c for _, c in shapes)
    if not sizes_agree(one, other):
        raise InputError(source, f"its views differ in size: {sizes}", _ONE_SCAN)
    padded = {
        view: np.pad(
            image,
            (
                (0, rows - image.shape[0]),
                ((columns - image.shape[1]) // 2, (columns - image.shape[1] + 1) // 2),
            ),
            constant_values=np.median(np.concatenate([image[:, 0], image[:, -1]])),
        )
        for view, image in images.items()
    }
    return padded, (f"its views differ in size, {sizes}: padded to {rows} x {columns}",)


def _scan_id(
    files: Sequence[_LoadedFile], images: dict[View, NDArray[np.float32]], key: bytes
) -> str:
    study_uid = files[0].facts.study if files[0].facts else ""
    instance_uids = [file.instance_uid for file in files]
    if study_uid and all(instance_uids):
        return identity.scan_id_from_uids(study_uid, instance_uids, key=key)
    return identity.scan_id_from_images([images[view] for view in View if view in images], key=key)


def _joined(files: Sequence[_LoadedFile], loaded: Mapping[View, _LoadedView]) -> Acquisition:
    hashes = tuple(digest for file in files for digest in file.acquisition.file_sha256)
    burned_in = any(file.acquisition.burned_in_text for file in files)
    rules = {view: entry.decision.rule for view, entry in loaded.items() if entry.decision}
    return replace(
        files[0].acquisition, view_rules=rules, file_sha256=hashes, burned_in_text=burned_in
    )


def _frames_of(
    loaded: Mapping[View, _LoadedView], images: Mapping[View, NDArray[np.float32]]
) -> dict[View, SourceFrame]:
    """Where each view lies in its file, columns that were added to it included."""
    return {
        view: replace(
            entry.frame,
            left=entry.frame.left - (images[view].shape[1] - entry.image.shape[1]) // 2,
        )
        for view, entry in loaded.items()
        if entry.frame is not None
    }
