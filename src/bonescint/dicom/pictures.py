"""PNG and JPEG pictures of bone scans to grey images of intensity."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.files import MAX_PIXELS, MAX_VIEW_PIXELS
from bonescint.dicom.header import quiet
from bonescint.scan import InputError, NotABoneScanError

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_EXPORT_AGAIN = "Export or copy the file again"
_COLOUR_SPREAD = 24
_COLOUR_PART = 0.002


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A grey picture, background dark.

    Attributes:
        image: float32 array (rows, columns) of the file's own grey values.
        format_name: `"PNG"` or `"JPEG"`, with bits a pixel.
        warnings: what was tolerated.
    """

    image: NDArray[np.float32]
    format_name: str
    warnings: tuple[str, ...] = ()


def looks_like_picture(content: bytes) -> bool:
    """Whether a file starts as a PNG or a JPEG."""
    return content.startswith((_PNG_MAGIC, _JPEG_MAGIC))


def picture_size(content: bytes, path: Path) -> tuple[int, int]:
    """(rows, columns) from the start of a picture's file, without decoding it.

    Raises:
        InputError: damaged, or too large.
    """
    with quiet():
        columns, rows = _opened(content, path).size
    return rows, columns


def read_picture(content: bytes, path: Path) -> Picture:
    """Decode a picture, make it grey and its background dark.

    Raises:
        InputError: damaged, truncated, too large, or not finite.
        NotABoneScanError: a colour picture.
    """
    with quiet():
        opened = _opened(content, path)
        try:
            opened.load()
            image, bits = _grey(opened, path)
        except (InputError, NotABoneScanError):
            raise
        except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
            raise _damaged(path) from None
    warnings = []
    if opened.format == "JPEG":
        warnings.append("a JPEG picture: compressed with loss")
    if not np.isfinite(image).all():
        raise InputError(path, "it holds values that are not numbers (NaN)", _EXPORT_AGAIN)
    image, inverted = with_dark_background(image)
    if inverted:
        warnings.append("dark body on a bright background: grey values were inverted")
    return Picture(image=image, format_name=f"{opened.format} {bits} bit", warnings=tuple(warnings))


def with_dark_background(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Invert an image whose border is brighter than its middle; says whether it did.

    Examples:
        >>> page = np.full((8, 6), 255, np.float32)
        >>> page[2:7, 2:4] = 30
        >>> image, inverted = with_dark_background(page)
        >>> inverted, float(image[0, 0]), float(image[3, 3])
        (True, 0.0, 225.0)
    """
    rows, columns = image.shape
    edge = max(1, columns // 40)
    border = np.concatenate(
        [image[:, :edge].ravel(), image[:, -edge:].ravel(), image[: max(1, rows // 80)].ravel()]
    )
    middle = image[:, columns // 4 : columns - columns // 4]
    low, high = float(image.min()), float(image.max())
    halfway = (low + high) / 2
    if float(np.median(border)) > halfway and float(np.median(border)) > float(middle.mean()):
        return np.float32(high) - image, True
    return image, False


def halves(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left and right half of an AP|PA picture; a middle column of an odd width is left out.

    Examples:
        >>> left, right = halves(np.arange(5, dtype=np.float32).reshape(1, 5))
        >>> left.tolist(), right.tolist()
        ([[0.0, 1.0]], [[3.0, 4.0]])
    """
    half = image.shape[1] // 2
    return image[:, :half], image[:, -half:]


def _opened(content: bytes, path: Path) -> Image:
    from PIL import Image as Pillow

    try:
        opened = Pillow.open(BytesIO(content), formats=("PNG", "JPEG"))
    except Pillow.DecompressionBombError:
        raise _too_large(path) from None
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
        raise _damaged(path) from None
    columns, rows = opened.size
    if rows * columns > min(MAX_PIXELS, 2 * MAX_VIEW_PIXELS):
        raise _too_large(path)
    return opened


def _grey(opened: Image, path: Path) -> tuple[NDArray[np.float32], int]:
    if opened.mode in ("L", "1"):
        return np.asarray(opened.convert("L"), dtype=np.float32), 8
    if opened.mode.startswith("I") or opened.mode == "F":
        return np.asarray(opened, dtype=np.float32), 16
    if opened.mode == "LA":
        return np.asarray(opened.getchannel("L"), dtype=np.float32), 8
    colours = np.asarray(opened.convert("RGB"))
    spread = colours.max(axis=2) - colours.min(axis=2)
    if (spread > _COLOUR_SPREAD).mean() > _COLOUR_PART:
        raise NotABoneScanError(path, "it is a colour picture", "Give grey pictures of the counts")
    return colours[..., 1].astype(np.float32), 8


def _damaged(path: Path) -> InputError:
    return InputError(path, "the picture is truncated or damaged", _EXPORT_AGAIN)


def _too_large(path: Path) -> InputError:
    return InputError(
        path,
        f"the picture announces more than {2 * MAX_VIEW_PIXELS >> 20} Mi pixels",
        "A bone scan is far smaller; leave this file out",
    )
