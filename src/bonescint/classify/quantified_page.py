"""The tables and the page of quantified scans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bonescint.classify.results import Refusal
from bonescint.files import write_table
from bonescint.report.document_page import (
    Document,
    PageFigure,
    PageSection,
    PageTable,
)

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
    "findings",
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
_MOST_PICTURES = 200


def write_tables(out: Path, scans: Sequence[dict[str, Any]], *, detectability: bool) -> None:
    """Write `scans.csv`, `foci.csv` and, if wanted, `detectability.csv`.

    Args:
        out: the results folder.
        scans: results, as they stand in `results.json`.
        detectability: whether detection limits were estimated.
    """
    write_table(out / "scans.csv", SCAN_COLUMNS, [_scan_row(one) for one in scans])
    foci = [_focus_row(one["scan_id"], focus) for one in scans for focus in one["foci"]]
    write_table(out / "foci.csv", FOCUS_COLUMNS, foci)
    if not detectability:
        (out / "detectability.csv").unlink(missing_ok=True)  # of an earlier run
        return
    limits = [
        (one["scan_id"], *limit.values())
        for one in scans
        for limit in one.get("detection_limits") or ()
    ]
    write_table(out / "detectability.csv", LIMIT_COLUMNS, limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifiedPage:
    """The page of quantified scans, with what it says about the run.

    Attributes:
        notice: statement about the model.
        model_id: the model.
        bone_masses: the table of bone masses, in words.
        bone_masses_source: source of that table.
        detectability: whether detection limits were estimated.
        figures: folder of the figures, `KEY.webp` for a scan whose picture is `KEY.png`.
    """

    notice: str
    model_id: str
    bone_masses: str
    bone_masses_source: str
    detectability: bool
    figures: Path

    def document(self, done: Sequence[dict[str, Any]], refused: Sequence[Refusal]) -> Document:
        """The page of some results; scans beyond 200 are listed without their pictures.

        Args:
            done: results, as they stand in `results.json`.
            refused: inputs that gave no result.
        """
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
                        note=f"Bone masses: {self.bone_masses}. {self.bone_masses_source}",
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
            notice=self.notice,
            created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            facts=(("Model", self.model_id), ("Bone masses", self.bone_masses)),
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
            caption = "Contrast at which a lesion of 10 mm is found with a probability of 80 %"
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
        content = (self.figures / Path(picture).with_suffix(".webp").name).read_bytes()
        return PageFigure(caption=caption, content=content, media_type="image/webp", wide=True)


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
        note="Lesions were added to this scan; then model and detection of foci were run again.",
        numeric=(1, 2, 3),
    )


def index_text(index: dict[str, Any] | None) -> str:
    """An index from a result, with its interval.

    Examples:
        >>> index_text({"percent": 0.4, "low": None, "high": None})
        '0.40 (no interval: the pixels are not counts)'
        >>> index_text({"percent": 2.1, "low": 1.7, "high": 2.6})
        '2.10 (1.70 to 2.60)'
        >>> index_text(None)
        'none'
    """
    from bonescint.quantify import index_in_words

    if index is None:
        return "none"
    return index_in_words(index["percent"], index["low"], index["high"])


def metastases_in(one: dict[str, Any]) -> int:
    """Number of foci of a result that are called metastases."""
    from bonescint.quantify import METASTASIS_FROM

    return sum(focus["probability"] >= METASTASIS_FROM for focus in one["foci"])


def _focus_table(one: dict[str, Any]) -> PageTable:
    from bonescint.quantify import SHOWN_FROM, findings_in_words

    shown = [focus for focus in one["foci"] if focus["probability"] >= SHOWN_FROM]
    # Without a pixel spacing no area of the scan is known.
    known = all(view["area_mm2"] is not None for focus in shown for view in focus["views"])
    area, factor = ("area_mm2", 0.01) if known else ("share_of_bone", 100)
    rows = []
    for focus in shown:
        clearest = _clearest(focus)
        rows.append(
            (
                str(focus["number"]),
                focus["bone"],
                f"{focus['probability']:.2f}",
                findings_in_words(focus["finding_probabilities"]),
                "+".join(_LETTERS[view["view"]] for view in focus["views"]),
                f"{clearest['contrast']:.1f}",
                " / ".join(f"{factor * view[area]:.1f}" for view in focus["views"]),
            )
        )
    return PageTable(
        caption="Foci",
        columns=(
            "number",
            "bone",
            "metastasis",
            "may be",
            "views",
            "contrast",
            "area, cm²" if known else "area, % of all bone",
        ),
        rows=tuple(rows),
        note="Foci whose probability of a metastasis is at least "
        f"{SHOWN_FROM:g}; foci.csv has all. Contrast: uptake relative to the usual uptake of the "
        "bone, its neighbours and the same bone of the other side.",
        numeric=(2, 5, 6),
    )


def _clearest(focus: dict[str, Any]) -> dict[str, Any]:
    """The view that names the bone of a focus (`bonescint.quantify.focus_network.clearest`)."""

    def seen(view: dict[str, Any]) -> tuple[float, float]:
        return view["contrast_to_noise"] or 0, view["contrast"]

    return max(focus["views"], key=seen)


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
    from bonescint.quantify import findings_in_words

    views = {view["view"]: view for view in focus["views"]}
    clearest = _clearest(focus)

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
        findings_in_words(focus["finding_probabilities"]),
    )
