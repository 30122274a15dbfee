"""The results folder of a reader study: JSON, workbook, sentences, figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bonescint.files import make_folder, require_own, write_whole
from bonescint.mrmc.analysis import ReaderAnalysis
from bonescint.mrmc.covariance import CovarianceMethod
from bonescint.mrmc.figures import draw_figure_7, draw_froc, draw_roc
from bonescint.mrmc.obuchowski_rockette import OrAnalysis
from bonescint.mrmc.results import MOST_DF, Difference, Generalisation, Inference, df_text
from bonescint.mrmc.standalone import StandaloneVsReaders
from bonescint.scan import RESEARCH_USE
from bonescint.tables import ResultTable, write_workbook

_METHODS = {
    CovarianceMethod.DELONG: "DeLong's method",
    CovarianceMethod.JACKKNIFE: "the jackknife",
    CovarianceMethod.UNBIASED: "unbiased U-statistics",
    CovarianceMethod.BOOTSTRAP: "the bootstrap over cases",
}


def p_text(p: float) -> str:
    """Write a p value as papers print it.

    Examples:
        >>> p_text(0.0512), p_text(0.00004), p_text(math.nan)
        ('p = 0.051', 'p < 0.001', 'p undefined')
    """
    if math.isnan(p):
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def interval_text(inference: Inference) -> str:
    """Write a figure with its interval and level."""
    if math.isnan(inference.low):
        return f"{inference.value:.3f} (no interval)"
    level = f"{100 * inference.level:g} %"
    return f"{inference.value:.3f} ({level} CI {inference.low:.3f} to {inference.high:.3f})"


def sentences(analysis: ReaderAnalysis) -> tuple[str, ...]:
    """Write sentences for the methods and the results of a paper.

    Args:
        analysis: analysis of a study.

    Returns:
        One sentence per finding; never empty.

    Examples:
        >>> from bonescint.mrmc import RoeMetz, Settings, analyse_readers
        >>> from bonescint.mrmc import simulate_reads
        >>> study = simulate_reads(RoeMetz(), readers=3, positives=20, negatives=20, seed=1)
        >>> print(sentences(analyse_readers(study, settings=Settings(draws=50)))[0])
        3 readers read 40 cases (20 with disease) in 2 modalities; design: factorial.
    """
    study, headline = analysis.reads, analysis.headline
    modalities, design = len(study.modalities), analysis.figures_of_merit.design.value
    found = [
        f"{_count(len(study.readers), 'reader')} read {_count(len(study.cases), 'case')} "
        f"({int(study.truth.sum())} with disease) in "
        f"{_count(modalities, 'modality', 'modalities')}; design: {design}."
    ]
    best = _best(headline)
    if best is not None:
        found += [
            _mean(headline, best, row) for row in range(len(headline.figures_of_merit.modalities))
        ]
        if modalities > 1:
            found += _compared(headline, best)
            found += _margin_sentences(analysis, headline, best)
    for by_method in analysis.standalone.values():
        found.append(_standalone(by_method[analysis.settings.method], analysis.settings.margin))
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
    """A modality in a sentence: a name of several words is put in quotes."""
    return f"modality '{modality}'" if " " in modality else f"modality {modality}"


def _typical(analysis: ReaderAnalysis) -> list[str]:
    """Medians and interquartile ranges over readers and resamples, and F1, as in the paper."""
    found = []
    endpoint = analysis.figures_of_merit.endpoint
    f1_of = {(one.who, one.modality): one.f1 for one in analysis.decisions.accuracies}
    for row, modality in enumerate(analysis.figures_of_merit.modalities):
        values = analysis.figures_of_merit.values[row]
        known = values[~np.isnan(values)]
        if known.size < 2:
            continue
        lower, median, upper = np.quantile(known, [0.25, 0.5, 0.75])
        f1 = [of.value for (_, where), of in f1_of.items() if where == modality and of.defined]
        also = f", median F1 {np.median(f1):.3f}" if f1 else ""
        found.append(
            f"Over the readers of {_named(modality)} the median {endpoint} was "
            f"{median:.3f} (IQR {upper - lower:.3f}){also}."
        )
    for one in analysis.resampled:
        if one.modality or not one.draws.size:
            continue
        lower, median, upper = np.quantile(one.draws, [0.25, 0.5, 0.75])
        of_model = f1_of.get((one.who, ""))
        also = f", F1 {of_model.value:.3f}" if of_model and of_model.defined else ""
        found.append(
            f"Over {one.draws.size} bootstrap samples of the cases the model's median "
            f"{endpoint} was {median:.3f} (IQR {upper - lower:.3f}){also}."
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
    result = headline.to(to)
    test = result.test
    if test is None or math.isnan(test.p):
        return []
    degrees = f"({df_text(test.df)})"
    if test.statistic == "F":
        degrees = f"({df_text(test.df)}, {df_text(test.denominator_df)})"
    statistic = f"{test.statistic}{degrees} = {test.value:.2f}, {p_text(test.p)}"
    if len(result.differences) > 1:
        found = [f"Over all modalities: {statistic} ({to.value})."]
        return found + [_difference(headline, one, "") for one in result.differences]
    return [_difference(headline, result.differences[0], f"; {statistic}")]


def _difference(headline: OrAnalysis, one: Difference, more: str) -> str:
    p = "" if more else f"; {p_text(one.difference.p)}"
    return (
        f"The {headline.endpoint} in {_named(one.first)} minus that in {_named(one.second)} was "
        f"{interval_text(one.difference)}{more}{p}."
    )


def _margin_sentences(
    analysis: ReaderAnalysis, headline: OrAnalysis, to: Generalisation
) -> list[str]:
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


def _standalone(one: StandaloneVsReaders, margin: float | None) -> str:
    to = next((to for to in Generalisation if not math.isnan(one.to(to).se)), Generalisation.FRRC)
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


_SIGNATURE = "esearch use only. Not a medical device."  # 0.1 wrote "For research"
_TEXTS = ("analysis.json", "analysis.xlsx", "sentences.txt")
_FILES = (*_TEXTS, "roc.png", "figure-7.png", "froc.png")
_INFERENCE = ("value", "low", "high", "se", "df", "t", "p")


def require_free_place(folder: Path) -> None:
    """Make sure that no file is overwritten that an earlier analysis did not write.

    Raises:
        OutputError: one would be.
    """
    require_own(folder, _FILES, mark=_FILES[0], signature=_SIGNATURE)


def write_analysis(
    analysis: ReaderAnalysis,
    folder: Path,
    *,
    source: str = "",
    model: str = "",
    title: str = "",
    entries: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write everything that was found.

    Args:
        analysis: analysis of a study.
        folder: made if it is not there.
        source: what the reads came from, for the settings.
        model: what the predictions came from, for the settings.
        title: title of every file and every sheet; none if empty.
        entries: more to put at the head of the JSON.

    Returns:
        Names of the files: `analysis.json`, `analysis.xlsx`, `sentences.txt`, figures.

    Raises:
        OutputError: the folder cannot be written to, or holds files of other origin.
        MissingExtraError: openpyxl or matplotlib is not installed; `analysis.json` is written.
    """
    require_free_place(folder)
    make_folder(folder)
    for name in _FILES[1:]:  # remove what an earlier analysis left
        (folder / name).unlink(missing_ok=True)
    found = write_json(
        analysis, folder / "analysis.json", source=source, model=model, entries=entries
    )
    said = "\n".join((*([title, ""] if title else []), *sentences(analysis), RESEARCH_USE)) + "\n"
    write_whole(folder / "sentences.txt", said)
    _write_workbook(found, folder / "analysis.xlsx", title)
    drawn = [
        draw(analysis, folder / name, title=f"{caption}: {title}" if title else "")
        for draw, name, caption in (
            (draw_roc, "roc.png", "ROC curves"),
            (draw_figure_7, "figure-7.png", "AUC, reading time and F1"),
            (draw_froc, "froc.png", "FROC curves of marked foci"),
        )
    ]
    return (*_TEXTS, *(path.name for path in drawn if path is not None))


def write_json(
    analysis: ReaderAnalysis,
    path: Path,
    *,
    source: str = "",
    model: str = "",
    entries: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an analysis as JSON and return what was written; see `write_analysis`.

    Raises:
        OutputError: it cannot be written.
    """
    settings = {"reads": source, **({"predictions": model} if model else {})}
    found = {**(entries or {}), **analysis.as_dict()}
    found["settings"] = {**settings, **found["settings"]}
    text = json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_whole(path, text)
    return found


def _write_workbook(found: Mapping[str, Any], path: Path, title: str) -> None:
    sheets = []
    for name, rows in _sheets(found):
        columns = tuple(dict.fromkeys(column for row in rows for column in row))
        cells = tuple(tuple(_value(row, column) for column in columns) for row in rows)
        if rows:
            sheets.append(ResultTable(name=name, columns=columns, rows=cells))
    heading = f"{title}. {RESEARCH_USE}" if title else ""
    about = [heading or RESEARCH_USE]
    write_workbook(sheets, path, about=about, heading=heading, footer=RESEARCH_USE)


def _sheets(found: Mapping[str, Any]) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    yield "Figures of merit", list(found["figures_of_merit"])
    yield "Tests", list(_tests(found))
    yield "Modalities", list(_of_generalisations(found, "modalities"))
    yield "Differences", list(_of_generalisations(found, "differences"))
    yield "Each reader", list(_of_generalisations(found, "readers"))
    yield "Components", list(_components(found))
    yield "Margins", list(_margins(found))
    yield "U-statistics", list(_u(found))
    yield "Model", list(_model(found))
    yield (
        "Model, each reader",
        [{**names, **_flat(row)} for names, one in _of_model(found) for row in one["readers"]],
    )
    yield "Decisions", [_flat(row) for row in found["decisions"]["right"]]
    yield "Pairs", [_flat(row) for row in found["decisions"]["pairs"]]
    yield "Reading times", list(found["reading_times"])
    yield "Bootstrap", list(found["bootstrap"])
    yield "Notes", list(found["notes"])
    yield "Settings", list(_settings(found))


def _settings(found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    yield {"setting": "use", "value": RESEARCH_USE}
    for part in ("settings", "study"):
        for name, value in found[part].items():
            said = ", ".join(map(str, value)) if isinstance(value, list) else value
            yield {"setting": name.replace("_", " "), "value": said}


def _generalised(found: Mapping[str, Any]) -> Iterable[tuple[dict[str, Any], Mapping[str, Any]]]:
    for method, analysis in found["covariances"].items():
        for to, one in analysis["generalisations"].items():
            yield {"covariance": method, "generalises to": to}, one


def _tests(found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for names, one in _generalised(found):
        if one["test"] is not None:
            yield {**names, **one["test"]}


def _of_generalisations(found: Mapping[str, Any], part: str) -> Iterable[dict[str, Any]]:
    for names, one in _generalised(found):
        for row in one.get(part, ()):
            yield {**names, **row}


def _components(found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for method, analysis in found["covariances"].items():
        for part in ("mean_squares", "error_covariances", "reader_components", "dbm_components"):
            for name, value in (analysis[part] or {}).items():
                yield {
                    "covariance": method,
                    "of": part.replace("_", " "),
                    "component": name,
                    "value": value,
                }


def _margins(found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for method, analysis in found["covariances"].items():
        for to, rows in analysis.get("margins", {}).items():
            for row in rows:
                yield {"covariance": method, "generalises to": to, **_flat(row)}
    for of, one in _of_model(found):
        for to, row in one.get("margins", {}).items():
            names = {"first": "model", "second": f"readers of {of['modality']}"}
            yield {"covariance": of["covariance"], "generalises to": to, **names, **_flat(row)}


def _u(found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for row in (found["u_statistics"] or {}).get("modalities", ()):
        figures = {name: row[name] for name in _INFERENCE}
        yield {"of": f"modality {row['modality']}", **figures, **row["moments"]}
    for row in (found["u_statistics"] or {}).get("differences", ()):
        yield {"of": f"{row['first']} minus {row['second']}", **{n: row[n] for n in _INFERENCE}}


def _of_model(found: Mapping[str, Any]) -> Iterable[tuple[dict[str, Any], Mapping[str, Any]]]:
    for modality, by_method in found["model_against_readers"].items():
        for method, one in by_method.items():
            yield {"modality": modality, "covariance": method}, one


def _model(found: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    for names, one in _of_model(found):
        for to, row in one["readers_less_model"].items():
            yield {
                **names,
                "generalises to": to,
                "model": one["model"]["value"],
                "readers' mean": one["readers_mean"],
                **{f"readers minus model: {name}": row[name] for name in _INFERENCE},
                "MS(R)": one["mean_square_reader"],
                "Var": one["var"],
                "Cov2": one["cov2"],
            }


def _flat(row: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested entries as columns of their own."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{before}{name}: "))
        else:
            flat[before + name] = value
    return flat


def _value(row: Mapping[str, Any], name: str) -> Any:
    """The value of a workbook's cell; very many degrees of freedom are called infinite."""
    value = row.get(name)
    if not name.endswith("df"):
        return value
    if value is None:  # JSON has no infinite number; without a p value there is none at all
        p = row.get(name.removesuffix("df").removesuffix("denominator_") + "p")
        return None if p is None or row.get("statistic") == "X2" else "infinite"
    return "infinite" if value > MOST_DF else value
