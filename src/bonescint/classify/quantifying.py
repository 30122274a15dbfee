"""Quantify scans and write the results folder: one JSON file, a table of foci, pictures, a page.

Each scan's result is a file of its own from the moment it is finished (`scans/`), so that an
interrupted run resumes: a scan whose files, model and settings are the same is not repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint import __version__
from bonescint.buckets import require_local
from bonescint.classify.classify import cell_model
from bonescint.classify.naming import SourceNames
from bonescint.classify.quantified_page import QuantifiedPage, write_tables
from bonescint.classify.results import Refusal, notice_of
from bonescint.classify.rows import RowsInOrder
from bonescint.extras import require
from bonescint.files import cannot_write, one_writer, require_own, write_whole
from bonescint.parallel import Pool, in_order, pool_of, usual_workers
from bonescint.report.document_page import write_document
from bonescint.scan import BonescintError, OutputError

if TYPE_CHECKING:
    from bonescint.classify.quantified_study import QuantifiedStudy, QuantifyOrder
    from bonescint.dicom import StudyFiles
    from bonescint.model import ModelFolder
    from bonescint.quantify import MassTable

_SIGNATURE = '"made_by": "bonescint quantify"'
_MADE = (
    "results.json",
    "scans.csv",
    "foci.csv",
    "detectability.csv",
    "index.html",
    "pictures",
    "scans",
)
_FOLDERS = ("pictures", "scans", "dicom")
_KEY = re.compile("[0-9a-f]{24}")
"""Name of a scan's files: others are not ours to delete."""
_TIMEOUT_S = 180.0
_DETECTABILITY_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantifySummary:
    """What a run of `quantify` did.

    Attributes:
        folder: the results folder.
        scans: the results, as they stand in `results.json`.
        refused: inputs that gave no result, and why.
        written: whether results were written; if nothing was quantified, those of an earlier run
            are kept.
    """

    folder: Path
    scans: tuple[dict[str, Any], ...]
    refused: tuple[Refusal, ...]
    written: bool = True


def quantify(
    sources: Sequence[Path | str],
    out: Path,
    *,
    model: Path | str | None = None,
    masses: MassTable | None = None,
    workers: int | None = None,
    device: str = "cpu",
    call_anyway: bool = False,
    detectability: bool = False,
    dicom: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> QuantifySummary:
    """Quantify scans and write tables, pictures and a page.

    Each study is processed by one worker process, with its own copy of the model on one thread, so
    that the results are the same, in input order, for any number of workers. A study that kills its
    worker, or takes longer than three minutes (30 with `detectability`), is listed in `refused`.

    Args:
        sources: files, folders and archives.
        out: the results folder.
        model: a model folder; the shipped model if `None`.
        masses: the bones' shares of mass; Spiers' if `None`.
        workers: worker processes; as many as cores (at most 8) if `None`, and 0 to work in
            this process alone.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also give an index for scans that the model does not call.
        detectability: also find, for each bone, the contrast from which a lesion is found; takes
            about a minute of one core per scan.
        dicom: also write each result as DICOM Structured Reports, for which the extra `pacs` is
            needed; a scan that is not DICOM has the reason in `not_delivered`.
        progress: called with the number of studies done and of all.

    Raises:
        MissingExtraError: reports are wanted and the extra `pacs` is not installed.
        ModelFolderError: the model is incomplete, altered or of a newer schema.
        OutputError: `out` cannot be written to, or holds files of other origin.
        ParameterError: a setting that cannot be used.
    """
    from bonescint.dicom.discovery import examined, grouped
    from bonescint.dicom.listing import listed_files
    from bonescint.quantify import MassTable

    require_local(Path(out))
    if dicom:
        require("highdicom", extra="pacs")
    run = _Run(
        folder=cell_model(model),
        masses=masses or MassTable.SPIERS,
        device=device,
        call_anyway=call_anyway,
        detectability=detectability,
        dicom=dicom,
        out=Path(out),
    )
    count = usual_workers(workers)
    require_own(run.out, _MADE, mark="results.json", signature=_SIGNATURE)
    with one_writer(run.out):
        has_earlier = (run.out / "results.json").exists()
        run.begin()
        files = list(listed_files(sources))
        with pool_of(
            min(count, len(files)),
            timeout_s=_DETECTABILITY_TIMEOUT_S if detectability else _TIMEOUT_S,
            preload="bonescint.classify.quantified_study",
        ) as pool:
            found = grouped(examined(files))  # while the processes start
            names = SourceNames.relative(found, sources)
            rows = RowsInOrder(names)
            refused = [rows.refusal(error, source=error.source) for error in found.refused]
            done: list[dict[str, Any]] = []
            total = len(found.studies) + len(refused)
            for study, result in zip(
                found.studies, run.results(found.studies, pool, ahead=2 * count), strict=True
            ):
                try:
                    done.append(run.kept(result.result(), study, names, rows))
                except OutputError:
                    raise
                except BonescintError as error:
                    refused.append(rows.refusal(error, source=study.source))
                if progress is not None:
                    progress(len(done) + len(refused), total)
        # A typing error in a path must not delete the results of an earlier run.
        written = bool(done) or not has_earlier
        if written:
            run.finish(done, refused)
    return QuantifySummary(
        folder=run.out, scans=tuple(done), refused=tuple(refused), written=written
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    folder: ModelFolder
    masses: MassTable
    device: str
    call_anyway: bool
    detectability: bool
    dicom: bool
    out: Path

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "bonescint": __version__,
            "model_id": self.folder.model_id,
            "model_content_sha256": self.folder.content_sha256,
            "bone_masses": self.masses.value,
            "device": self.device,
            "call_anyway": self.call_anyway,
            "detectability": self.detectability,
            **({"dicom": True} if self.dicom else {}),
        }

    @property
    def order(self) -> QuantifyOrder:
        from bonescint.classify.quantified_study import QuantifyOrder

        return QuantifyOrder(
            model=self.folder.path,
            masses=self.masses,
            device=self.device,
            call_anyway=self.call_anyway,
            detectability=self.detectability,
            dicom=self.dicom,
            facts=self.facts,
            notice=notice_of(self.folder),
            out=self.out,
        )

    def begin(self) -> None:
        try:
            for name in ("pictures", "scans"):
                (self.out / name).mkdir(parents=True, exist_ok=True)
            if not (self.out / "results.json").exists():
                self._write_json([], [])
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def results(
        self, studies: Sequence[StudyFiles], pool: Pool, *, ahead: int
    ) -> Iterator[Future[QuantifiedStudy]]:
        """The result of each study, in order.

        Raises:
            ModelFolderError: the model cannot be run, which is no fault of a study.
            ParameterError: there is no such device.
        """
        from bonescint.classify.quantified_study import (
            close_model,
            compile_model,
            quantified_study,
        )

        if not studies:
            return
        order = self.order
        compiled = pool.submit(compile_model, order)
        try:
            for result in in_order(pool, partial(quantified_study, order), studies, ahead=ahead):
                compiled.result()
                yield result
        finally:
            close_model()  # of this process, if it did the work itself

    def kept(
        self, one: QuantifiedStudy, study: StudyFiles, names: SourceNames, rows: RowsInOrder
    ) -> dict[str, Any]:
        """A result with its identifier and source, as in `classify`; a later run will find it.

        Raises:
            InputError: the same content was quantified before.
        """
        from bonescint.classify.quantified_study import record_path

        content = dict(one.content)
        if "not_delivered" in content:
            content["not_delivered"] = names.clean(content["not_delivered"])
        if one.is_new:
            write_whole(record_path(self.out, one.key), json.dumps(content))
        scan_id, warnings = rows.identified(study, content["scan_id"], content["file_sha256"])
        return {
            **content,
            "scan_id": scan_id,
            "remarks": [*warnings, *content["remarks"]],
            "source": names.of(study.source),
        }

    def _write_json(self, done: Sequence[dict[str, Any]], refused: Sequence[Refusal]) -> None:
        content = {
            "made_by": "bonescint quantify",
            "notice": notice_of(self.folder),
            **self.facts,
            "bone_masses_source": self.masses.source,
            "scans": list(done),
            "refused": [entry.to_json() for entry in refused],
        }
        write_whole(self.out / "results.json", json.dumps(content, indent=1))

    def finish(self, done: Sequence[dict[str, Any]], refused: Sequence[Refusal]) -> None:
        """Write the tables, the JSON file and the page."""
        self._write_json(done, refused)
        write_tables(self.out, done, detectability=self.detectability)
        page = QuantifiedPage(
            notice=notice_of(self.folder),
            model_id=self.folder.model_id,
            bone_masses=self.masses.in_words,
            bone_masses_source=self.masses.source,
            detectability=self.detectability,
            figures=self.out / "scans",
        )
        write_document(self.out / "index.html", page.document(done, refused))
        kept = {Path(one["picture"]).stem for one in done}
        for name in _FOLDERS:
            for file in (self.out / name).glob("*"):
                stem = file.name.split(".")[0]
                if stem not in kept and _KEY.fullmatch(stem):
                    file.unlink(missing_ok=True)
