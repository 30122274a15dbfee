"""Comparison of two runs: the models of one minus the models of the other, on the same scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bonescint
from bonescint.cohort import read_manifest
from bonescint.evaluate import OperatingRule, Resampling
from bonescint.evaluate.tables import comparisons_table
from bonescint.experiment.evaluation.data import LabelledPredictions, join, read_predictions
from bonescint.experiment.evaluation.evaluate import compare_predictions
from bonescint.experiment.evaluation.json_form import rule_from, rule_in_words
from bonescint.experiment.evaluation.results import NOTICE, EvaluationSettings, ModelComparison
from bonescint.experiment.ledger import Ledger
from bonescint.experiment.paths import RunPaths, fingerprint
from bonescint.experiment.report.model_report import comparison_table
from bonescint.files import json_in, one_writer, require_own
from bonescint.report.document_page import Document, PageSection, write_document
from bonescint.scan import BonescintError, InputError, Split
from bonescint.tables import ResultTable, write_csv

_FINISH = "Finish the run first: start it again"
_NAMED = ("first_run", "first_model", "second_run", "second_model", "scans")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    """The predictions of a finished run.

    Attributes:
        path: the run folder.
        rule: that chose its operating points.
        models: predictions joined with the run's cohort, by the model's name.
    """

    path: Path
    rule: OperatingRule
    models: Mapping[str, LabelledPredictions]

    @classmethod
    def read(cls, path: Path) -> _Run:
        file = path / "study.json"
        try:
            content = json_in(file.read_text(encoding="utf-8"))
            spec, read = content["study"], content.get("manifest_sha256")
            manifest = _manifest(spec, path, file)
            names, saved = list(spec["models"]), spec["rule"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"is not a run folder ({type(error).__name__})"
            raise InputError(path, problem, "Give a folder of bonescint experiment run") from error
        paths = RunPaths(root=path, manifest=manifest)
        # A run that was restarted still has the predictions of its former settings.
        if unfinished := Ledger(paths.steps).unfinished():
            raise InputError(path, f"has not finished {', '.join(unfinished)}", _FINISH)
        if read not in (None, fingerprint(manifest)):
            raise InputError(manifest, f"has changed since the run {path} read it", _FINISH)
        cohort = read_manifest(manifest)
        models = {}
        for name in names:
            predictions = paths.predictions(name)
            if not predictions.is_file():
                raise InputError(predictions, "no such file", _FINISH)
            models[name] = join(read_predictions(predictions), cohort, source=predictions)
        return cls(path=path, rule=_saved_rule(saved, file), models=models)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A model of one run against a model of the other.

    Attributes:
        names: run and model of the first, run and model of the second.
        tested: how many test scans each has read.
        found: what the comparison gave.
    """

    names: tuple[str, str, str, str]
    tested: tuple[int, int]
    found: ModelComparison

    @property
    def section(self) -> PageSection:
        run, name, other_run, other_name = self.names
        first, second = (count - self.found.scans for count in self.tested)
        return PageSection(
            title=f"{run}: {name}, minus {other_run}: {other_name}",
            paragraphs=(
                f"{self.found.scans} test scans that both have read; left out are {first} that "
                f"only the first has read and {second} that only the second has read.",
            ),
            tables=(
                comparison_table("In closed form", self.found.closed),
                comparison_table("By resampling", self.found.resampled),
            ),
        )


def compare_runs(first: Path | str, second: Path | str, out: Path | str) -> Path:
    """Compare every model of a run with every model of another, paired.

    The scans that both runs tested are compared, whatever else their cohorts hold. Operating
    points are chosen by the runs' own rule; where they had two, by the first run's, and the page
    says so.

    Args:
        first: run folder of `run_experiment`.
        second: another one.
        out: folder for `comparison.html`, and for `comparison.csv` with the same figures at full
            precision.

    Returns:
        The page.

    Raises:
        InputError: a folder that is no finished run, a manifest that changed since, no common test
            scans of both classes, or scans whose label differs between the runs.
        OutputError: the page or the table cannot be written, or would overwrite another one.
    """
    page = Path(out) / "comparison.html"
    with one_writer(page.parent):
        table = page.with_suffix(".csv")
        require_own(
            page.parent, (table.name, page.name), mark=table.name, signature=",".join(_NAMED)
        )
        one, other = _Run.read(Path(first)), _Run.read(Path(second))
        pairs = _compared(one, other)
        page.unlink(missing_ok=True)
        write_csv(_table(pairs), table)
        write_document(page, _document(one, other, pairs))
    return page


def _compared(one: _Run, other: _Run) -> list[_Pair]:
    settings = EvaluationSettings(
        rule=one.rule, resampling=Resampling(resamples=2000), constant_allowed=True
    )
    return [
        _Pair(
            names=(one.path.name, name, other.path.name, other_name),
            tested=(len(ours.part(Split.TEST).cases), len(theirs.part(Split.TEST).cases)),
            found=compare_predictions(ours, theirs, settings, name=f"{other.path}: {other_name}"),
        )
        for name, ours in one.models.items()
        for other_name, theirs in other.models.items()
    ]


def _document(one: _Run, other: _Run, pairs: Sequence[_Pair]) -> Document:
    sections = [pair.section for pair in pairs]
    if other.rule.words != one.rule.words:
        said = (
            f"The runs had different rules. All operating points here follow the rule of the "
            f"first run, {one.rule.words}; the second run's was: {other.rule.words}."
        )
        sections.insert(0, PageSection(title="Operating points", warnings=(said,)))
    return Document(
        title="Comparison of two runs",
        notice=NOTICE,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        facts=(
            ("First", str(one.path)),
            ("Second", str(other.path)),
            ("Operating points", one.rule.words + ", on each run's validation split"),
            ("Software", f"bonescint {bonescint.__version__}"),
        ),
        sections=tuple(sections),
    )


def _table(pairs: Sequence[_Pair]) -> ResultTable:
    """Every difference of every pair, a row each."""
    columns: tuple[str, ...] = ()
    rows = []
    for pair in pairs:
        found = comparisons_table("", "", (*pair.found.closed, *pair.found.resampled))
        columns = found.columns
        rows += [(*pair.names, pair.found.scans, *row) for row in found.rows]
    return ResultTable(
        name="comparison",
        title="Comparison of two runs",
        columns=(*_NAMED, *columns),
        rows=tuple(rows),
    )


def _manifest(spec: Mapping[str, Any], run: Path, file: Path) -> Path:
    """The cohort that a run was given, or the one that it simulated.

    Raises:
        InputError: it does not exist.
    """
    given = spec["cohort"]["manifest"]
    manifest = run / "cohort" / "manifest.csv" if given is None else Path(given)
    if not manifest.is_file():
        problem = f"the run's cohort {manifest} does not exist"
        remedy = "Restore it; a relative path starts from where the run was started"
        raise InputError(file, problem, remedy)
    return manifest


def _saved_rule(content: object, file: Path) -> OperatingRule:
    """The rule of a run; runs of release 0.1 saved its words.

    Raises:
        InputError: no rule of this release.
    """
    try:
        return rule_in_words(content) if isinstance(content, str) else rule_from(content)
    except (ValueError, BonescintError):
        problem = f"the rule of the operating point '{content}' is not known to this release"
        remedy = "Use the release that wrote the run, or update bonescint"
        raise InputError(file, problem, remedy) from None
