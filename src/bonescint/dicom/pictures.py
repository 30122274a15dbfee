"""Read PNG, JPEG and TIFF pictures of bone scans as grey images of intensity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from bonescint.dicom.files import MAX_PIXELS, MAX_READS, MAX_VIEW_PIXELS, MeteredStream
from bonescint.dicom.header import LongHeaderError, quiet
from bonescint.dicom.process_wide import process_wide
from bonescint.scan import InputError, NotABoneScanError

if TYPE_CHECKING:
    from PIL.Image import Image

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_JPEG_MAGIC = b"\xff\xd8\xff"
_TIFF_MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_FORMATS = ("PNG", "JPEG", "TIFF")
_ORIENTATION_TAG, _SUBFILE_TAG, _NAME_TAGS = 274, 254, (285, 270)
"""TIFF 6.0: Orientation, NewSubfileType (odd for a smaller copy), PageName, ImageDescription."""
_LOSSY = ("jpeg", "tiff_jpeg", "old-jpeg", "webp")
_MOST_PAGES = 16
_EXPORT_AGAIN = "Export or copy the file again"
_COLOUR_SPREAD = 24
_COLOUR_PART = 0.002
_UNIFORM = 0.04
"""Part of the grey values' range within which a row or column is uniform."""
_UNLIKE = 0.1
"""Part of that range by which a frame differs from the background."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PicturePage:
    """A grey picture, background dark; one page of a file.

    Attributes:
        image: float32 array (rows, columns) of the file's own grey values.
        format_name: `"PNG"`, `"JPEG"` or `"TIFF"`, with bits a pixel.
        name: what a TIFF calls the page.
        warnings: what was tolerated.
    """

    image: NDArray[np.float32]
    format_name: str
    name: str = ""
    warnings: tuple[str, ...] = ()


@process_wide
@contextmanager
def cut_off_refused() -> Iterator[None]:
    """Refuse truncated pictures while the context is open, in every thread.

    Pillow fills the missing part of a file with zeros once anything in the process allows it, as
    importing WeasyPrint does; the zeros would be read as counts.
    """
    from PIL import ImageFile

    was = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = was


def looks_like_picture(content: bytes) -> bool:
    """Whether a file starts as a PNG, a JPEG or a TIFF."""
    return content.startswith((_PNG_MAGIC, _JPEG_MAGIC)) or is_tiff(content)


def is_tiff(content: bytes) -> bool:
    """Whether a file is a TIFF and not a DICOM file whose preamble starts as a TIFF.

    PS3.10 7.1 allows a TIFF header in the 128 bytes of the DICOM preamble; such a file is both.
    """
    return content.startswith(_TIFF_MAGICS) and content[128:132] != b"DICM"


def picture_size(stream: BinaryIO, path: Path, *, reads: int = MAX_READS) -> tuple[int, int, int]:
    """(pages, rows, columns) of a picture in an open file, of which only headers are read.

    Raises:
        InputError: damaged, too large, or of pages of different sizes.
        NotABoneScanError: more than two pages.
    """
    with quiet():
        opened = _opened(stream, path, reads=reads)
        sizes = {opened.size for opened in _pages(opened, path)}
        if len(sizes) != 1:
            raise InputError(
                path, "its pages are of different size", "Give the two views of one scan"
            )
        columns, rows = sizes.pop()
        return sum(1 for _ in _pages(opened, path)), rows, columns


def read_pictures(content: bytes, path: Path) -> tuple[PicturePage, ...]:
    """Decode the one or two pages of a picture, as grey images with a dark background.

    Raises:
        InputError: damaged, truncated, too large, or not finite.
        NotABoneScanError: a colour picture, or more than two pages.
    """
    with quiet(), cut_off_refused():
        return tuple(_decoded(page, path) for page in _pages(_opened(BytesIO(content), path), path))


def _pages(opened: Image, path: Path) -> Iterator[Image]:
    """A file's pages in order, without the reduced copies that a TIFF may hold."""
    if opened.format != "TIFF":
        yield opened
        return
    found = 0
    try:
        for number in range(_MOST_PAGES):
            with suppress(EOFError):
                opened.seek(number)
            if opened.tell() != number:
                break
            if _tag(opened, _SUBFILE_TAG) in (1, 3, 5, 7):
                continue
            found += 1
            if found > 2:
                break
            _check_size(opened, path)
            yield opened
    except (InputError, NotABoneScanError):
        raise
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
        raise _damaged(path) from None
    if found > 2:
        raise NotABoneScanError(
            path, "it has more than two pages", "Give a scan's two views as one or two pages"
        )
    if not found:
        raise _damaged(path)


def _tag(opened: Image, number: int) -> object:
    return getattr(opened, "tag_v2", {}).get(number)


def _decoded(opened: Image, path: Path) -> PicturePage:
    from PIL import ImageOps

    try:
        turned = opened.getexif().get(_ORIENTATION_TAG, 1) not in (0, 1)
        name = next((str(text) for tag in _NAME_TAGS if (text := _tag(opened, tag))), "")
        opened.load()  # a TIFF is turned here, others are not
        upright = opened if opened.format == "TIFF" else ImageOps.exif_transpose(opened)
        image, bits = _grey(upright, path)
    except (InputError, NotABoneScanError):
        raise
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
        raise _damaged(path) from None
    warnings = []
    if opened.format == "JPEG" or opened.info.get("compression") in _LOSSY:
        warnings.append(f"a {opened.format} picture: compressed with loss")
    if turned:
        warnings.append("turned or mirrored according to the picture's own orientation tag")
    if not np.isfinite(image).all():
        raise InputError(path, "it holds values that are not numbers (NaN)", _EXPORT_AGAIN)
    if image.min() < 0:
        warnings.append("negative pixels were set to 0")
        image = np.maximum(image, np.float32(0))
    image, inverted = with_dark_background(image)
    if inverted:
        warnings.append("dark body on a bright background: grey values were inverted")
    image, framed = without_frame(image)
    if framed:
        warnings.append("a uniform frame around the picture was set to the background value")
    return PicturePage(
        image=image,
        format_name=f"{opened.format} {bits} bit",
        name=name,
        warnings=tuple(warnings),
    )


def with_dark_background(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Invert an image whose background is bright; also returns whether it did.

    An outer uniform frame (a letterbox, a white margin) is ignored. The image is inverted if both
    its commonest level and its border inside the frame are bright. In doubt it is kept; the
    outline check then refuses a negative.

    Examples:
        >>> page = np.full((8, 6), 255, np.float32)
        >>> page[2:7, 2:4] = 30
        >>> image, inverted = with_dark_background(page)
        >>> inverted, float(image[0, 0]), float(image[3, 3])
        (True, 0.0, 225.0)
    """
    top, bottom, left, right = _frame(image)
    inside = image[top:bottom, left:right]
    if _is_bright_around(image) if _is_flat(inside) else _is_bright_around(inside):
        return np.maximum(np.float32(inside.max()) - image, np.float32(0)), True
    return image, False


def without_frame(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Set a uniform frame that differs from the background to the background's level.

    The shape is kept, so that both views still match. Also returns whether there was a frame.

    Args:
        image: (rows, columns), background dark.
    """
    top, bottom, left, right = _frame(image)
    inside = image[top:bottom, left:right]
    spread = float(image.max() - image.min())
    if inside.size < image.size // 4 or _is_flat(inside):
        return image, False
    background = _commonest(inside)
    filled = image.copy()
    rows, columns = image.shape
    whole = slice(None)
    sides = [(slice(0, top), whole), (slice(bottom, rows), whole)]
    sides += [(whole, slice(0, left)), (whole, slice(right, columns))]
    found = False
    for side in sides:
        band = image[side]
        if band.size and abs(float(np.median(band)) - background) > _UNLIKE * spread:
            filled[side] = background
            found = True
    return filled, found


def without_seam(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Set uniform columns near the middle that differ from the background to its level."""
    columns = image.shape[1]
    reach = max(2, columns // 16)
    start = columns // 2 - reach
    middle = image[:, max(0, start) : columns // 2 + reach]
    spread = float(image.max() - image.min())
    background = _commonest(image)
    uniform = np.ptp(middle, axis=0) <= _UNIFORM * spread
    line = uniform & (np.abs(np.median(middle, axis=0) - background) > _UNLIKE * spread)
    if not line.any():
        return image
    cleaned = image.copy()
    cleaned[:, max(0, start) + np.flatnonzero(line)] = background
    return cleaned


def without_empty_sides(
    image: NDArray[np.float32], rows_per_column: tuple[float, ...]
) -> NDArray[np.float32]:
    """Crop empty sides symmetrically, to the narrowest of the given shapes that holds the body.

    Args:
        image: (rows, columns), background dark.
        rows_per_column: shapes to try, the narrowest first.
    """
    rows, columns = image.shape
    high = np.percentile(image, 99, axis=0) - _commonest(image)
    occupied = np.flatnonzero(high > _UNLIKE * max(float(high.max()), 1e-6))
    if not occupied.size:
        return image
    needed = 2 * max(columns / 2 - occupied[0], occupied[-1] + 1 - columns / 2)
    for shape in rows_per_column:
        wanted = 2 * round(rows / shape / 2)
        if needed <= wanted < columns:
            start = (columns - wanted) // 2
            return image[:, start : start + wanted]
    return image


def _frame(image: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """First and last row and column inside the outermost uniform band of each side."""
    spread = float(image.max() - image.min()) * _UNIFORM
    top, left = 0, 0
    bottom, right = image.shape
    low, high = image.min(axis=1), image.max(axis=1)
    top, bottom = _inside(low, high, spread)
    if bottom > top:
        part = image[top:bottom]
        left, right = _inside(part.min(axis=0), part.max(axis=0), spread)
    if right > left and top == 0 and bottom == image.shape[0]:
        part = image[:, left:right]
        top, bottom = _inside(part.min(axis=1), part.max(axis=1), spread)
    if bottom - top < 8 or right - left < 8:
        return 0, image.shape[0], 0, image.shape[1]
    return top, bottom, left, right


def _inside(
    low: NDArray[np.float32], high: NDArray[np.float32], tolerance: float
) -> tuple[int, int]:
    """First line and end after leaving out uniform lines of one level at both ends."""

    def band(low: NDArray[np.float32], high: NDArray[np.float32]) -> int:
        same = (high - low <= tolerance) & (np.abs(high - high[0]) <= tolerance)
        return len(same) if same.all() else int(np.argmin(same))

    first = band(low, high)
    return first, max(first, len(low) - band(low[::-1], high[::-1]))


def _commonest(image: NDArray[np.float32]) -> float:
    """The commonest level, of 64."""
    counts, edges = np.histogram(image, bins=64)
    place = int(np.argmax(counts))
    among = image[(image >= edges[place]) & (image <= edges[place + 1])]
    return float(np.median(among))


def _is_flat(image: NDArray[np.float32]) -> bool:
    return bool(image.max() == image.min())


def _is_bright_around(image: NDArray[np.float32]) -> bool:
    rows, columns = image.shape
    edge = max(1, columns // 40)
    rim = np.concatenate(
        [image[:, :edge].ravel(), image[:, -edge:].ravel(), image[: max(1, rows // 80)].ravel()]
    )
    middle = image[:, columns // 4 : columns - columns // 4]
    halfway = (float(image.min()) + float(image.max())) / 2
    around = float(np.median(rim))
    return around > max(halfway, float(middle.mean())) and _commonest(image) > halfway


def halves(image: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Left and right half of an AP|PA picture; a middle column of an odd width is left out.

    Examples:
        >>> left, right = halves(np.arange(5, dtype=np.float32).reshape(1, 5))
        >>> left.tolist(), right.tolist()
        ([[0.0, 1.0]], [[3.0, 4.0]])
    """
    half = image.shape[1] // 2
    return image[:, :half], image[:, -half:]


def _opened(stream: BinaryIO, path: Path, *, reads: int = MAX_READS) -> Image:
    from PIL import Image as Pillow

    metered = MeteredStream(stream, reads=reads)
    try:
        opened = Pillow.open(cast(BinaryIO, metered), formats=_FORMATS)
        metered.limited = False
    except Pillow.DecompressionBombError:
        raise _too_large(path) from None
    except Exception:  # noqa: BLE001 - Pillow's plugins raise anything on damaged files
        if metered.problem:
            kind = InputError if reads == MAX_READS else LongHeaderError
            raise kind(path, metered.problem, "Leave this file out") from None
        raise _damaged(path) from None
    _check_size(opened, path)
    return opened


def _check_size(opened: Image, path: Path) -> None:
    columns, rows = opened.size
    if rows * columns > min(MAX_PIXELS, 2 * MAX_VIEW_PIXELS):
        raise _too_large(path)


def _grey(opened: Image, path: Path) -> tuple[NDArray[np.float32], int]:
    if opened.mode in ("L", "1"):
        return np.asarray(opened.convert("L"), dtype=np.float32), 8
    if opened.mode.startswith("I") or opened.mode == "F":
        bits = 16 if opened.format == "PNG" or opened.mode.startswith("I;16") else 32
        return np.asarray(opened, dtype=np.float32), bits
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
