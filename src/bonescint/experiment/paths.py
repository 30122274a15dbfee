"""Where a run of an experiment keeps its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaths:
    """Where a run keeps what.

    Attributes:
        root: the run folder.
        manifest: of the cohort.
    """

    root: Path
    manifest: Path

    def model(self, name: str) -> Path:
        """The model folder of a model that is trained here."""
        return self.root / "models" / name

    def predictions(self, name: str) -> Path:
        """`scan_id, mbd_probability` of validation and test."""
        return self.root / "predictions" / f"{name}.csv"

    def results(self, name: str) -> Path:
        """What `classify` wrote: maps, and one picture per scan."""
        return self.root / "predictions" / name

    def evaluation(self, name: str) -> Path:
        """Report, figures, tables of one model."""
        return self.root / "evaluation" / name

    @property
    def check(self) -> Path:
        """What a check of the cohort found, and the paper's Table 1."""
        return self.root / "cohort-check"

    def robustness(self, name: str) -> Path:
        """Table of one model on worse scans."""
        return self.root / "robustness" / f"{name}.csv"

    def map_sanity(self, name: str) -> Path:
        """Table of one model's maps against those of random weights."""
        return self.root / "map-sanity" / f"{name}.csv"

    @property
    def splits(self) -> Path:
        """`scan_id, centre, split, label` of the cohort."""
        return self.root / "splits.csv"

    @property
    def figures(self) -> Path:
        """Figures of the report that are of no model alone, as PNG and SVG."""
        return self.root / "figures"

    @property
    def tables(self) -> Path:
        """Tables of the report as CSV."""
        return self.root / "tables"

    @property
    def report(self) -> Path:
        """The page of the whole experiment."""
        return self.root / "report.html"

    @property
    def pdf(self) -> Path:
        """The same on paper."""
        return self.root / "report.pdf"
