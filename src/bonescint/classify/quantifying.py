"""Quantify scans and write the results folder: one JSON file, a table of foci, pictures, a page.

Each scan's result is a file of its own from the moment it is finished (`scans/`), so that an
interrupted run resumes: a scan whose files, model and settings are the same is not repeated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint import __version__
from bonescint.classify.classify import model_folder
from bonescint.classify.naming import SourceNames
from bonescint.classify.results import Refusal, notice_of
from bonescint.extras import require
from bonescint.files import (
    cannot_write,
    json_in,
    one_writer,
    require_own,
    write_table,
    write_whole,
)
from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
    write_document,
)
from bonescint.scan import BonescintError, InputError, PixelUnit, Scan

if TYPE_CHECKING:
    from bonescint.dicom import StudyFiles
    from bonescint.model import Classifier, ModelFolder
    from bonescint.quantify import MassTable, QuantifiedScan

FOCUS_COLUMNS = (
    "scan_id",
    "focus",
    "bone",
    "region",
    "probability",
    "views",
    "contrast",
    "contrast_to_noise",
    "area_mm2_anterior",
    "area_mm2_posterior",
    "share_of_bone_anterior",
    "share_of_bone_posterior",
)
SCAN_COLUMNS = (
    "scan_id",
    "source",
    "mbd_probability",
    "call",
    "bone_scan_index_percent",
    "low",
    "high",
    "bone_masses",
    "metastases",
    "remarks",
)
LIMIT_COLUMNS = ("scan_id", "bone", "contrast_found_in_80_percent", "found", "tried")
_SIGNATURE = '"made_by": "bonescint quantify"'
_MADE = (
    "results.json",
    "scans.csv",
    "foci.csv",
    "detectability.csv",
    "index.html",
    "pictures",
    "scans",
)
_FOLDERS = ("pictures", "scans", "dicom")
_KEY = re.compile("[0-9a-f]{24}")
"""Name of a scan's files: others are not ours to delete."""
_MOST_PICTURES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifySummary:
    """What a run of `quantify` did.

    Attributes:
        folder: the results folder.
        scans: the results, as they stand in `results.json`.
        refused: inputs that gave no result, and why.
    """

    folder: Path
    scans: tuple[dict[str, Any], ...]
    refused: tuple[Refusal, ...]


def quantify(
    sources: Sequence[Path | str],
    out: Path,
    *,
    model: Path | str | None = None,
    masses: MassTable | None = None,
    device: str = "cpu",
    call_anyway: bool = False,
    detectability: bool = False,
    dicom: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> QuantifySummary:
    """Quantify scans and write tables, pictures and a page.

    Args:
        sources: files, folders and archives.
        out: the results folder.
        model: a model folder; the shipped model if `None`.
        masses: the bones' shares of mass; Spiers' if `None`.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also give an index for scans that the model does not call.
        detectability: also find, for each bone, the contrast from which a lesion is found; takes
            about half a minute of one core per scan.
        dicom: also write each result as DICOM Structured Reports, for which the extra `pacs` is
            needed; a scan that is no DICOM has the reason in `not_delivered`.
        progress: called with the number of studies done and of all.

    Raises:
        MissingExtraError: reports are wanted and the extra `pacs` is not installed.
        ModelFolderError: the model is incomplete, altered or of a newer schema.
        OutputError: `out` cannot be written to, or holds files of other origin.
    """
    from bonescint.dicom import discover
    from bonescint.model import Classifier
    from bonescint.quantify import MassTable

    if dicom:
        require("highdicom", extra="pacs")
    folder = model_folder(model)
    run = _Run(
        folder=folder,
        masses=masses or MassTable.SPIERS,
        call_anyway=call_anyway,
        detectability=detectability,
        dicom=dicom,
        out=Path(out),
    )
    require_own(run.out, _MADE, mark="results.json", signature=_SIGNATURE)
    with one_writer(run.out):
        run.begin()
        found = discover(sources)
        names = SourceNames.relative(found, sources)
        refused = [_refusal(error, error.source, names) for error in found.refused]
        done: list[dict[str, Any]] = []
        total = len(found.studies) + len(refused)
        with Classifier(folder, device=device, call_anyway=call_anyway) as classifier:
            for study in found.studies:
                try:
                    done.append(run.result_of(study, names, classifier))
                except BonescintError as error:
                    refused.append(_refusal(error, study.source, names))
                if progress is not None:
                    progress(len(done) + len(refused), total)
        run.finish(done, refused)
    return QuantifySummary(folder=run.out, scans=tuple(done), refused=tuple(refused))


def _refusal(error: BonescintError, source: str, names: SourceNames) -> Refusal:
    given = Refusal.of(error, source=source)
    return Refusal(source=names.of(given.source), kind=given.kind, reason=names.clean(given.reason))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    folder: ModelFolder
    masses: MassTable
    call_anyway: bool
    detectability: bool
    dicom: bool
    out: Path

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "bonescint": __version__,
            "model_id": self.folder.model_id,
            "bone_masses": self.masses.value,
            "call_anyway": self.call_anyway,
            "detectability": self.detectability,
            **({"dicom": True} if self.dicom else {}),
        }

    def begin(self) -> None:
        try:
            for name in ("pictures", "scans"):
                (self.out / name).mkdir(parents=True, exist_ok=True)
            if not (self.out / "results.json").exists():
                self._write_json([], [])
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def result_of(
        self, study: StudyFiles, names: SourceNames, classifier: Classifier
    ) -> dict[str, Any]:
        """One scan's result, from an earlier run if nothing has changed."""
        from bonescint.dicom import read
        from bonescint.dicom.files import read_bytes, sha256

        files, source = study.files, names.of(study.source)
        said = json.dumps([sorted(sha256(read_bytes(file)) for file in files), self.facts])
        key = hashlib.sha256(said.encode()).hexdigest()[:24]
        record = self.out / "scans" / f"{key}.json"
        try:
            stored: dict[str, Any] = json_in(record.read_text(encoding="utf-8"))
            written = (stored["picture"], *stored.get("objects", ()))
            if all((self.out / name).is_file() for name in written):
                return {**stored, "source": source}
        except (OSError, ValueError, KeyError, TypeError):
            pass
        scan = read(list(files)) if len(files) > 1 else read(files[0])
        result = self._quantified(scan, classifier)
        picture = f"pictures/{key}.png"
        self._draw(result, self.out / picture)
        content = {**result.to_json(), "source": source, "picture": picture}
        if self.detectability:
            content |= self._limits(result, classifier, key)
        if self.dicom:
            content |= self._reports(study, names, result, key)
        write_whole(record, json.dumps(content))
        return content

    def _quantified(self, scan: Scan, classifier: Classifier) -> QuantifiedScan:
        from bonescint.quantify import quantify_scan

        prediction = classifier.predict(scan)
        return quantify_scan(scan, prediction, masses=self.masses, call_anyway=self.call_anyway)

    def _limits(self, result: QuantifiedScan, classifier: Classifier, key: str) -> dict[str, Any]:
        """The detection limits of a scan and their picture, or why there are none."""
        from bonescint.classify.quantified_picture import detectability_picture, png_of
        from bonescint.quantify import detection_limits

        if result.index is None:
            return {"detection_limits": None}
        if result.scan.unit is not PixelUnit.COUNTS or result.scan.pixel_spacing_mm is None:
            return {"detection_limits": None}
        limits = detection_limits(result.scan, result.body, classifier.predict)
        picture = f"pictures/{key}.detectability.png"
        drawn = detectability_picture(result, limits, notice=notice_of(self.folder))
        write_whole(self.out / picture, png_of(drawn))
        return {
            "detection_limits": [limit.to_json() for limit in limits],
            "detectability_picture": picture,
        }

    def _reports(
        self, study: StudyFiles, names: SourceNames, result: QuantifiedScan, key: str
    ) -> dict[str, Any]:
        """Paths of the DICOM reports of a scan, or why there are none."""
        from bonescint.classify.quantified_report import written_reports

        try:
            paths = written_reports(
                study, result, self.folder, self.masses, self.out / "dicom", key
            )
        except InputError as error:
            return {"objects": [], "not_delivered": names.clean(str(error))}
        return {"objects": [path.relative_to(self.out).as_posix() for path in paths]}

    def _draw(self, result: QuantifiedScan, path: Path) -> None:
        from bonescint.classify.quantified_picture import png_of, quantified_picture

        write_whole(path, png_of(quantified_picture(result, notice=notice_of(self.folder))))

    def _write_json(self, done: Sequence[dict[str, Any]], refused: Sequence[Refusal]) -> None:
        content = {
            "made_by": "bonescint quantify",
            "notice": notice_of(self.folder),
            **self.facts,
            "bone_masses_source": self.masses.source,
            "scans": list(done),
            "refused": [entry.to_json() for entry in refused],
        }
        write_whole(self.out / "results.json", json.dumps(content, indent=1))

    def finish(self, done: Sequence[dict[str, Any]], refused: Sequence[Refusal]) -> None:
        """Write the tables, the JSON file and the page."""
        self._write_json(done, refused)
        write_table(self.out / "scans.csv", SCAN_COLUMNS, [_scan_row(one) for one in done])
        write_table(
            self.out / "foci.csv",
            FOCUS_COLUMNS,
            [_focus_row(one["scan_id"], focus) for one in done for focus in one["foci"]],
        )
        limits = [
            (one["scan_id"], *limit.values())
            for one in done
            for limit in one.get("detection_limits") or ()
        ]
        if self.detectability:
            write_table(self.out / "detectability.csv", LIMIT_COLUMNS, limits)
        write_document(self.out / "index.html", self._page(done, refused))
        kept = {Path(one["picture"]).stem for one in done}
        for name in _FOLDERS:
            for file in (self.out / name).glob("*"):
                stem = file.name.split(".")[0]
                if stem not in kept and _KEY.fullmatch(stem):
                    file.unlink(missing_ok=True)

    def _page(self, done: Sequence[dict[str, Any]], refused: Sequence[Refusal]) -> Document:
        sections = [
            PageSection(
                title="Scans",
                tables=(
                    PageTable(
                        caption="Bone Scan Index, per cent of the skeleton's mass, with its 95 % "
                        "interval",
                        columns=("scan", "source", "probability", "call", "index", "metastases"),
                        rows=tuple(
                            (
                                one["scan_id"],
                                one["source"],
                                f"{one['mbd_probability']:.3f}",
                                one["call"],
                                index_text(one["bone_scan_index"]),
                                str(metastases_in(one)),
                            )
                            for one in done
                        ),
                        note=f"Bone masses: {self.masses.in_words}. {self.masses.source}",
                    ),
                ),
            )
        ]
        if refused:
            rows = tuple((entry.source, entry.reason) for entry in refused)
            table = PageTable(caption="Rejected inputs", columns=("input", "reason"), rows=rows)
            sections.append(PageSection(title="Rejected", tables=(table,)))
        sections += [self._section(one) for one in done[:_MOST_PICTURES]]
        return Document(
            title="Quantified bone scans",
            notice=notice_of(self.folder),
            created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            facts=(("Model", self.folder.model_id), ("Bone masses", self.masses.in_words)),
            sections=tuple(sections),
        )

    def _section(self, one: dict[str, Any]) -> PageSection:
        said = one["bone_scan_index"]
        figures = [
            self._figure(
                one["picture"], f"Scan {one['scan_id']}: outlined foci, and the twelve regions"
            )
        ]
        tables = [_focus_table(one)]
        warnings = list(one["remarks"])
        if one.get("detection_limits"):
            caption = "Contrast from which a lesion of 10 mm is found, with a probability of 80 %"
            figures.append(self._figure(one["detectability_picture"], caption))
            tables.append(_limit_table(one["detection_limits"], caption))
        elif self.detectability:
            warnings.append(
                "No detection limits: they need an index, counts and a known pixel spacing."
            )
        return PageSection(
            title=f"Scan {one['scan_id']}",
            paragraphs=(f"Bone Scan Index {index_text(said)} %" if said else "No index.",),
            warnings=tuple(warnings),
            figures=tuple(figures),
            tables=tuple(tables),
        )

    def _figure(self, picture: str, caption: str) -> PageFigure:
        import io

        from PIL import Image

        from bonescint.classify.quantified_picture import webp_of

        drawn = Image.open(io.BytesIO((self.out / picture).read_bytes())).convert("RGB")
        return PageFigure(
            caption=caption, content=webp_of(drawn), media_type="image/webp", wide=True
        )


def _limit_table(limits: Sequence[dict[str, Any]], caption: str) -> PageTable:
    return PageTable(
        caption=caption,
        columns=("bone", "contrast", "found", "added"),
        rows=tuple(
            (
                limit["bone"],
                "not found" if limit["contrast"] is None else f"{limit['contrast']:.1f}",
                str(limit["found"]),
                str(limit["tried"]),
            )
            for limit in limits
        ),
        note="Lesions were added to this scan, and model and foci were run again.",
        numeric=(1, 2, 3),
    )


def index_text(index: dict[str, Any] | None) -> str:
    """An index from a result, with its interval.

    Examples:
        >>> index_text({"percent": 2.1, "low": 1.7, "high": 2.6})
        '2.10 (1.70 to 2.60)'
        >>> index_text(None)
        'none'
    """
    if index is None:
        return "none"
    shown = f"{index['percent']:.2f}"
    if index["low"] is None:
        return shown
    return f"{shown} ({index['low']:.2f} to {index['high']:.2f})"


def metastases_in(one: dict[str, Any]) -> int:
    """Number of foci of a result that are called metastases."""
    from bonescint.quantify import METASTASIS_FROM

    return sum(focus["probability"] >= METASTASIS_FROM for focus in one["foci"])


def _focus_table(one: dict[str, Any]) -> PageTable:
    from bonescint.quantify import SHOWN_FROM

    shown = [focus for focus in one["foci"] if focus["probability"] >= SHOWN_FROM]
    rows = []
    for focus in shown:
        clearest = max(focus["views"], key=lambda view: view["contrast"])
        areas = [view["area_mm2"] for view in focus["views"]]
        rows.append(
            (
                str(focus["number"]),
                focus["bone"],
                f"{focus['probability']:.2f}",
                "+".join(_LETTERS[view["view"]] for view in focus["views"]),
                f"{clearest['contrast']:.1f}",
                " / ".join("?" if area is None else f"{area / 100:.1f}" for area in areas),
            )
        )
    return PageTable(
        caption="Foci",
        columns=("number", "bone", "metastasis", "views", "contrast", "area, cm²"),
        rows=tuple(rows),
        note=f"From a probability of {SHOWN_FROM:g} of a metastasis on; foci.csv has all. "
        "Contrast: uptake relative to the same, neighbouring and opposite bones.",
        numeric=(0, 2, 4, 5),
    )


_LETTERS = {"anterior": "AP", "posterior": "PA"}


def _scan_row(one: dict[str, Any]) -> tuple[object, ...]:
    index = one["bone_scan_index"] or {}
    return (
        one["scan_id"],
        one["source"],
        f"{one['mbd_probability']:.6f}",
        one["call"],
        index.get("percent", ""),
        "" if index.get("low") is None else index["low"],
        "" if index.get("high") is None else index["high"],
        index.get("bone_masses", ""),
        metastases_in(one),
        "; ".join(one["remarks"]),
    )


def _focus_row(scan_id: str, focus: dict[str, Any]) -> tuple[object, ...]:
    views = {view["view"]: view for view in focus["views"]}
    clearest = max(focus["views"], key=lambda view: view["contrast"])

    def of(view: str, name: str) -> object:
        value = views[view][name] if view in views else None
        return "" if value is None else value

    return (
        scan_id,
        focus["number"],
        focus["bone"],
        focus["region"],
        focus["probability"],
        "+".join(_LETTERS[view] for view in views),
        clearest["contrast"],
        "" if clearest["contrast_to_noise"] is None else clearest["contrast_to_noise"],
        of("anterior", "area_mm2"),
        of("posterior", "area_mm2"),
        of("anterior", "share_of_bone"),
        of("posterior", "share_of_bone"),
    )
