"""A first look: one real scan and a few simulated studies."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata, resources
from pathlib import Path

from bonescint.classify.classify import classify
from bonescint.classify.results import ClassifySummary, KnownTruth
from bonescint.files import make_folder, write_whole
from bonescint.scan import MissingExtraError

_REAL_SCAN = "data_store/data/JPEG-LL.dcm"
_TRUTHS = {
    "JPEG-LL": KnownTruth(
        words="not known: a real patient's scan without a report, anterior view only",
        positive=None,
    ),
    "simulated-no-metastasis": KnownTruth(
        words="no metastasis; degenerative uptake in the knees, the right shoulder and the feet "
        "(synthetic patient)",
        positive=False,
    ),
    "simulated-one-metastasis": KnownTruth(
        words="one metastasis, in the sternum (synthetic patient)", positive=True
    ),
    "simulated-several-metastases": KnownTruth(
        words="nine metastases, in the skull, both clavicles, the sacrum, the right half of the "
        "pelvis (2) and the left femur (3) (synthetic patient)",
        positive=True,
    ),
}


def demo_sources() -> tuple[Path, ...]:
    """The files of the demonstration.

    A real patient's anonymised whole-body scan, anterior view only (NEMA WG04 "NM1", in the
    package pydicom-data), and the simulated studies that travel with this package.

    Raises:
        MissingExtraError: the package pydicom-data is not installed.

    Examples:
        >>> [path.suffix for path in demo_sources()][1:]
        ['.dcm', '.dcm', '.dcm']
    """
    try:
        real = Path(str(metadata.distribution("pydicom-data").locate_file(_REAL_SCAN)))
    except metadata.PackageNotFoundError as error:
        raise MissingExtraError("pydicom-data", "demo") from error
    examples = Path(str(resources.files("bonescint.classify") / "examples"))
    return (real, *sorted(examples.glob("*.dcm")))


def demo(
    out: Path | str,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ClassifySummary:
    """Classify the demonstration's scans with the shipped model, and say what is true of them.

    The scans themselves are left in `scans/` beside the results, for commands to be tried on.

    Args:
        out: the results folder.
        workers: as for `classify`.
        progress: as for `classify`.

    Returns:
        As `classify` does.

    Raises:
        MissingExtraError: the package pydicom-data is not installed.
        OutputError: `out` cannot be written to.
    """
    sources = demo_sources()
    truths = {path: _TRUTHS[path.stem] for path in sources}
    summary = classify(sources, out, workers=workers, progress=progress, truths=truths)
    scans = Path(out) / "scans"
    make_folder(scans)
    for source in sources:
        write_whole(scans / source.name, source.read_bytes())
    return summary
