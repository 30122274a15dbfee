"""Smaller copies of the pictures of scans, for pages that hold many."""

from __future__ import annotations

import io
from pathlib import Path

_WIDTH = 760


def small_picture(path: Path) -> bytes | None:
    """A smaller copy of a picture as WebP.

    Args:
        path: of the picture.

    Returns:
        The content of the file, or `None` if the picture cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            height = round(picture.height * _WIDTH / picture.width)
            small = picture.convert("RGB").resize((_WIDTH, height), Image.Resampling.LANCZOS)
    except (OSError, ValueError):
        return None
    buffer = io.BytesIO()
    small.save(buffer, format="WEBP", quality=80)
    return buffer.getvalue()
