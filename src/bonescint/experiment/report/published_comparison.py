"""Figures as a paper published them, beside those of an experiment."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from bonescint.cohort import Manifest
from bonescint.evaluate import Estimate, Measure, Resampling, ScoredCases, resampled
from bonescint.experiment.evaluation.results import EvaluationResult, estimate_of
from bonescint.experiment.report.experiment_sections import Results, model_table
from bonescint.experiment.spec import ExperimentSpec
from bonescint.report.document_page import PageSection, PageTable
from bonescint.scan import Split
from bonescint.schema import PackagedYaml, construct

_PACKAGED = PackagedYaml(package="bonescint.experiment", folder="published", noun="published")
_COMPLEMENTS = {
    "false_positive_rate": "specificity_score",
    "false_negative_rate": "sensitivity_score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFigure:
    """One figure.

    Attributes:
        measure: its name in our tables.
        words: for people.
        text: as printed.
        of: number of scans that a share is of; `None` if it is no share.
    """

    measure: str
    words: str
    text: str
    of: int | None = None

    @property
    def misfit(self) -> str:
        """Why no whole number of scans gives the printed share; empty if one does.

        Examples:
            >>> printed = {"measure": "m", "words": "Specificity", "of": 587}
            >>> PublishedFigure(text="80.45 %", **printed).misfit
            '80.45 % is no whole number of 587 scans (472 are 80.41 %, 473 are 80.58 %)'
            >>> PublishedFigure(text="80.41 %", **printed).misfit
            ''
        """
        if self.of is None:
            return ""
        printed = self.text.removesuffix("%").strip()
        places = len(printed.partition(".")[2])
        below = int(float(printed) / 100 * self.of)
        shares = {count: f"{100 * count / self.of:.{places}f}" for count in (below, below + 1)}
        if printed in shares.values():
            return ""
        near = ", ".join(f"{count} are {share} %" for count, share in shares.items())
        return f"{self.text} is no whole number of {self.of} scans ({near})"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedSubset:
    """Figures of a part of the test scans, with as many positives as negatives.

    Attributes:
        scans: number of scans in the part.
        resamples: number of resamples of the bootstrap.
        figures: in the paper's order.
    """

    scans: int
    resamples: int
    figures: tuple[PublishedFigure, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedText:
    """A figure that this report has no counterpart of, or shows elsewhere.

    Attributes:
        words: for people.
        text: as printed.
    """

    words: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The figures of one paper.

    Attributes:
        name: name of the experiment.
        source: where they stand, and of what scans they are.
        figures: the figures of all test scans, in the paper's order.
        subset: the figures of a part of them.
        readers: the figures of physicians on the same part.
        pictures: the probabilities of the scans that it shows.
        splits: the scans with and without disease of each split, by centre.
    """

    name: str
    source: str
    figures: tuple[PublishedFigure, ...]
    subset: PublishedSubset
    readers: tuple[PublishedText, ...]
    pictures: tuple[PublishedText, ...]
    splits: Mapping[Split, Mapping[str, tuple[int, int]]]


def published_names() -> tuple[str, ...]:
    """Names of the papers that come with the package.

    Examples:
        >>> published_names()
        ('ibrahim2023',)
    """
    return _PACKAGED.names()


def read_published(name: str) -> Published:
    """The figures of a paper.

    Raises:
        ParameterError: no paper of that name.

    Examples:
        >>> paper = read_published("ibrahim2023")
        >>> [figure.text for figure in paper.figures][:2], paper.subset.scans
        (['0.897', '82.2 %'], 134)
    """
    content, source = _PACKAGED.read(name)
    return construct(Published, content, source, "Reinstall bonescint")


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsetFigures:
    """What a model reaches on as many test scans as readers were shown, drawn by chance.

    Attributes:
        median: median area under the ROC curve over resamples.
        interquartile_range: interquartile range of the same.
        f1: at the operating point; NaN if nothing is positive.
        scans: in the part; fewer than wanted where a class has too few.
    """

    median: float
    interquartile_range: float
    f1: float
    scans: int


def subset_figures(
    cases: ScoredCases, threshold: float, *, scans: int, resamples: int, seed: int = 1
) -> SubsetFigures:
    """Draw as many positives as negatives, and resample them as Ibrahim et al. 2023 did.

    The median and the interquartile range are of the area under the ROC curve over resamples
    that are drawn from the part with replacement, whatever their class.

    Args:
        cases: the test split, in the order of the cohort: models of one experiment are then judged
            on the same part.
        threshold: probability from which a scan is called positive.
        scans: in the part, both classes together.
        resamples: number of resamples of the part.
        seed: seed of the part and the resamples.

    Raises:
        ParameterError: one class only.

    Examples:
        >>> cases = ScoredCases(scores=np.array([0.1, 0.9] * 50), positive=np.array([0, 1] * 50))
        >>> subset_figures(cases, 0.5, scans=60, resamples=20)
        SubsetFigures(median=1.0, interquartile_range=0.0, f1=1.0, scans=60)
    """
    rng = np.random.default_rng([seed, 134])
    order = rng.permutation(cases.count)
    count = min(scans // 2, cases.positives, cases.negatives)
    chosen = np.zeros(cases.count, dtype=bool)
    for label in (True, False):
        chosen[order[cases.positive[order] == label][:count]] = True
    found = resampled(
        cases.of(chosen), threshold, Resampling(resamples=resamples, stratified=False, seed=seed)
    )
    areas = found.drawn[:, found.names.index("roc_auc_score")]
    low, median, high = np.nanpercentile(areas, [25, 50, 75])
    return SubsetFigures(
        median=float(median),
        interquartile_range=float(high - low),
        f1=float(found.values[found.names.index("f1_score")]),
        scans=2 * count,
    )


def published_sections(
    spec: ExperimentSpec,
    results: Results,
    cohort: Manifest,
    seconds_a_scan: Mapping[str, float],
    page: Path,
) -> Iterator[PageSection]:
    """The section, if the experiment names a paper.

    Args:
        spec: the experiment.
        results: the result of every model.
        cohort: cohort of the experiment.
        seconds_a_scan: seconds per scan that prediction takes, by model.
        page: of the report, for links.
    """
    if not spec.published:
        return
    paper = read_published(spec.published)
    head = f"{paper.name}, as published"
    by_readers = "no reader study given" if spec.reader_study is None else "see the reader study"
    tables = (
        *_all_scans(paper, head, results),
        _subset(paper, head, results, seconds_a_scan),
        _texts(
            f"Physicians on the paper's {paper.subset.scans} scans", head, paper.readers, by_readers
        ),
        _texts(
            "Probabilities of the scans shown",
            head,
            paper.pictures,
            "see section Explanation, measured",
        ),
        _split_table(paper, head, cohort),
    )
    yield PageSection(
        title="Comparison with the published results",
        paragraphs=(
            f"{paper.source}. Our results are on other scans; the two are not tested "
            f"against each other. How many items of CLAIM and STARD each reports is in the "
            f"sections of these names.",
        ),
        tables=tables,
        links=_link(spec, page),
    )


def _link(spec: ExperimentSpec, page: Path) -> tuple[tuple[str, str], ...]:
    """To the page of the reader study, if there is one, as the report reaches it."""
    if spec.reader_study is None:
        return ()
    address = quote(Path(os.path.relpath(spec.reader_study, page.parent)).as_posix())
    return (("A model beside the readers of a reader study on these scans", address),)


def _all_scans(paper: Published, head: str, results: Results) -> Iterator[PageTable]:
    """Of all test scans, at the operating point and at 0.5."""
    for caption, measures, note in (
        ("At the operating point", _at_point, _misfits(paper)),
        ("At 0.5", _at_half, ""),
    ):
        rows = (
            (figure, *(_beside(measures(one), figure.measure) for one in results.values()))
            for figure in paper.figures
        )
        yield _models_table(caption, head, results, rows, note=note)


def _texts(caption: str, head: str, texts: Sequence[PublishedText], ours: str) -> PageTable:
    """Figures of the paper that this page has no counterpart of."""
    return PageTable(
        caption=caption,
        columns=("", head, "this experiment"),
        rows=tuple((one.words, one.text, ours) for one in texts),
        numeric=(1,),
    )


def _split_table(paper: Published, head: str, cohort: Manifest) -> PageTable:
    """Table 1: scans with and without disease, by split and centre."""
    rows = []
    for split, centres in paper.splits.items():
        ours = cohort.split(split)
        counted = {
            centre: [sum(case.positive is ill for case in ours if case.centre == centre)
                     for ill in (True, False)]
            for centre in sorted({case.centre for case in ours} | centres.keys())
        }  # fmt: skip
        for centre, found in counted.items():
            published = centres.get(centre)
            rows.append(
                (
                    f"{split.value}, centre {centre}",
                    "" if published is None else f"{published[0]} with, {published[1]} without",
                    f"{found[0]} with, {found[1]} without",
                )
            )
        all_of_them = [sum(column) for column in zip(*centres.values(), strict=True)]
        ill = sum(case.positive for case in ours)
        rows.append(
            (
                f"{split.value}, all",
                f"{all_of_them[0]} with, {all_of_them[1]} without",
                f"{ill} with, {len(ours) - ill} without",
            )
        )
    return PageTable(
        caption="Scans with and without metastases",
        columns=("", head, "this experiment"),
        rows=tuple(rows),
        numeric=(1, 2),
    )


def _misfits(paper: Published) -> str:
    """What is said of printed shares that no whole number of scans gives."""
    found = [figure.misfit for figure in paper.figures if figure.misfit]
    return f"Printed as published: {'; '.join(found)}." if found else ""


def _models_table(
    caption: str,
    head: str,
    results: Results,
    rows: Iterable[Sequence[Any]],
    note: str,
) -> PageTable:
    """Published figures, and those of every model beside them."""
    cells = ((figure.words, figure.text, *ours) for figure, *ours in rows)
    return model_table(caption, (head, *results), cells, note=note)


def _at_point(result: EvaluationResult) -> tuple[Measure, ...]:
    return result.performance


def _at_half(result: EvaluationResult) -> tuple[Measure, ...]:
    return (result.performance[0], *result.judgement.at_half)


def _beside(measures: tuple[Measure, ...], measure: str) -> str:
    if measure == "roc_auc_score":
        return estimate_of(measures, measure).text()
    if measure in _COMPLEMENTS:
        found = estimate_of(measures, _COMPLEMENTS[measure])
        found = Estimate(value=1 - found.value, low=1 - found.high, high=1 - found.low)
    else:
        found = estimate_of(measures, measure)
    if not found.defined:
        return "undefined"
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _subset(
    paper: Published, head: str, results: Results, seconds_a_scan: Mapping[str, float]
) -> PageTable:
    """On as many scans as the paper's readers saw."""
    wanted = paper.subset
    found = {
        name: subset_figures(
            result.judgement.cases,
            result.threshold,
            scans=wanted.scans,
            resamples=wanted.resamples,
        )
        for name, result in results.items()
    }
    drawn = next(iter(found.values())).scans
    rows = []
    for figure in wanted.figures:
        ours = (_of_subset(figure, one, seconds_a_scan.get(name)) for name, one in found.items())
        rows.append((figure, *ours))
    return _models_table(
        f"On {drawn} randomly drawn test scans, with equal classes",
        head,
        results,
        rows,
        note=f"The paper's {wanted.scans} scans and {wanted.resamples} resamples, drawn "
        f"regardless of class. F1 at the operating point. Time: reading as in the section Time.",
    )


def _of_subset(figure: PublishedFigure, part: SubsetFigures, seconds: float | None) -> str:
    if figure.measure == "median_roc_auc_score":
        return f"{part.median:.3f} ({part.interquartile_range:.3f})"
    if figure.measure == "f1_score":
        return f"{part.f1:.3f}"
    if seconds is None:
        return ""
    if figure.measure == "seconds_a_scan":
        return f"{seconds:.2f} s"
    return f"{part.scans * seconds:.0f} s"
