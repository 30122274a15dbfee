"""`bonescint results`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bonescint.cli.console import NOTHING_DONE, open_in_browser, say, say_notice
from bonescint.cli.group import command, command_group
from bonescint.cli.options import AsJson, Open

results_app = command_group(
    """Results of many runs: join them into one table, summarise an archive.

    Needs the extra: pip install 'bonescint[cluster]'. For research use only, not a medical
    device."""
)

Folders = Annotated[
    list[str],
    typer.Argument(help="Results folders, Parquet files, addresses (s3://...).", metavar="RESULTS"),
]


@command(results_app)
def join(
    results: Folders,
    *,
    out: Path = Path("all.parquet"),
    where: str = "",
    several_models: bool = False,
    as_json: AsJson = False,
) -> int:
    """Join the results of many runs into one table in Parquet.

    RESULTS are results folders of any release, such as the shards of one run or the runs of many
    sites. Each row is a scan or a refused input; the column results says which folder it comes
    from. Results that must not be mixed are refused with one line: results of different models or
    settings, two different results of one model for one scan, tables of a newer release.

    A scan that two folders have with the same result is kept once. Different scans with the same
    identifiers, as some anonymisers make them, get a hash in their scan_id. Tables may be larger
    than memory. Activation maps are not joined; they stay in the folders' own tables.

    Args:
        out: The Parquet file.
        where: Keep only the rows that meet this condition, an SQL expression over the columns. It
            cannot read any other file.
        several_models: Keep results of different models or settings; the columns model_id and
            settings distinguish them.

    Columns: scan_id, source, site, year, manufacturer, camera, views, mbd_probability, call,
    positive, uncertain, ood_score, unlike, rank_higher_than, rank_of, conformal_p_value, warnings,
    picture, refusal, reason, content_sha256, model_id, model_sha256, operating_point, settings,
    software, results.

    Examples:
      bonescint results join results/*/ --out all.parquet
      bonescint results join results/*/ --where "mbd_probability > 0.5 and not unlike"
      bonescint results join all.parquet --where "camera like 'Sym%'" --out symbia.parquet
      bonescint results join all.parquet --where "refusal is not null" --out refused.parquet
      bonescint results join s3://results/run-7/ --out run-7.parquet

    Read it with any of these:
      python -c "import pandas; print(pandas.read_parquet('all.parquet'))"
      duckdb -c "select camera, count(*) from 'all.parquet' group by camera"
    """
    from bonescint.classify.archive import join_results

    summary = join_results(results, out, where=where, several_models=several_models)
    if as_json:
        typer.echo(json.dumps(summary.to_json(), indent=1))
    for message in summary.messages():
        say(message)
    return 0 if summary.scans or summary.refused else NOTHING_DONE


@command(results_app)
def summarise(table: Path, *, out: Path = Path("summary"), opens: Open = True) -> None:
    """Summarise an archive's results on one page, which needs no network.

    TABLE is a joined table (bonescint results join), or one results folder. The page has counts by
    year, scanner and site: how many scans are called positive, uncertain, unlike the training
    scans, or not called, and how many inputs were refused, with reasons; a histogram of the
    probabilities; and a sample of pictures, if the results folders have not been moved. It names no
    source.

    Args:
        table: Joined table, or a results folder.
        out: Folder for the page and its tables.

    Written to the folder:
      index.html        the page
      by-year.csv, by-scanner.csv, by-site.csv, by-model.csv
      refused.csv       reasons for refusal, with the number of inputs
      histogram.csv     number of scans by probability

    Examples:
      bonescint results summarise all.parquet --out summary/
      bonescint results summarise results/ --out summary/
    """
    from bonescint.classify.archive import summarise_results
    from bonescint.classify.archive.parts import counted

    found = summarise_results(table, out)
    page = out / "index.html"
    if opens:
        open_in_browser(page.resolve().as_uri())
    total = found.total
    scans, refused = counted(total.scans, "scan"), counted(total.refused, "refused input")
    say_notice(f"{scans} and {refused}: {page}")
