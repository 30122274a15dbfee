"""Pictures of scans for the browser: raw uint16 without a header, and how to show them."""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import Acquisition, InputError, PixelUnit, Scan, View
from bonescint.viewer.window import GreyWindow, grey_window

_MOST = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A case's pixels and what a page needs to show them.

    Attributes:
        content: uint16, little-endian, row by row: the anterior view, then the posterior one;
            a missing view is left out.
        facts: rows, columns, spacing, views, and for each view its initial window and its
            least and greatest values, in the units of `content`.
    """

    content: bytes
    facts: Mapping[str, Any]

    @property
    def sha256(self) -> str:
        """Hash of the pixels."""
        return hashlib.sha256(self.content).hexdigest()

    def compressed(self) -> bytes:
        """The content as gzip: equal pixels give equal bytes."""
        buffer = io.BytesIO()
        with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as stream:
            stream.write(self.content)
        return buffer.getvalue()

    @classmethod
    def of(cls, scan: Scan) -> Picture:
        """Prepare a scan for a page.

        Counts are kept. Values that do not fit (fractions, more than 65535) are scaled so that
        the greatest value of the scan becomes 65535; the factor is among the facts.

        Examples:
            >>> from bonescint.scan import Acquisition
            >>> scan = Scan(anterior=np.full((2, 3), 7), posterior=None, pixel_spacing_mm=None,
            ...             unit=PixelUnit.COUNTS, scan_id="bs-1",
            ...             acquisition=Acquisition(modality="NM"))
            >>> picture = Picture.of(scan)
            >>> len(picture.content), picture.facts["views"]
            (12, ['anterior'])
        """
        scale = _scale(scan)
        parts, windows = [], {}
        for view, image in scan.images():
            stored = np.rint(image.astype(np.float64) * scale).astype("<u2")
            parts.append(stored.tobytes())
            window = _window(stored, scan.unit)
            windows[view.value] = {
                "low": window.low,
                "high": window.high,
                "max": int(stored.max()),
                "min": int(stored.min()),
            }
        rows, columns = scan.shape
        spacing = scan.pixel_spacing_mm
        facts = {
            "rows": rows,
            "columns": columns,
            "row_mm": spacing[0] if spacing else None,
            "column_mm": spacing[1] if spacing else None,
            "unit": scan.unit.value,
            "scale": scale,
            "views": [view.value for view in scan.views],
            "windows": windows,
            "body": _body(scan),
        }
        return cls(content=b"".join(parts), facts=facts)


def _scale(scan: Scan) -> float:
    most = max(float(image.max()) for _, image in scan.images())
    whole = all(bool((image == np.rint(image)).all()) for _, image in scan.images())
    if (whole and most <= _MOST) or most <= 0:
        return 1.0
    return _MOST / most


def _body(scan: Scan) -> dict[str, int]:
    """First row of the body and the one after its last, so that pages can enlarge it.

    A row belongs to the body when a view holds at least a hundredth of its fullest row.
    """
    rows = np.stack([image.sum(axis=1, dtype=np.float64) for _, image in scan.images()])
    rows -= rows.min(axis=1, keepdims=True)  # a picture's background need not be 0
    most = rows.max(axis=1, keepdims=True)
    held = np.flatnonzero((rows >= 0.01 * np.maximum(most, 1e-12)).any(axis=0))
    if not held.size:
        return {"top": 0, "bottom": scan.shape[0]}
    margin = max(1, scan.shape[0] // 100)
    top, bottom = int(held[0]) - margin, int(held[-1]) + 1 + margin
    return {"top": max(0, top), "bottom": min(scan.shape[0], bottom)}


def _window(stored: NDArray[np.uint16], unit: PixelUnit) -> GreyWindow:
    found = grey_window(stored.astype(np.float32), unit)
    return GreyWindow(low=round(found.low, 3), high=round(max(found.high, found.low + 1), 3))


def unpacked(content: bytes, facts: Mapping[str, Any]) -> dict[View, NDArray[np.uint16]]:
    """The views of a picture, uint16 (rows, columns) each.

    Raises:
        InputError: the content has another length than the facts say.
    """
    rows, columns = int(facts["rows"]), int(facts["columns"])
    views = [View(name) for name in facts["views"]]
    if len(content) != 2 * rows * columns * len(views):
        raise InputError("picture", "its length has changed", "Make it again from the scan")
    stacked = np.frombuffer(content, dtype="<u2").reshape(len(views), rows, columns)
    return dict(zip(views, stacked, strict=True))


def scan_of(content: bytes, facts: Mapping[str, Any], *, scan_id: str) -> Scan:
    """The scan that a picture was made of, as far as the picture holds it.

    Raises:
        InputError: the content has another length than the facts say.
    """
    views = unpacked(content, facts)
    images = {
        view: (views[view] / facts["scale"]).astype(np.float32) if view in views else None
        for view in View
    }
    known = facts["row_mm"] is not None
    return Scan(
        anterior=images[View.ANTERIOR],
        posterior=images[View.POSTERIOR],
        pixel_spacing_mm=(facts["row_mm"], facts["column_mm"]) if known else None,
        unit=PixelUnit(facts["unit"]),
        scan_id=scan_id,
        acquisition=Acquisition(modality="NM"),
    )
