"""A quantified scan as Structured Reports: one of the whole scan and its regions, one of the foci.

There are two for the reason that `bonescint.dicom.results.report` gives. Both follow template
TID 1500; foci are planar regions of interest (TID 1410), one for each view that shows them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bonescint.classify.bone_codes import REGION_CODES, code_of_bone
from bonescint.classify.delivery import algorithm_facts
from bonescint.dicom import StudyFiles
from bonescint.dicom.results import AlgorithmFacts
from bonescint.dicom.results.report_parts import (
    Code,
    area,
    document,
    outlined_group,
    own_evaluation,
    own_number,
    probability,
    scan_group,
    site,
    view_group,
)
from bonescint.dicom.results.results import ResultContext, encoded, made_of
from bonescint.explain.regions import outline_of
from bonescint.files import make_folder, write_whole
from bonescint.quantify import SHOWN_FROM, MassTable
from bonescint.scan import SiteGroup

if TYPE_CHECKING:
    from bonescint.model import ModelFolder
    from bonescint.quantify import BoneScanIndex, FocusInView, MatchedFocus, QuantifiedScan

_INDEX: Code = ("bsi", "Bone Scan Index")
_LOW: Code = ("bsi-low", "Bone Scan Index, lower end of the 95 % interval")
_HIGH: Code = ("bsi-high", "Bone Scan Index, upper end of the 95 % interval")
_METASTASES: Code = ("metastases", "Number of foci that are called metastases")
_SHOWN: Code = ("foci", "Number of foci in the report of foci")
_MASSES: Code = ("bone-masses", "Table of bone masses")
_SHARE: Code = ("share-of-bone", "Area as a share of all bones of the view")
_CONTRAST: Code = ("contrast", "Uptake relative to the usual uptake of the bone")
_NOISE: Code = ("cnr", "Contrast-to-noise ratio")
_LEAST_NAMED = 0.01
"""Less probable kinds of a focus are left out."""


class QuantifiedReport(StrEnum):
    """The reports of a quantified scan; the value is part of the file's name."""

    QUANTITIES = "quantities"
    """Of the whole scan: index, interval, regions."""
    FOCI = "foci"
    """Of the foci, if any is shown and they can be relied on."""


def quantified_reports(
    study: StudyFiles, found: QuantifiedScan, *, masses: MassTable, algorithm: AlgorithmFacts
) -> dict[QuantifiedReport, bytes]:
    """Make the reports of a quantified scan, in new series of its own study.

    As `result_objects` does, patient and study are copied, and a second run gives the same bytes.

    Args:
        study: the files that the scan was read from.
        found: the quantified scan, unchanged since it was read.
        masses: the table of the index, also where there is no index.
        algorithm: the model.

    Returns:
        DICOM files; there is no report of foci if there is none to show, no call, or if the bones
        were not found well.

    Raises:
        InputError: a file is not DICOM, or lacks the UIDs that reports refer to.
        MissingExtraError: the extra `pacs` is not installed.
        ParameterError: the scan was changed since it was read.
    """
    settings = (f"Bone masses: {masses.value}",)
    context = ResultContext.read(study, found.scan, found.prediction, algorithm, settings)
    with made_of(study.source):
        return dict(_made(context, found))


def written_reports(
    study: StudyFiles,
    found: QuantifiedScan,
    model: ModelFolder,
    masses: MassTable,
    folder: Path,
    stem: str,
) -> tuple[Path, ...]:
    """Write the reports of a quantified scan as `<stem>.<kind>.dcm`.

    Args:
        study: the files that the scan was read from.
        found: the quantified scan.
        model: the model.
        masses: the table of the index.
        folder: made if it does not exist.
        stem: start of the files' names.

    Returns:
        The paths.

    Raises:
        InputError: as `quantified_reports` does.
        OutputError: a file cannot be written.
    """
    reports = quantified_reports(study, found, masses=masses, algorithm=algorithm_facts(model))
    make_folder(folder)
    paths = {folder / f"{stem}.{kind.value}.dcm": content for kind, content in reports.items()}
    for path, content in paths.items():
        write_whole(path, content)
    return tuple(paths)


def _made(
    context: ResultContext, found: QuantifiedScan
) -> Iterator[tuple[QuantifiedReport, bytes]]:
    groups = [_whole(context, found), *_regions(context, found)]
    kind = QuantifiedReport.QUANTITIES
    yield kind, encoded(context, document(context, kind.value, groups))
    foci = [_focus(context, focus, shown) for focus in _reported(found) for shown in focus.in_views]
    if foci:
        kind = QuantifiedReport.FOCI
        yield kind, encoded(context, document(context, kind.value, foci))


def _reported(found: QuantifiedScan) -> tuple[MatchedFocus, ...]:
    """The foci of the report of foci: none that are not to be relied on."""
    return () if found.is_doubtful else found.shown_foci


def _whole(context: ResultContext, found: QuantifiedScan) -> Any:
    """The group of the whole scan: the index, what it is based on, and the remarks."""
    shown = own_number(_SHOWN, len(_reported(found)))
    if found.index is None:
        return scan_group(context, [shown], words=_plain(found.remarks))
    index = found.index
    ends = [
        own_number(code, round(value, 4), percent=True)
        for code, value in ((_LOW, index.low), (_HIGH, index.high))
        if value is not None
    ]
    measured = [
        own_number(_INDEX, round(index.percent, 4), percent=True),
        *ends,
        own_number(_METASTASES, index.metastases),
        shown,
    ]
    table = own_evaluation(_MASSES, (index.table.value, index.table.in_words[:64]))
    return scan_group(
        context, measured, evaluated=[table], words=_plain((*found.remarks, *_on(index)))
    )


def _on(index: BoneScanIndex) -> Iterator[str]:
    """What the index is based on, in words."""
    yield f"Bone masses: {index.table.source}"
    if index.low is None:
        yield "The index has no interval, since the pixels are not counts."
    yield f"Foci in the report of foci have a probability of {SHOWN_FROM:g} or more."


def _plain(sentences: tuple[str, ...]) -> tuple[str, ...]:
    """Sentences in ASCII, which every character set includes."""
    text = [sentence.strip().replace("\u00b2", "2") for sentence in sentences]
    ended = (part if part.endswith((".", "!", "?")) else f"{part}." for part in text)
    return tuple(part.encode("ascii", "replace").decode() for part in ended)


def _regions(context: ResultContext, found: QuantifiedScan) -> Iterator[Any]:
    """Area of each region that a view shows."""
    for view in found.scan.views:
        for name, of in found.region_areas(view).items():
            share, area_mm2 = of["share_of_bone"], of["area_mm2"]
            if not share:
                continue
            measured = [own_number(_SHARE, round(100 * share, 3), percent=True)]
            if area_mm2 is not None:
                measured.append(area(area_mm2))
            where = site(REGION_CODES[name])
            yield view_group(context, name.capitalize(), view, where=where, measured=measured)


def _focus(context: ResultContext, focus: MatchedFocus, shown: FocusInView) -> Any:
    """A focus as one view shows it; probability and bone are those of both views together."""
    measured = [
        probability(focus.probability),
        own_number(_CONTRAST, round(shown.contrast, 3)),
        own_number(_SHARE, round(100 * shown.share_of_bone, 4), percent=True),
    ]
    if shown.contrast_to_noise is not None:
        measured.append(own_number(_NOISE, round(shown.contrast_to_noise, 2)))
    if shown.area_mm2 is not None:
        measured.append(area(shown.area_mm2))
    for name, of in shown.finding_probabilities.items():
        if of >= _LEAST_NAMED and name != SiteGroup.METASTASIS:
            measured.append(own_number(finding_code(name), round(100 * of, 2), percent=True))
    code, side = code_of_bone(focus.bone)
    return outlined_group(
        context,
        f"Focus {focus.number}",
        shown.view,
        outline_of(shown.mask) + np.array([shown.top, shown.left]),
        key=f"focus {focus.number}, {shown.view.value} view",
        where=site(code, side),
        measured=measured,
    )


def finding_code(name: str) -> Code:
    """The code of the probability of a finding.

    Examples:
        >>> finding_code("rib fracture")
        ('p-rib-fracture', 'Probability of rib fracture')
    """
    return "p-" + "-".join(re.findall(r"[a-z0-9]+", name.lower())), f"Probability of {name}"[:64]
