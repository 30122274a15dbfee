"""Pictures of calls, drawn at the operating point that an evaluation judges them at.

The pictures of `bonescint classify` show the call and the colours of the model's own one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from bonescint.cohort import Manifest, truth_of
from bonescint.experiment.evaluation.maps import MappedScan, scan_at_hand
from bonescint.explain import explain
from bonescint.scan import Case

WIDTH = 880
PANELS = "From left: anterior, posterior, and both with the evidence overlaid."


def drawable(threshold: float) -> float | None:
    """A threshold above every score has no place on a scale from 0 to 1."""
    return threshold if math.isfinite(threshold) else None


def drawn_calls(
    manifest: Manifest,
    calls: Iterable[tuple[Case, float]],
    maps: Mapping[str, MappedScan],
    threshold: float,
    *,
    outlined: bool = False,
) -> Iterator[tuple[Case, float, bytes]]:
    """Pictures of scans whose files are at hand, as WebP.

    Args:
        manifest: the cohort.
        calls: cases that have a map, with their probabilities.
        maps: by scan.
        threshold: probability from which a scan is called positive.
        outlined: draw the outlines of lesions where the truth is known.

    Raises:
        InputError: a truth or a mask that cannot be read.
    """
    for case, probability in calls:
        mapped = maps[case.scan_id].with_answer(probability, positive=probability >= threshold)
        scan = scan_at_hand(manifest, case, mapped)
        if scan is not None:
            truth = truth_of(manifest, case) if outlined and case.positive else None
            shown = explain(
                scan,
                mapped.prediction,
                operating_point=drawable(threshold),
                lesions=None if truth is None else truth.masks,
            )
            yield case, probability, shown.thumbnail_webp(width=WIDTH, quality=80)
