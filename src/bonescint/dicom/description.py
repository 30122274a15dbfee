"""What `bonescint info` shows of a study; nothing in it identifies a patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bonescint.dicom.discovery import StudyFiles, discover
from bonescint.dicom.reading import read_study
from bonescint.scan import InputError, PixelUnit, Scan, View, ViewRule

INFO_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewInfo:
    """One view of a study.

    Attributes:
        view: anterior or posterior.
        rule: the rule that told it.
        total: sum of its pixels, in the scan's unit.
        maximum: its largest pixel, in the scan's unit.
    """

    view: View
    rule: ViewRule
    total: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanInfo:
    """One study as it was read.

    Attributes:
        scan_id: keyed hash of its UIDs or pixels.
        source: the path as shown to the user.
        files: names of its files.
        views: the views that are present, anterior first.
        rows: rows of each view.
        columns: columns of each view.
        pixel_spacing_mm: distance between rows and between columns, or `None`.
        unit: what a pixel means.
        modality: `"NM"` or `"picture"`.
        manufacturer: maker of the camera, or `None`.
        camera: model of the camera, or `None`.
        image_type: DICOM Image Type, or `None`.
        transfer_syntax: name of the transfer syntax or picture format, or `None`.
        energy_window_kev: window that was used, or `None`.
        warnings: what was tolerated or assumed.
    """

    scan_id: str
    source: str
    files: tuple[str, ...]
    views: tuple[ViewInfo, ...]
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    unit: PixelUnit
    modality: str
    manufacturer: str | None
    camera: str | None
    image_type: str | None
    transfer_syntax: str | None
    energy_window_kev: tuple[float, float] | None
    warnings: tuple[str, ...]

    def lines(self) -> list[str]:
        """A line for each thing that is known of the scan, or that is unknown."""
        spacing, window = self.pixel_spacing_mm, self.energy_window_kev
        seen = {
            view.view: f"total {view.total:,.0f}, maximum {view.maximum:,.0f} {self.unit.value}; "
            f"identified by {view.rule.value}"
            for view in self.views
        }
        camera = " ".join(filter(None, (self.manufacturer, self.camera)))
        lines = [
            ("Scan", self.scan_id),
            ("Source", self.source),
            *((view.value.capitalize(), text) for view, text in seen.items()),
            *((view.value.capitalize(), "missing") for view in View if view not in seen),
            ("Matrix", f"{self.rows} rows x {self.columns} columns"),
            ("Spacing", f"{spacing[0]:g} x {spacing[1]:g} mm" if spacing else "unknown"),
            ("Energy window", f"{window[0]:g} to {window[1]:g} keV" if window else "unknown"),
            ("Camera", camera or "unknown"),
            ("Stored as", ", ".join(filter(None, (self.modality, self.transfer_syntax)))),
            *(("Warning", warning) for warning in self.warnings),
        ]
        return [f"{label + ':':<16}{text}" for label, text in lines]


@dataclass(frozen=True, slots=True)
class InfoReport:
    """What `info` found: a description for each study, a reason for each refused file."""

    scans: tuple[ScanInfo, ...]
    refused: tuple[InputError, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary, the one that `bonescint info --json` prints."""
        return {
            "schema_version": INFO_SCHEMA_VERSION,
            "scans": [asdict(described) for described in self.scans],
            "refused": [
                {
                    "source": error.source,
                    "kind": type(error).__name__,
                    "reason": f"{error.problem}. {error.remedy}.",
                }
                for error in self.refused
            ],
        }


def describe(scan: Scan, study: StudyFiles) -> ScanInfo:
    """Describe a scan that was read from a study's files.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> path = Path(get_testdata_file("JPGExtended.dcm", download=False))
        >>> study = StudyFiles((path,), "scan.dcm")
        >>> described = describe(read_study(study), study)
        >>> described.camera, described.views[0].rule.value
        ('MILLENNIUM MG', 'GE private view name')
    """
    acquisition = scan.acquisition
    rows, columns = scan.shape
    return ScanInfo(
        scan_id=scan.scan_id,
        source=study.source,
        files=tuple(path.name for path in study.files),
        views=tuple(
            ViewInfo(
                view=view,
                rule=acquisition.view_rules[view],
                total=scan.total(view),
                maximum=float(image.max()),
            )
            for view, image in scan.images()
        ),
        rows=rows,
        columns=columns,
        pixel_spacing_mm=scan.pixel_spacing_mm,
        unit=scan.unit,
        modality=acquisition.modality,
        manufacturer=acquisition.manufacturer,
        camera=acquisition.camera,
        image_type=acquisition.image_type,
        transfer_syntax=acquisition.transfer_syntax,
        energy_window_kev=acquisition.energy_window_kev,
        warnings=scan.warnings,
    )


def info(sources: str | Path | Sequence[str | Path]) -> InfoReport:
    """Describe every study among files and folders; never raises for a file.

    Args:
        sources: a path or several; see `discover`.

    Examples:
        >>> from pydicom.data import get_testdata_file
        >>> report = info(get_testdata_file("JPGExtended.dcm", download=False))
        >>> report.scans[0].rows, report.scans[0].columns, report.scans[0].pixel_spacing_mm
        (1024, 256, (2.26, 2.26))
    """
    found = discover([sources] if isinstance(sources, str | Path) else list(sources))
    scans: list[ScanInfo] = []
    refused = list(found.refused)
    for study in found.studies:
        try:
            scans.append(describe(read_study(study), study))
        except InputError as error:
            refused.append(error)
    return InfoReport(scans=tuple(scans), refused=tuple(refused))
