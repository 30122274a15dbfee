"""Reads the scans of `results.json` or `results.csv` one at a time, however many there are."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bonescint.files import from_inert, json_in
from bonescint.scan import InputError, os_reason

RESULTS_LINE = ' "results": ['
"""Layout of the file: the head, this line, one line per scan, the refused inputs."""

_LONGEST_HEAD = 4_000_000
_CLASSIFY_AGAIN = "Classify again"


def head_of(lines: Iterator[str]) -> dict[str, Any] | None:
    """Read the file's head with the facts of its run; `None` if bonescint did not write it.

    Args:
        lines: of the file; left at the first scan.
    """
    head: list[str] = []
    length = 0
    for line in lines:
        if line.startswith(RESULTS_LINE):
            break
        head.append(line)
        length += len(line)
        if length > _LONGEST_HEAD:
            return None
    else:
        return None
    try:
        document = json_in("".join(head).rstrip().removesuffix(",") + "}")
    except ValueError:
        return None
    software = document.get("software") if isinstance(document, dict) else None
    ours = isinstance(software, dict) and "bonescint" in software and "schema_version" in document
    return document if ours else None


def stored_head(path: Path) -> dict[str, Any]:
    """The head of a `results.json`, with the facts of its run.

    Raises:
        InputError: it cannot be read, or bonescint did not write it.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            head = head_of(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(path, f"cannot be read ({os_reason(error)})", _CLASSIFY_AGAIN) from error
    if head is None:
        raise InputError(
            path,
            "is not a results.json of bonescint classify",
            "Give the folder that classify wrote",
        )
    return head


def stored_records(path: Path) -> Iterator[dict[str, Any]]:
    """The scans of a `results.json`, then its refused inputs, one at a time.

    Raises:
        InputError: it cannot be read, or was cut off.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            head_of(lines)
            for line in lines:
                if line.startswith(" ]"):
                    break
                yield json_in(line.rstrip().removesuffix(","))
            yield from json_in("{" + "".join(lines))["refused"]
    except (OSError, ValueError, KeyError) as error:
        reason = os_reason(error) if isinstance(error, OSError) else "its end is missing"
        raise InputError(path, f"cannot be read ({reason})", _CLASSIFY_AGAIN) from error


def csv_records(path: Path) -> Iterator[dict[str, Any]]:
    """The scans of a `results.csv` of any release, as entries of `results.json`.

    A CSV file has neither model, camera nor refused inputs.

    Raises:
        InputError: it cannot be read, or a column or a number is missing.
    """
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                cells = {name: from_inert(cell or "") for name, cell in row.items() if name}
                yield _csv_record(cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"cannot be read ({os_reason(error)})", _CLASSIFY_AGAIN) from error
    except (KeyError, ValueError) as error:
        what = f"the column {error}" if isinstance(error, KeyError) else "a number in a row"
        raise InputError(path, f"lacks {what}", _CLASSIFY_AGAIN) from error


def _csv_record(cells: dict[str, str]) -> dict[str, Any]:
    rank = re.fullmatch(r"(\d+) of (\d+)", cells.get("rank_among_normals", ""))
    score = cells.get("ood_score", "")
    return {
        "scan_id": cells["scan_id"],
        "source": cells["source"],
        "views": cells["views"].split("+"),
        "mbd_probability": float(cells["mbd_probability"]),
        "positive": {"true": True, "false": False}.get(cells["positive"]),
        "uncertain": cells.get("uncertain") == "true",
        "ood_score": float(score) if score else None,
        "unlike": cells.get("unlike") == "true",
        "rank_among_normals": rank and {"higher_than": int(rank[1]), "of": int(rank[2])},
        "warnings": list(filter(None, cells.get("warnings", "").split("; "))),
        "picture": cells.get("picture", ""),
    }
