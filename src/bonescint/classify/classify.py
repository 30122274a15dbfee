"""Classify the user's files, or the demonstration's: one real scan and a few simulated studies."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bonescint
from bonescint.buckets import require_local
from bonescint.classify.delivery import DeliveryOrder
from bonescint.classify.earlier import run_identity
from bonescint.classify.folder import ResultsFolder
from bonescint.classify.naming import SourceNames, hashed_names
from bonescint.classify.results import (
    RESULTS_SCHEMA_VERSION,
    CallCounts,
    ClassifySummary,
    KnownTruth,
    notice_of,
    page_heading,
)
from bonescint.classify.rows import RowsInOrder
from bonescint.classify.shards import Shard, without_shards
from bonescint.extras import require
from bonescint.files import make_folder, write_whole
from bonescint.parallel import pool_of, usual_workers
from bonescint.scan import MissingExtraError, ParameterError

if TYPE_CHECKING:
    from bonescint.model import ModelFolder

_LIBRARIES = ("numpy", "openvino", "pillow", "pydicom", "scipy")


class ClassifyInterrupted(KeyboardInterrupt):
    """Raised on Ctrl-C during `classify`, after the results so far were written.

    Attributes:
        summary: summary of the scans that were finished.
    """

    def __init__(self, summary: ClassifySummary) -> None:
        self.summary = summary
        super().__init__(f"stopped after {len(summary.results)} scans; see {summary.folder}")


def classify(
    sources: Sequence[Path | str] | Path | str,
    out: Path | str,
    *,
    model: Path | str | ModelFolder | None = None,
    workers: int | None = None,
    device: str = "cpu",
    timeout_s: float = 180.0,
    progress: Callable[[int, int], None] | None = None,
    scan_ids: Mapping[Path, str] | None = None,
    truths: Mapping[Path, KnownTruth] | None = None,
    hash_sources: bool = False,
    call_anyway: bool = False,
    dicom: bool = False,
    fhir: bool = False,
    parquet: bool = False,
    maps: bool = False,
    site: str = "",
    sites_by_folder: bool = False,
    shard: Shard | None = None,
    pictures: bool = True,
) -> ClassifySummary:
    """Classify scans and write the results: tables, one picture per scan, and one page of all.

    Files are read, prepared and drawn in worker processes while one model classifies in this
    one; results come in input order, and only a few scans are in memory at a time, however
    long the list. A file that cannot be read, or that kills its worker, is listed in `refused`
    and affects no other file.

    Written to `out`: `results.csv`, `results.json`, `pictures/<scan_id>.png`, and `index.html`
    with the layers that it shows (`pictures/<scan_id>.grey.webp`, `.evidence.webp`).
    With `parquet`, `results.parquet` is written, too, which `bonescint results` reads.
    They replace those of an earlier run, unless nothing could be read at all; files that no
    earlier run wrote are never overwritten. After an interruption (Ctrl-C, a kill, a full disk) the
    same call resumes: finished scans are kept if model, settings, versions and files are the same.

    With `dicom`, a Secondary Capture and Structured Reports of each scan lie in `dicom/`. They hold
    the patient's name and numbers, copied from the scan's files; nothing else that is written does.
    With `fhir`, a bundle of each scan lies in `fhir/`; it names the study by its UID alone.

    Results give the path of a file relative to what was given. With `hash_sources` they give a
    keyed hash instead; the key and the table `sources.csv`, which lists which file is which, are
    then in `<out>.private`, readable only by their owner.

    Args:
        sources: files, folders (searched recursively) and addresses such as `s3://archive/nm`.
        out: the results folder; checked before the work begins.
        model: a model folder; the shipped model if `None`.
        workers: worker processes; as many as cores (at most 8) if `None`, and 0 to work in
            this process alone.
        device: `"cpu"`, `"gpu"`, `"auto"` or `"cuda"`.
        timeout_s: a worker that spends longer than this on one scan is ended.
        progress: called with the number of studies done and of all.
        scan_ids: what a cohort calls the scans, by file or by the folder of a study's files;
            a scan that is not among them is called by a hash of its UIDs.
        truths: what is known about scans, by file or folder, to be shown with the result.
        hash_sources: replace names of files and folders in the results by a keyed hash.
        call_anyway: also call scans that are too unlike the training scans; otherwise they have a
            probability, a map and no call.
        dicom: also write each result as DICOM objects, for which the extra `pacs` is needed.
        fhir: also write each result as an HL7 FHIR R5 bundle.
        parquet: also write `results.parquet`, for which the extra `cluster` is needed.
        maps: also write `results.parquet`, including the activation maps as float16.
        site: hospital or department that the scans come from, recorded with the results.
        sites_by_folder: use the first folder of each source as its site.
        shard: classify only this part of the studies, with the results in a subfolder of `out`.
            Each shard reads the headers of all files, since the two views of a study may lie
            anywhere, and the whole content of pictures.
        pictures: draw a picture of each scan.

    Returns:
        What was classified and what was refused, and why.

    Raises:
        ModelFolderError: the model is incomplete, altered or of a newer schema.
        OutputError: `out` cannot be written to, or holds files of other origin under the names
            of results.
        ParameterError: a setting that cannot be used.
        MissingExtraError: DICOM objects are wanted and the extra `pacs` is not installed, or
            Parquet and the extra `cluster`.
        ClassifyInterrupted: Ctrl-C; the results so far are written.

    Examples:
        >>> classify(["nowhere.dcm"], "results", model="no-model")
        Traceback (most recent call last):
        ...
        bonescint.scan.errors.ModelFolderError: no-model: no such model folder. Give a folder \
with configs/metadata.json.
    """
    began = time.perf_counter()
    # Imported here: a worker imports this module too, and needs no run time.
    from bonescint.classify.batch import ClassificationBatch, without_results
    from bonescint.dicom import discover
    from bonescint.model import Classifier

    given = [sources] if isinstance(sources, Path | str) else list(sources)
    if dicom:
        require("highdicom", extra="pacs")
    if parquet or maps:
        require("pyarrow", extra="cluster")
    if not pictures and (dicom or fhir):
        raise ParameterError("pictures", "classify", "drawn where DICOM or FHIR is written", False)
    check_sites(site, sites_by_folder=sites_by_folder, hash_sources=hash_sources)
    folder = model_folder(model)
    count = usual_workers(workers)
    destination = _results_folder(Path(out), shard)
    interrupted = False
    delivery = DeliveryOrder.of(folder, destination, dicom=dicom, fhir=fhir)
    facts = run_facts(
        folder, device, call_anyway=call_anyway, delivered=(dicom, fhir), pictures=pictures
    )
    with ResultsFolder(destination, identity=run_identity(facts)) as results:
        found = without_results(discover(given), results.earlier, given)
        if shard is not None:
            found = without_shards(found, Path(out))
        names = SourceNames.relative(found, given)
        part = found if shard is None else shard.part_of(found, names)
        if hash_sources:
            names = hashed_names(found, Path(out))
        found = part
        batch = ClassificationBatch(
            results,
            notice=notice_of(folder),
            operating_point=folder.card.operating_point,
            preprocessing=folder.card.preprocessing,
            total=len(found.studies) + len(found.refused),
            progress=progress,
            names=names,
            rows=RowsInOrder(names, scan_ids=scan_ids, truths=truths),
            delivery=delivery,
            pictures=pictures,
        )
        for error in found.refused:
            batch.refuse(error, source=error.source)
        # Workers first: they import while the model is compiled here.
        with pool_of(
            min(count, len(found.studies)), timeout_s=timeout_s, preload="bonescint.classify.steps"
        ) as pool:
            try:
                if found.studies:
                    with Classifier(folder, device=device, call_anyway=call_anyway) as classifier:
                        batch.run(found.studies, pool, classifier, ahead=2 * count + 2)
            except KeyboardInterrupt:
                interrupted = True
        refused = tuple(batch.refused)
        created = datetime.now(UTC)
        settings = {
            "workers": count,
            "timeout_s": timeout_s,
            "site": site,
            "sites_by_folder": sites_by_folder,
            "shard": shard and str(shard),
        }
        # A typing error in a path must not delete the results of an earlier run.
        written = bool(batch.classified) or not results.earlier.has_results
        if written:
            calls = CallCounts.of(batch.classified, has_band=folder.card.uncertain_band is not None)
            results.finish(
                {
                    **document_of(folder, facts, settings, created),
                    "interrupted": interrupted,
                    "calls": asdict(calls),
                },
                page_heading(folder, created, calls, interrupted=interrupted),
                refused,
                interrupted=interrupted,
                parquet=parquet or maps,
                maps=maps,
            )
    summary = ClassifySummary(
        folder=destination,
        model_id=folder.model_id,
        operating_point=folder.card.operating_point,
        results=tuple(batch.classified),
        refused=refused,
        interrupted=interrupted,
        seconds=time.perf_counter() - began,
        written=written,
        taken_over=batch.taken_over,
        uncertain_band=folder.card.uncertain_band,
    )
    if interrupted:
        raise ClassifyInterrupted(summary)
    return summary


def check_sites(site: str, *, sites_by_folder: bool, hash_sources: bool) -> None:
    """Refuse two ways to name the site of a scan.

    Raises:
        ParameterError: sites by folder, and beside them a name, or sources that show no folder.
    """
    if sites_by_folder and (site or hash_sources):
        requirement = "given without a site, and without hashed sources, which have no folder"
        raise ParameterError("sites_by_folder", "classify", requirement, sites_by_folder)


def _results_folder(out: Path, shard: Shard | None) -> Path:
    require_local(out, "Give a folder, or add --engine ray")
    return out if shard is None else out / shard.folder_name


def model_folder(model: Path | str | ModelFolder | None) -> ModelFolder:
    """Load a model folder; the shipped one if `None`."""
    from bonescint.model import ModelFolder, shipped_model

    if model is None:
        return shipped_model()
    return model if isinstance(model, ModelFolder) else ModelFolder.load(Path(model))


def cell_model(model: Path | str | ModelFolder | None) -> ModelFolder:
    """Load a model folder whose maps are probabilities of cells; the shipped one if `None`.

    Raises:
        ParameterError: its maps are something else, such as Grad-CAM.
    """
    folder = model_folder(model)
    if not folder.card.evidence_map.is_probability:
        got = f"{folder.model_id}: {folder.card.evidence_map.kind}"
        requirement = "one whose map is the probability of each cell"
        raise ParameterError("model", "quantify", requirement, got)
    return folder


def run_facts(
    folder: ModelFolder,
    device: str,
    *,
    call_anyway: bool,
    delivered: tuple[bool, bool] = (False, False),
    pictures: bool = False,
) -> dict[str, Any]:
    """What the results depend on apart from the scan, as recorded in `results.json`."""
    from bonescint.model.gpu_engine import load_onnxruntime

    return {
        "software": {
            "bonescint": bonescint.__version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in _LIBRARIES},
            **({"onnxruntime": load_onnxruntime().__version__} if device == "cuda" else {}),
        },
        "settings": {
            "device": device,
            "preprocessing": folder.card.preprocessing.identifier,
            "call_anyway": call_anyway,
            "dicom": delivered[0],
            "fhir": delivered[1],
            "pictures": pictures,
        },
        "model_id": folder.model_id,
        "model_sha256": folder.sha256,
        "operating_point": folder.card.operating_point,
        "ood_threshold": folder.ood and folder.ood.threshold,
        "model": folder.card.to_json(),
    }


def document_of(
    folder: ModelFolder, facts: Mapping[str, Any], settings: Mapping[str, Any], created: datetime
) -> dict[str, Any]:
    """What a run records of itself, apart from its results."""
    return {
        "schema_version": RESULTS_SCHEMA_VERSION,
        "notice": notice_of(folder),
        "created": created.isoformat(timespec="seconds"),
        **facts,
        "settings": {**facts["settings"], **settings},
    }


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
    "simulated-missed-metastasis": KnownTruth(
        words="one metastasis, in the sternum, hard to see (synthetic patient)", positive=True
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
        ['.dcm', '.dcm', '.dcm', '.dcm']
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
    """Classify the demonstration's scans with the shipped model, and show their known truth.

    The scans are copied to `scans/` in the results folder, so that other commands can be tried.

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
