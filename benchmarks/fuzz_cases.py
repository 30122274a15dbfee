"""Cases of the reader's fuzzer: one to three files each, and of some the truth.

- damaged: a well-formed file with bytes changed, cut, put in or mixed with another's.
- swollen: a header, a picture or an archive that costs more to parse than it has bytes.
- told: a well-formed scan whose header says its views in one of many ways, while others lie
  beside the point: positions, obliquities, surnames, other windows, paddings, orientations.
- paired: one-view files of one scan, or of two; one patient, or two.

Case n of a seed is always the same. Of told and paired cases the truth is known: which pixels are
the anterior view, which the posterior, and of which patient. Codes come from pydicom's copy of
PS3.16, not from the reader's tables.
"""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

INTERESTING = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
ROWS, COLUMNS = 320, 80
Image = NDArray[np.uint16]


@dataclass(frozen=True)
class Truth:
    """What is right of a case.

    Attributes:
        scans: of each scan its views, `"anterior"` and `"posterior"`, as acquired, head up.
    """

    scans: tuple[Mapping[str, Image], ...]


@dataclass(frozen=True)
class Case:
    """Files to read together.

    Attributes:
        name: its kind and what it was made from.
        files: content by name.
        truth: if known.
    """

    name: str
    files: Mapping[str, bytes]
    truth: Truth | None = field(default=None, repr=False)


def case_of(seed: int, number: int) -> Case:
    """The case of a number."""
    rng = np.random.default_rng([seed, number])
    kind = rng.random()
    if kind < 0.55:
        return damaged(rng)
    if kind < 0.60:
        return swollen(rng)
    return told(rng) if kind < 0.85 else paired(rng)


@cache
def bodies(seed: int = 0) -> tuple[Image, Image]:
    """The anterior and the posterior view of one body; another seed is another patient."""
    import dicom_files as files

    return (
        files.paint_body(2 * seed + 1, rows=ROWS, columns=COLUMNS),
        files.paint_body(2 * seed + 2, rows=ROWS, columns=COLUMNS, posterior=True),
    )


@cache
def make_seeds() -> dict[str, bytes]:
    """Well-formed files of every kind that the reader takes, small enough to be quick."""
    import dicom_files as files
    from PIL import Image as Pillow

    seeds: dict[str, bytes] = {}
    anterior, posterior = bodies()
    native = {
        "deflated": "1.2.840.10008.1.2.1.99",
        "big endian": "1.2.840.10008.1.2.2",
        "implicit": "1.2.840.10008.1.2",
    }
    compressed = {
        "rle": "1.2.840.10008.1.2.5",
        "jpeg lossless": "1.2.840.10008.1.2.4.70",
        "jpeg-ls": "1.2.840.10008.1.2.4.80",
        "jpeg 2000": "1.2.840.10008.1.2.4.90",
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "seed.dcm"

        def ge() -> Any:
            dataset = files.ge_discovery(anterior, posterior)
            dataset.PixelSpacing = ["6", "6"]
            return dataset

        seeds["ge"] = files.save(ge(), path).read_bytes()
        siemens = files.siemens(anterior, posterior)
        siemens.PixelSpacing = ["6", "6"]
        seeds["siemens"] = files.save(siemens, path).read_bytes()
        single = files.one_view(anterior, 1, image_id="ANT")
        single.PixelSpacing = ["6", "6"]
        seeds["one view"] = files.save(single, path).read_bytes()
        for name, syntax in native.items():
            seeds[name] = files.save(ge(), path, transfer_syntax=syntax).read_bytes()
        for name, syntax in compressed.items():
            seeds[name] = files.save_compressed(ge(), path, transfer_syntax=syntax).read_bytes()
    picture = np.hstack([anterior, posterior]).clip(0, 255).astype(np.uint8)
    for kind in ("PNG", "JPEG", "TIFF"):
        stream = BytesIO()
        Pillow.fromarray(picture).save(stream, kind)
        seeds[kind] = stream.getvalue()
    seeds["ZIP"] = _zipped({"a.dcm": seeds["ge"], "b.png": seeds["PNG"]})
    return {**seeds, **_real_seeds()}


def _real_seeds() -> dict[str, bytes]:
    from pydicom.data import get_testdata_file

    seeds = {}
    for name in ("JPEG-LL.dcm", "JPGExtended.dcm", "JPEG2000.dcm"):
        found = get_testdata_file(name, download=False)
        if found:
            seeds[name] = Path(str(found)).read_bytes()
    return seeds


def _zipped(files: Mapping[str, bytes]) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def damaged(rng: np.random.Generator) -> Case:
    """A seed with bytes changed."""
    seeds = make_seeds()
    name = sorted(seeds)[rng.integers(len(seeds))]
    ending = name.lower() if name in ("PNG", "JPEG", "TIFF", "ZIP") else "dcm"
    content = bytearray(seeds[name])
    if name == "deflated" and rng.random() < 0.5:
        return Case(f"damaged {name}", {f"case.{ending}": _damaged_inside(bytes(content), rng)})
    for _ in range(int(rng.geometric(0.6))):
        _damage_once(content, seeds, rng)
    return Case(f"damaged {name}", {f"case.{ending}": bytes(content)})


def _damaged_inside(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a deflated data set before it is deflated."""
    start = 132 + 12 + int.from_bytes(content[140:144], "little")
    inner = bytearray(zlib.decompressobj(-15).decompress(content[start:]))
    for _ in range(int(rng.geometric(0.6))):
        _damage_once(inner, {}, rng)
    packer = zlib.compressobj(wbits=-15)
    return content[:start] + packer.compress(bytes(inner)) + packer.flush()


def _damage_once(content: bytearray, seeds: dict[str, bytes], rng: np.random.Generator) -> None:
    if not content:
        return
    reach = min(len(content), 3000) if rng.random() < 0.6 else len(content)
    at = int(rng.integers(reach))
    match int(rng.integers(8)):
        case 0:
            content[at] ^= 1 << int(rng.integers(8))
        case 1:
            for place in rng.integers(reach, size=int(rng.integers(2, 60))):
                content[place] = int(rng.integers(256))
        case 2:
            del content[int(rng.integers(len(content))) :]
        case 3:
            del content[at : at + int(rng.integers(1, 64))]
        case 4:
            content[at:at] = rng.bytes(int(rng.integers(1, 64)))
        case 5:
            width = int(rng.choice([1, 2, 4]))
            value = INTERESTING[rng.integers(len(INTERESTING))] % (1 << (8 * width))
            order = "little" if rng.random() < 0.7 else "big"
            content[at : at + width] = value.to_bytes(width, order)
        case 6:
            end = at + int(rng.integers(1, 400))
            content[at:end] = bytes(len(content[at:end]))
        case _:
            other = seeds[sorted(seeds)[rng.integers(len(seeds))]] if seeds else bytes(content)
            start = int(rng.integers(len(other)))
            content[at : at + 256] = other[start : start + int(rng.integers(1, 256))]


def swollen(rng: np.random.Generator) -> Case:
    """A bomb of a random size, up to some MB."""
    import header_bombs as bombs

    size = int(10 ** rng.uniform(3, 6.3))
    tag = int(rng.choice([0x00081140, 0x00540022, 0x00540012, 0x00091010, 0x00080008]))
    kinds: dict[str, Callable[[], bytes]] = {
        "items": lambda: bombs.empty_items(size, tag=tag, defined=bool(rng.random() < 0.5)),
        "elements": lambda: bombs.tiny_elements(min(size, 300_000)),
        "elements in an item": lambda: bombs.tiny_elements_in_an_item(min(size, 300_000)),
        "values": lambda: bombs.many_values(
            size * 4, tag=int(rng.choice([0x00080008, 0x00080005, 0x00110010, 0x00280030]))
        ),
        "values in an item": lambda: bombs.many_values_in_an_item(size * 4, tag=tag),
        "depth": lambda: bombs.deep(min(size, 50_000), tag=tag),
        "fragments": lambda: bombs.fragments(size),
        "undelimited": lambda: bombs.undelimited(size * 10),
        "PNG chunks": lambda: bombs.png_of_chunks(min(size, 300_000)),
        "JPEG segments": lambda: bombs.jpeg_of_segments(size),
        "archive": lambda: _zipped({"a.dcm": bytes(size * 50)}),
    }
    name = sorted(kinds)[rng.integers(len(kinds))]
    ending = {"PNG chunks": "png", "JPEG segments": "jpg", "archive": "zip"}.get(name, "dcm")
    return Case(f"swollen {name}", {f"case.{ending}": kinds[name]()})


_ANTERIOR_TEXTS = (
    "ANT", "Anterior", "WB ANT", "ANTERIOR VIEW", "antero-posterior", "Antero Posterior", "A-P",
    "vue antérieure", "ventral", "vorne", "WHOLE BODY ANTERIOR",
)  # fmt: skip
_POSTERIOR_TEXTS = (
    "POST", "Posterior", "WB POST", "POSTERIOR VIEW", "postero-anterior", "Postero Anterior", "P-A",
    "vue postérieure", "dorsal", "hinten", "WHOLE BODY POSTERIOR",
)  # fmt: skip
_LIES = (
    "supine", "decubitus dorsal", "dorsal decubitus", "omitted", "LPO", "RAO", "post therapy",
    "POST OP", "HEAD FIRST", "plantar", "Santos^Dos", "3H POST INJ", "whole body",
    "WHOLE BODY ANT/POST", "",
)  # fmt: skip


def _one_of(options: tuple[Any, ...] | list[Any], rng: np.random.Generator) -> Any:
    return options[int(rng.integers(len(options)))]


@cache
def _standard_codes() -> dict[str, list[tuple[str, str, str]]]:
    """(scheme, value, meaning) of the two views in PS3.16 CID 26 and 4010, by pydicom."""
    from pydicom.sr._concepts_dict import concepts
    from pydicom.sr._snomed_dict import mapping

    named = {
        "anterior projection": "anterior", "antero-posterior": "anterior",
        "posterior projection": "posterior", "postero-anterior": "posterior",
    }  # fmt: skip
    found: dict[str, list[tuple[str, str, str]]] = {"anterior": [], "posterior": []}
    for codes in concepts["SCT"].values():
        for value, (meaning, groups) in codes.items():
            view = named.get(meaning.lower())
            if view and {26, 4010} & set(groups):
                found[view].append(("SCT", value, meaning))
                if value in mapping["SCT"]:
                    found[view].append(("SRT", mapping["SCT"][value], meaning))
    return found


def _code(view: str, rng: np.random.Generator) -> Any:
    """A view's code; what its meaning says is sometimes empty or in another language."""
    import dicom_files as files

    scheme, value, meaning = _one_of(sorted(_standard_codes()[view]), rng)
    return files.view_code(value, scheme, _one_of((meaning, meaning, "", "Projektion"), rng) or "-")


def told(rng: np.random.Generator) -> Case:
    """A scan whose file says its views in one way, right."""
    if rng.random() < 0.2:
        return _told_picture(rng)
    import dicom_files as files

    views = dict(zip(("anterior", "posterior"), bodies(int(rng.integers(3))), strict=True))
    order = ["anterior", "posterior"]
    if rng.random() < 0.5:
        order.reverse()
    if rng.random() < 0.2:
        order = order[:1]
    how = _one_of(("code", "angle", "GE name", "text"), rng)
    if how == "text":
        order = order[:1]  # a text names one image
    items = [files.detector() for _ in order]
    for item, view in zip(items, order, strict=True):
        if how == "code":
            item.ViewCodeSequence = [_code(view, rng)]
        elif how == "angle":
            nominal = 180 if view == "anterior" else _one_of((0, 360), rng)
            item.StartAngle = f"{(nominal + rng.uniform(-4, 4)) % 360:.1f}"
    frames = [views[view] for view in order]
    limits = ((129.96, 151.04),)
    windows = [1] * len(order)
    detectors = list(range(1, len(order) + 1))
    if rng.random() < 0.3 and len(order) == 2:
        limits, windows = _windows(frames, detectors, items, rng)
    scale = _one_of((1, 1, 1, 3), rng)
    kind = np.dtype(_one_of(("u2", "u2", "u2", "i2", "u4"), rng))
    dataset = files.multi_frame(
        [(frame * np.uint16(scale)).astype(kind) for frame in frames],
        detectors=detectors,
        windows=windows,
        window_limits=limits,
        items=items,
    )
    dataset.PixelSpacing = ["6", "6"]
    if how == "GE name":
        dataset.Manufacturer = "GE MEDICAL SYSTEMS"
        texts = {"anterior": _ANTERIOR_TEXTS[:3], "posterior": _POSTERIOR_TEXTS[:3]}
        named = [_one_of(texts[view], rng) for view in order]  # one per detector
        dataset.private_block(0x0011, "GEMS_GENIE_1", create=True).add_new(0x12, "LO", named)
    lie = _one_of(_LIES, rng)
    if how == "text":
        texts = _ANTERIOR_TEXTS if order[0] == "anterior" else _POSTERIOR_TEXTS
        keyword = _one_of(("ImageID", "SeriesDescription"), rng)
        setattr(dataset, keyword, _one_of(texts, rng))
        other = "SeriesDescription" if keyword == "ImageID" else "StudyDescription"
        setattr(dataset, other, lie if keyword == "ImageID" else "WHOLE BODY")
    else:
        dataset.SeriesDescription = lie
    return _written(dataset, f"told by {how}", {v: views[v] for v in order}, rng, scale)


def _windows(
    frames: list[Image], detectors: list[int], items: list[Any], rng: np.random.Generator
) -> tuple[tuple[tuple[float, float], ...], list[int]]:
    """Other windows beside the photopeak, or a window for each detector; frames are extended."""
    if rng.random() < 0.5:
        return ((129.96, 151.04), (130.0, 151.0)), [1, 2]
    scatter = [(frame // 2).astype(np.uint16)[::-1] for frame in frames]
    peak_first = rng.random() < 0.5
    both = frames + scatter if peak_first else scatter + frames
    frames[:] = both
    detectors[:] = [1, 2, 1, 2]
    photopeak, lower = (129.96, 151.04), (100.0, 125.0)
    return ((photopeak, lower) if peak_first else (lower, photopeak)), [1, 1, 2, 2]


def _written(
    dataset: Any, name: str, views: Mapping[str, Image], rng: np.random.Generator, scale: int
) -> Case:
    """The file, after something of its pixels, coding or orientation was made unusual."""
    import dicom_files as files

    values = np.frombuffer(dataset.PixelData, _dtype(dataset)).copy()
    values = values.reshape(-1, dataset.Rows, dataset.Columns)
    if scale != 1:
        dataset.RescaleSlope, dataset.RescaleIntercept = f"{1 / scale:.12f}", "0"
    twist = _one_of(("", "", "upside down", "mirrored", "padding", "inverted", "frames"), rng)
    syntax = _one_of(("", "", "", "implicit", "big", "deflated", "rle", "jpeg-ls"), rng)
    if twist in ("upside down", "mirrored"):
        # x runs to the patient's left, z to the head (PS3.3 C.7.6.2.1.1)
        values = values[:, ::-1] if twist == "upside down" else values[:, :, ::-1]
        down = "1" if twist == "upside down" else "-1"
        for item, view in zip(dataset.DetectorInformationSequence, views, strict=False):
            right = "1" if (view == "anterior") == (twist == "upside down") else "-1"
            item.ImageOrientationPatient = [right, "0", "0", "0", "0", down]
        if len(views) == 1 and rng.random() < 0.5:
            dataset.PatientOrientation = ["L" if right == "1" else "R", "H" if down == "1" else "F"]
            item.ImageOrientationPatient = None
    elif twist == "padding":
        values[:, :, 0] = np.iinfo(values.dtype).max
        dataset.add_new(0x00280120, "US" if values.dtype.kind == "u" else "SS", int(values.max()))
        if values.dtype.itemsize == 4:
            del dataset[0x00280120]
            values[:, :, 0] = 0
    elif twist == "inverted":
        dataset.PhotometricInterpretation = "MONOCHROME1"
        values = (values.max() - values).astype(values.dtype)
    dataset.PixelData = np.ascontiguousarray(values).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dcm"
        if syntax in ("rle", "jpeg-ls") and values.dtype == np.uint16:
            uid = "1.2.840.10008.1.2.5" if syntax == "rle" else "1.2.840.10008.1.2.4.80"
            files.save_compressed(dataset, path, transfer_syntax=uid)
        else:
            named = {"implicit": "1.2.840.10008.1.2", "deflated": "1.2.840.10008.1.2.1.99"}
            if syntax == "big" and values.dtype.itemsize == 2:
                named["big"] = "1.2.840.10008.1.2.2"
            files.save(dataset, path, transfer_syntax=named.get(syntax, "1.2.840.10008.1.2.1"))
        content = path.read_bytes()
    if twist == "frames" and len(values) > 1:
        content = content.replace(f"IS\2\0{len(values)} ".encode(), b"IS\2\x001 ", 1)
    return Case(f"{name} {twist}".strip(), {"IM0001": content}, Truth((views,)))


def _dtype(dataset: Any) -> np.dtype[Any]:
    return np.dtype(f"<{'ui'[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}")


def _told_picture(rng: np.random.Generator) -> Case:
    """Pictures whose names say their views, or one with both; black or white around the body."""
    from PIL import Image as Pillow

    anterior, posterior = bodies(int(rng.integers(3)))
    views = {"anterior": anterior, "posterior": posterior}
    white = rng.random() < 0.3
    kind = _one_of(("png", "png", "tif"), rng)

    def packed(image: Image) -> bytes:
        grey = image.clip(0, 255).astype(np.uint8)
        stream = BytesIO()
        Pillow.fromarray(255 - grey if white else grey).save(
            stream, {"png": "PNG", "tif": "TIFF"}[kind]
        )
        return stream.getvalue()

    if rng.random() < 0.3:
        both = np.hstack([anterior, posterior])
        return Case("told side by side", {f"both.{kind}": packed(both)}, Truth((views,)))
    first, second = _one_of(
        [("ant", "post"), ("anterior", "posterior"), ("ANT", "POST"), ("AP", "PA"),
         ("antero-posterior", "postero-anterior"), ("antero posterior", "postero anterior")],
        rng,
    )  # fmt: skip
    cropped = int(rng.integers(0, 9)) if rng.random() < 0.3 else 0
    files = {
        f"p1_{first}.{kind}": packed(anterior),
        f"p1_{second}.{kind}": packed(posterior[: ROWS - cropped]),
    }
    return Case("told by picture names", files, Truth((views,)))


def paired(rng: np.random.Generator) -> Case:
    """Two one-view files: of one scan, or of two patients, with what a header happens to say."""
    import dicom_files as files

    same = rng.random() < 0.5
    one, other = bodies(0), bodies(0 if same else 1)
    anonymous = rng.random() < 0.5
    series = _one_of(("same", "own"), rng)
    times = _one_of(("none", "same", "seconds", "minutes"), rng)
    with_place = rng.random() < 0.3
    contents = {}
    names = _one_of([("a", "b"), ("IM0001", "IM0002"), ("x1", "x2")], rng)
    order = [("anterior", one[0], "180"), ("posterior", other[1], "0")]
    for place, (_, image, angle) in enumerate(order):
        dataset = files.one_view(image, place, angle=angle)
        dataset.PixelSpacing = ["6", "6"]
        dataset.SOPInstanceUID = f"1.2.3.{place}"
        dataset.SeriesInstanceUID = f"1.2.3.9.{place if series == 'own' else 0}"
        late = 0 if same or not place else 2 * 3600  # two patients do not lie on one table at once
        dataset.AcquisitionTime = _clock(times, place, late)
        if times == "none":
            dataset.AcquisitionDate = ""
        if with_place:
            dataset.FrameOfReferenceUID = f"1.2.3.7.{0 if same else place}"
        if anonymous:
            dataset.PatientID = dataset.PatientBirthDate = dataset.PatientSex = ""
            dataset.PatientName = _one_of(("", "ANON"), rng) if not place else dataset.PatientName
        elif not same and place:
            keyword, value = _one_of(
                [("PatientID", "99"), ("PatientName", "DOE^JOHN"), ("PatientBirthDate", "19400101"),
                 ("PatientSex", "M")],
                rng,
            )  # fmt: skip
            setattr(dataset, keyword, value)
        if anonymous:
            dataset.PatientName = ""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.dcm"
            contents[f"{names[place]}.dcm"] = files.save(dataset, path).read_bytes()
    views = {"anterior": one[0], "posterior": other[1]}
    scans = (views,) if same else ({"anterior": one[0]}, {"posterior": other[1]})
    return Case(f"paired {'one patient' if same else 'two patients'}", contents, Truth(scans))


def _clock(times: str, place: int, late_s: int) -> str:
    if times == "none":
        return ""
    seconds = 36000 + late_s + place * {"same": 0, "seconds": 7, "minutes": 900}[times]
    return f"{seconds // 3600:02}{seconds % 3600 // 60:02}{seconds % 60:02}"
