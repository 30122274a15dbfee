"""A batch: studies in, rows out, in order, with few scans in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bonescint.classify.earlier import EarlierRun, InterruptedScan, picture_name
from bonescint.classify.folder import ResultsFolder
from bonescint.classify.naming import SourceNames, content_sha256
from bonescint.classify.results import ClassifiedScan, KnownTruth, Refusal
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
    Prediction,
)

if TYPE_CHECKING:
    from bonescint.classify.delivery import DeliveryOrder
    from bonescint.model import Classifier
    from bonescint.prepare import Preprocessing

_Known = TypeVar("_Known")
CONTENT_LETTERS = 12  # 6 would meet by chance in an archive of some thousand scans


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Drawn:
    """A classified scan whose picture is being drawn."""

    result: ClassifiedScan
    record: dict[str, Any]
    drawn: Future[DrawnScan]
    read_as: str


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
        scan_ids: names of scans by file or folder; others are named by a hash of their UIDs.
        truths: what is known about scans, by file or folder.
        names: file names in the results.
        delivery: what is written of each result for other systems, or `None`.

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
        scan_ids: Mapping[Path, str],
        truths: Mapping[Path, KnownTruth],
        names: SourceNames,
        delivery: DeliveryOrder | None = None,
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
        self._scan_ids = scan_ids
        self._truths = truths
        self._names = names
        self._delivery = delivery
        self._seen: dict[str, dict[frozenset[str], str]] = {}

    def refuse(self, error: BonescintError, *, source: str) -> None:
        """Record an input that gives no result."""
        refusal = Refusal.of(error, source=source)
        named, reason = self._names.of(refusal.source), self._names.clean(refusal.reason)
        self.refused.append(replace(refusal, source=named, reason=reason))
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
            finished = self._results.interrupted.scan(self._names.of(study.source))
            if finished is None:
                begun.append(
                    (study, None, pool.submit(read_and_prepare, study, self._preprocessing))
                )
            else:
                known = finished.file_sha256
                reading = pool.submit(read_unless_same, study, self._preprocessing, known)
                begun.append((study, finished, reading))
            if len(begun) >= ahead:
                yield begun.popleft()
        while begun:
            yield begun.popleft()

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
            if finished is not None and self._is_called(study, finished):
                self._note(finished.read_as, frozenset(finished.file_sha256), study)
                return finished
            ready = pool.submit(read_and_prepare, study, self._preprocessing).result()
        return self._predicted(study, ready, pool, classifier)

    def _predicted(
        self, study: StudyFiles, ready: ReadyScan, pool: Pool, classifier: Classifier
    ) -> _Drawn:
        read_as = ready.prepared.scan_id
        ready = self._called(study, self._told_apart(study, ready))
        prediction = classifier.predict_prepared(ready.prepared, warnings=ready.warnings)
        order = DrawOrder(
            prediction=prediction,
            operating_point=self._operating_point,
            notice=self._notice,
            path=self._results.picture_path(prediction.scan_id),
            layer_paths=self._results.layer_paths(prediction.scan_id),
            study=study,
            delivery=self._delivery,
        )
        result = self._result_of(prediction, study, ready)
        record = {**result.to_json(), **ready.facts, "prediction": prediction.to_json()}
        drawn = pool.submit(draw, ready.packed_scan, order)
        return _Drawn(result=result, record=record, drawn=drawn, read_as=read_as)

    def _result_of(
        self, prediction: Prediction, study: StudyFiles, ready: ReadyScan
    ) -> ClassifiedScan:
        score = prediction.ood_score
        return ClassifiedScan(
            scan_id=prediction.scan_id,
            source=self._names.of(study.source),
            views=ready.views,
            mbd_probability=prediction.mbd_probability,
            positive=prediction.positive,
            warnings=tuple(self._names.clean(text) for text in prediction.warnings),
            picture=f"pictures/{picture_name(prediction.scan_id)}",
            uncertain=prediction.uncertain,
            ood_score=None if score is None else round(score, 3),
            unlike=prediction.unlike,
            rank_among_normals=prediction.rank_among_normals,
            truth=_of(study, self._truths),
        )

    def _called(self, study: StudyFiles, ready: ReadyScan) -> ReadyScan:
        """The scan under the name that the caller gave for its file or folder, if any."""
        name = _of(study, self._scan_ids)
        if name is None:
            return ready
        return replace(ready, prepared=replace(ready.prepared, scan_id=name))

    def _is_called(self, study: StudyFiles, finished: InterruptedScan) -> bool:
        """Whether a scan would get the same name and the same known truth as in the earlier run."""
        content = frozenset(finished.file_sha256)
        seen = self._seen.get(finished.read_as, {})
        name = _of(study, self._scan_ids)
        if name is None:
            name = _told_apart_name(finished.read_as, content) if seen else finished.read_as
        truth = _of(study, self._truths)
        same = finished.result.scan_id == name and finished.result.truth == truth
        return content not in seen and same

    def _note(self, scan_id: str, content: frozenset[str], study: StudyFiles) -> None:
        self._seen.setdefault(scan_id, {})[content] = self._names.of(study.source)

    def _told_apart(self, study: StudyFiles, ready: ReadyScan) -> ReadyScan:
        """One row per scan: the same content given twice is refused, not overwritten.

        Different content under the same identifiers is another scan: some anonymisers give a whole
        archive one UID. Its `scan_id` is extended by a hash of its content. This happens in input
        order, so that the number of workers has no influence.

        Raises:
            InputError: the same content came before.
        """
        scan_id = ready.prepared.scan_id
        sources = self._seen.setdefault(scan_id, {})
        content = frozenset(ready.file_sha256)
        if content in sources:
            problem = f"is a duplicate of {sources[content]} (same content, scan {scan_id})"
            raise InputError(study.source, problem, "Give each study once")
        is_first = not sources
        self._note(scan_id, content, study)
        if is_first:
            return ready
        warning = (
            f"same identifiers as another study (scan {scan_id}) but different content: "
            f"distinguished by a hash; check how the files were anonymised"
        )
        name = _told_apart_name(scan_id, content)
        return replace(
            ready,
            prepared=replace(ready.prepared, scan_id=name),
            warnings=(*ready.warnings, warning),
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
            drawn = item.drawn.result()
        except (OutputError, MissingExtraError):
            raise
        except BonescintError as error:
            # The prediction is valid without a picture.
            warnings = (*result.warnings, f"no picture: {error}")
            result = replace(result, picture="", warnings=warnings)
        else:
            layers = drawn.layers
            why_not = self._names.clean(drawn.not_delivered)
            result = replace(result, objects=drawn.objects, not_delivered=why_not)
        record = {**record, **result.to_json()}
        self._results.add(result, record, layers, read_as=item.read_as)
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


def _of(study: StudyFiles, known: Mapping[Path, _Known]) -> _Known | None:
    """What the caller knows about a study by its file or folder."""
    first = study.files[0]
    return known.get(first, known.get(first.parent))


def _told_apart_name(scan_id: str, content: frozenset[str]) -> str:
    return f"{scan_id}-{content_sha256(content)[:CONTENT_LETTERS]}"
