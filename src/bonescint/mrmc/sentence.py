"""What a paper says of a reader study."""

from __future__ import annotations

import math

import numpy as np

from bonescint.mrmc.against import ModelAgainstReaders
from bonescint.mrmc.analysis import ReaderAnalysis
from bonescint.mrmc.covariance import CovarianceMethod
from bonescint.mrmc.or_analysis import Difference, Generalisation, OrAnalysis
from bonescint.mrmc.testing import MOST_DF, Inference, df_text

_METHODS = {
    CovarianceMethod.DELONG: "DeLong's method",
    CovarianceMethod.JACKKNIFE: "the jackknife",
    CovarianceMethod.UNBIASED: "unbiased U-statistics",
    CovarianceMethod.BOOTSTRAP: "the bootstrap over cases",
}


def p_text(p: float) -> str:
    """A p value as papers print it.

    Examples:
        >>> p_text(0.0512), p_text(0.00004), p_text(math.nan)
        ('p = 0.051', 'p < 0.001', 'p undefined')
    """
    if math.isnan(p):
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def interval_text(inference: Inference) -> str:
    """The figure and its interval, with the level said."""
    if math.isnan(inference.low):
        return f"{inference.value:.3f} (no interval)"
    level = f"{100 * inference.level:g} %"
    return f"{inference.value:.3f} ({level} CI {inference.low:.3f} to {inference.high:.3f})"


def sentences(analysis: ReaderAnalysis) -> tuple[str, ...]:
    """Sentences for the methods and the results of a paper.

    Args:
        analysis: of a study.

    Returns:
        One a finding; never empty.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, Settings, analyse_readers
        >>> from bonescint.mrmc import simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=3, positives=20, negatives=20, seed=1)
        >>> print(sentences(analyse_readers(study, settings=Settings(draws=50)))[0])
        3 readers read 40 cases (20 with disease) in 2 modalities; design: factorial.
    """
    study, headline = analysis.reads, analysis.headline
    modalities = len(study.modalities)
    found = [
        f"{_count(len(study.readers), 'reader')} read {_count(len(study.cases), 'case')} "
        f"({int(study.truth.sum())} with disease) in "
        f"{_count(modalities, 'modality', 'modalities')}; design: {analysis.merits.design.value}."
    ]
    best = _best(headline)
    if best is not None:
        found += [_mean(headline, best, row) for row in range(len(headline.merits.modalities))]
        if modalities > 1:
            found += _compared(headline, best)
            found += _margins(analysis, headline, best)
    for by_method in analysis.against.values():
        found.append(_against(by_method[analysis.settings.method], analysis.settings.margin))
    found += _typical(analysis)
    method = _METHODS[analysis.settings.method]
    found.append(
        "Figures of merit were compared by the Obuchowski-Rockette method with the degrees of "
        f"freedom of Hillis; covariances were estimated by {method}; intervals end at 0 and 1, "
        "those of differences at -1 and 1 (bonescint, research use only)."
    )
    return tuple(found)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _named(modality: str) -> str:
    """A modality in a sentence: a name of several words stands in quotes."""
    return f"modality '{modality}'" if " " in modality else f"modality {modality}"


def _typical(analysis: ReaderAnalysis) -> list[str]:
    """Medians and interquartile ranges over readers and resamples, and F1, as in the paper."""
    found = []
    right = {(one.who, one.modality): one.f1 for one in analysis.decisions.right}
    for row, modality in enumerate(analysis.merits.modalities):
        values = analysis.merits.values[row]
        known = values[~np.isnan(values)]
        if known.size < 2:
            continue
        lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
        f1 = [of.value for (_, where), of in right.items() if where == modality and of.defined]
        also = f", median F1 {np.median(f1):.3f}" if f1 else ""
        found.append(
            f"Over the readers of {_named(modality)} the median {analysis.merits.endpoint} was "
            f"{median:.3f} (IQR {upper - lower:.3f}){also}."
        )
    for one in analysis.resampled:
        if one.modality or not one.draws.size:
            continue
        lower, median, upper = np.quantile(one.draws, [0.25, 0.5, 0.75])
        of_model = right.get((one.who, ""))
        also = f", F1 {of_model.value:.3f}" if of_model and of_model.defined else ""
        found.append(
            f"Over {one.draws.size} bootstrap samples of the cases the model's median "
            f"{analysis.merits.endpoint} was {median:.3f} (IQR {upper - lower:.3f}){also}."
        )
    return found


def _best(headline: OrAnalysis) -> Generalisation | None:
    """The widest generalisation that is defined."""
    for to in Generalisation:
        if any(not math.isnan(one.mean.se) for one in headline.to(to).means):
            return to
    return None


def _mean(headline: OrAnalysis, to: Generalisation, row: int) -> str:
    one = headline.to(to).means[row]
    return (
        f"In {_named(one.modality)} the readers' mean {headline.endpoint} was "
        f"{interval_text(one.mean)} ({to.value})."
    )


def _compared(headline: OrAnalysis, to: Generalisation) -> list[str]:
    generalised = headline.to(to)
    test = generalised.test
    if test is None or math.isnan(test.p):
        return []
    degrees = f"({df_text(test.df)})"
    if test.statistic == "F":
        degrees = f"({df_text(test.df)}, {df_text(test.denominator_df)})"
    statistic = f"{test.statistic}{degrees} = {test.value:.2f}, {p_text(test.p)}"
    if len(generalised.differences) > 1:
        found = [f"Over all modalities: {statistic} ({to.value})."]
        return found + [_difference(headline, one, "") for one in generalised.differences]
    return [_difference(headline, generalised.differences[0], f"; {statistic}")]


def _difference(headline: OrAnalysis, one: Difference, more: str) -> str:
    p = "" if more else f"; {p_text(one.difference.p)}"
    return (
        f"The {headline.endpoint} in {_named(one.first)} minus that in {_named(one.second)} was "
        f"{interval_text(one.difference)}{more}{p}."
    )


def _margins(analysis: ReaderAnalysis, headline: OrAnalysis, to: Generalisation) -> list[str]:
    margin = analysis.settings.margin
    if margin is None:
        return []
    found = []
    for one in headline.to(to).differences:
        names = _named(one.first), _named(one.second)
        found.append(_margin_text(*names, one.difference, margin))
    return found


def _margin_text(first: str, second: str, difference: Inference, margin: float) -> str:
    alike = difference.equivalence(margin)
    ways = [
        f"{one} {'was' if better.shown else 'was not shown to be'} non-inferior to {other} "
        f"(one-sided {p_text(better.p)})"
        for one, other, better in (
            (first, second, difference.non_inferiority(margin)),
            (second, first, difference.reversed().non_inferiority(margin)),
        )
    ]
    also = "was" if alike.shown else "was not"
    return (
        f"With a margin of {margin:g}, {ways[0]} and {ways[1]}; equivalence {also} shown "
        f"({p_text(alike.p)})."
    )


def _against(one: ModelAgainstReaders, margin: float | None) -> str:
    to = next((to for to in Generalisation if not math.isnan(one.to(to).se)), Generalisation.CASES)
    difference = one.to(to)
    degrees = "" if difference.df > MOST_DF else f", df {df_text(difference.df)}"
    found = (
        f"The model's {one.endpoint} was {interval_text(one.model)}; the "
        f"{_count(len(one.readers), 'reader')} of {_named(one.modality)} had a mean of "
        f"{one.readers_mean:.3f}, and readers minus model was {interval_text(difference)}"
        f"{degrees}, {p_text(difference.p)} ({to.value})."
    )
    if margin is not None:
        found += " " + _margin_text("the model", "the readers", difference.reversed(), margin)
    return found
