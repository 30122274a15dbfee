"""A batch: studies in, rows out, in order, with few scans in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.classify.earlier import EarlierRun, InterruptedScan, picture_name
from bonescint.classify.folder import ResultsFolder
from bonescint.classify.naming import SourceNames
from bonescint.classify.results import ClassifiedScan, Refusal
from bonescint.classify.rows import RowsInOrder
from bonescint.classify.steps import (
    DrawnScan,
    DrawOrder,
    ReadyScan,
    Unchanged,
    draw,
    read_and_prepare,
    read_unless_same,
)
from bonescint.dicom import Discovery, StudyFiles
from bonescint.parallel import Pool
from bonescint.report import PageLayers
from bonescint.scan import (
    BonescintError,
    InputError,
    MissingExtraError,
    OutputError,
)

if TYPE_CHECKING:
    from bonescint.classify.delivery import DeliveryOrder
    from bonescint.model import Classifier
    from bonescint.prepare import Preprocessing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawn:
    """A classified scan whose picture is being drawn, if it gets one."""

    result: ClassifiedScan
    record: dict[str, Any]
    drawn: Future[DrawnScan] | None
    read_as: str
    read_from: str


_Reading = Future[ReadyScan] | Future[ReadyScan | Unchanged]
_Item = _Drawn | InterruptedScan | tuple[BonescintError, str]


class ClassificationBatch:
    """Classifies a batch of studies.

    Args:
        results: where rows go.
        notice: statement about the model on each picture.
        operating_point: the model's threshold on the probability.
        preprocessing: the model's.
        total: number of inputs, refused ones included.
        progress: called with the number done and the total.
        names: file names in the results.
        rows: makes the rows.
        delivery: what is written of each result for other systems, or `None`.
        pictures: draw a picture of each scan.

    Attributes:
        classified: the finished scans.
        refused: the inputs that gave no result.
        taken_over: how many of the scans a run that was stopped had done.
    """

    def __init__(
        self,
        results: ResultsFolder,
        *,
        notice: str,
        operating_point: float,
        preprocessing: Preprocessing,
        total: int,
        progress: Callable[[int, int], None] | None,
        names: SourceNames,
        rows: RowsInOrder,
        delivery: DeliveryOrder | None = None,
        pictures: bool = True,
    ) -> None:
        self.taken_over = 0
        self.classified: list[ClassifiedScan] = []
        self.refused: list[Refusal] = []
        self._results = results
        self._notice = notice
        self._operating_point = operating_point
        self._preprocessing = preprocessing
        self._total = total
        self._progress = progress
        self._names = names
        self._rows = rows
        self._delivery = delivery
        self._pictures = pictures

    def refuse(self, error: BonescintError, *, source: str) -> None:
        """Record an input that gives no result."""
        self.refused.append(self._rows.refusal(error, source=source))
        self._tell()

    def run(
        self, studies: Sequence[StudyFiles], pool: Pool, classifier: Classifier, *, ahead: int
    ) -> None:
        """Classify studies, in order.

        Args:
            studies: to read.
            pool: worker processes that read and draw.
            classifier: predicts in this thread.
            ahead: number of studies that may be read ahead, and that may wait to be drawn.

        Raises:
            OutputError: results can no longer be written.
        """
        drawing: deque[_Item] = deque()
        for study, finished, reading in self._read_ahead(studies, pool, ahead):
            try:
                drawing.append(self._done(study, finished, reading.result(), pool, classifier))
            except BonescintError as error:
                drawing.append((error, study.source))
            while len(drawing) > ahead:
                self._settle(drawing.popleft())
        while drawing:
            self._settle(drawing.popleft())

    def _read_ahead(
        self, studies: Sequence[StudyFiles], pool: Pool, ahead: int
    ) -> Iterator[tuple[StudyFiles, InterruptedScan | None, _Reading]]:
        """Each study with its reading; at most `ahead` are begun in advance."""
        begun: deque[tuple[StudyFiles, InterruptedScan | None, _Reading]] = deque()
        for study in studies:
            source = self._names.of(study.source)
            finished = self._results.interrupted.scan(source, pictures=self._pictures)
            if finished is None:
                begun.append((study, None, self._read(study, pool)))
            else:
                about = self._preprocessing, finished.read_from, self._pictures
                begun.append((study, finished, pool.submit(read_unless_same, study, *about)))
            if len(begun) >= ahead:
                yield begun.popleft()
        while begun:
            yield begun.popleft()

    def _read(self, study: StudyFiles, pool: Pool) -> Future[ReadyScan]:
        return pool.submit(read_and_prepare, study, self._preprocessing, self._pictures)

    def _done(
        self,
        study: StudyFiles,
        finished: InterruptedScan | None,
        ready: ReadyScan | Unchanged,
        pool: Pool,
        classifier: Classifier,
    ) -> _Item:
        """The result of an earlier run for a study, or a new one."""
        if isinstance(ready, Unchanged):
            if finished is not None and self._rows.takes_over(
                study, finished.read_as, finished.file_sha256, finished.result
            ):
                return finished
            ready = self._read(study, pool).result()
        return self._predicted(study, ready, pool, classifier)

    def _predicted(
        self, study: StudyFiles, ready: ReadyScan, pool: Pool, classifier: Classifier
    ) -> _Drawn:
        read_as = ready.prepared.scan_id
        scan_id, warnings = self._rows.identified(study, read_as, ready.file_sha256)
        prediction = classifier.predict_prepared(
            replace(ready.prepared, scan_id=scan_id), warnings=(*ready.warnings, *warnings)
        )
        picture = f"pictures/{picture_name(scan_id)}" if self._pictures else ""
        result = self._rows.row(prediction, study, ready.views, picture=picture)
        record = {**result.to_json(), **ready.facts, "prediction": prediction.to_json()}
        drawn = None
        if self._pictures:
            order = DrawOrder(
                prediction=prediction,
                operating_point=self._operating_point,
                notice=self._notice,
                path=self._results.picture_path(scan_id),
                layer_paths=self._results.layer_paths(scan_id),
                study=study,
                delivery=self._delivery,
            )
            drawn = pool.submit(draw, ready.packed_scan, order)
        return _Drawn(
            result=result, record=record, drawn=drawn, read_as=read_as, read_from=ready.read_from
        )

    def _settle(self, item: _Item) -> None:
        """Write the rows of the oldest scan in flight."""
        if isinstance(item, tuple):
            error, source = item
            self.refuse(error, source=source)
            return
        if isinstance(item, InterruptedScan):
            self._results.add_again(item, item.result)
            self.taken_over += 1
            self.classified.append(item.result)
            self._tell()
            return
        result, record = item.result, item.record
        layers: PageLayers | None = None
        try:
            drawn = item.drawn.result() if item.drawn else None
        except (OutputError, MissingExtraError):
            raise
        except BonescintError as error:
            # The prediction is valid without a picture.
            warnings = (*result.warnings, f"no picture: {error}")
            result = replace(result, picture="", warnings=warnings)
        else:
            if drawn is not None:
                layers = drawn.layers
                why_not = self._names.clean(drawn.not_delivered)
                result = replace(result, objects=drawn.objects, not_delivered=why_not)
        record = {**record, **result.to_json()}
        self._results.add(result, record, layers, read_as=item.read_as, read_from=item.read_from)
        self.classified.append(result)
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(len(self.classified) + len(self.refused), self._total)


def without_results(
    found: Discovery, earlier: EarlierRun, given: Sequence[Path | str] = ()
) -> Discovery:
    """The studies that a search found, without the files that an earlier run wrote.

    Searching `.` must not classify the pictures in `./results`. Other files in that folder are
    inputs like any other.

    Args:
        found: by the search.
        earlier: the earlier run in the results folder.
        given: what the user named; a result file that was named is refused, not ignored.
    """
    own = earlier.paths()
    named = {str(Path(source)) for source in given}

    def is_own(path: Path) -> bool:
        try:
            return path.resolve() in own
        except (OSError, RuntimeError, ValueError):
            return False

    studies: list[StudyFiles] = []
    refused = [
        error for error in found.refused if error.source in named or not is_own(Path(error.source))
    ]
    for study in found.studies:
        if not is_own(study.files[0]):
            studies.append(study)
        elif str(study.files[0]) in named:
            problem = "is a picture that an earlier run wrote to this results folder"
            refused.append(InputError(study.source, problem, "Give the scan itself"))
    return Discovery(studies=tuple(studies), refused=tuple(refused))
