"""Hands out cases and takes their answers: what the routes call, for one learner or a classroom.

The truth of a case stays here until its answer is on disk (`Records.store_answer`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from bonescint.scan import BonescintError
from bonescint.study.errors import RefusedError
from bonescint.teach.answers import CaseAnswer, Feedback, grade
from bonescint.teach.cases import CaseSpec, TeachingCase
from bonescint.teach.records import IssuedCase, Records, RecordsError, Trainee
from bonescint.teach.web.model_answers import ModelAnswers
from bonescint.teach.web.source import CaseSource
from bonescint.teach.web.words import Sentence, shown_feedback, shown_model
from bonescint.viewer import Picture

_LOG = logging.getLogger("bonescint.teach")
_KEPT = 64
_MODEL_WITHIN_S = 5.0
_Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedCase:
    """A case as the page gets it, with the truth that the page does not get.

    Attributes:
        case: with its truth.
        picture: what is shown.
        compressed: its pixels as they are sent.
        model: the model's output, once it is there.
    """

    case: TeachingCase
    picture: Picture
    compressed: bytes
    model: Future[Mapping[str, Any] | None]


class Desk:
    """Hands out cases and takes answers. Safe to call from several threads.

    Args:
        records: where answers are stored.
        source: where cases come from.
        model: the model's answers to the cases.
        sentence: gives, for a kind of benign uptake, how to tell it from a metastasis.
    """

    def __init__(
        self, records: Records, source: CaseSource, model: ModelAnswers, sentence: Sentence
    ) -> None:
        self._records, self._source = records, source
        self._model, self._sentence = model, sentence
        self._prepared: OrderedDict[str, PreparedCase] = OrderedDict()
        self._warm = False
        self._lock = threading.Lock()

    def trainee(self, name: str) -> Trainee:
        """A learner in the records."""
        return self._records.trainee(name, now_s=time.time())

    def current(self, name: str, course: str) -> tuple[IssuedCase, Picture | None] | None:
        """The case that a learner reads now, with its picture once it is made.

        Returns:
            `None` when all cases are answered.
        """
        trainee = self.trainee(name)
        issued = self._source.issued(trainee, course)
        if issued is None:
            return None
        prepared = self._prepare(issued)
        return issued, None if prepared is None else prepared.picture

    def _prepare(self, issued: IssuedCase) -> PreparedCase | None:
        """A case ready to be shown; the model begins to read it."""
        with self._lock:
            found = self._prepared.get(issued.case_id)
            if found is not None:
                self._prepared.move_to_end(issued.case_id)
                return found
            case = self._made(issued)
            if case is None:
                return None
            picture = Picture.of(case.scan)
            found = PreparedCase(
                case=case,
                picture=picture,
                compressed=picture.compressed(),
                model=self._model.read(case.scan),
            )
            self._prepared[issued.case_id] = found
            if not self._warm:
                self._warm = True
                threading.Thread(target=self._warm_up, args=(case,), daemon=True).start()
            while len(self._prepared) > _KEPT:
                self._prepared.popitem(last=False)
            return found

    def _made(self, issued: IssuedCase) -> TeachingCase | None:
        """A case with its truth; `None` while it is being made."""
        try:
            return self._source.made(issued)
        except BonescintError as error:  # it may name a file, which students need not know
            _LOG.error("a case cannot be made: %s", str(error).splitlines()[0])
            message = "This case cannot be made. Tell whoever runs this server."
            raise RefusedError("case", message, status=500) from error

    def _warm_up(self, case: TeachingCase) -> None:
        """Load what the first feedback needs while the first case is read."""
        nothing = CaseAnswer(positive=False, confidence=0)
        shown_feedback(grade(case, nothing), self._sentence)

    def cases_of(self, course: str) -> int:
        """Number of cases of a course or a test."""
        return self._source.cases_of(course)

    def test_specs(self, course: str, count: int) -> tuple[CaseSpec, ...]:
        """Cases of a new test, like those of a course."""
        return self._source.test_specs(course, count)

    def pixels(self, name: str, case_id: str) -> bytes:
        """The compressed pixels of a case that a learner was given.

        Raises:
            RefusedError: it is not theirs, or not made yet.
        """
        issued = self._records.find(self.trainee(name), case_id)
        prepared = None if issued is None else self._prepare(issued)
        if prepared is None:
            raise _no_such_case()
        return prepared.compressed

    def answer(self, name: str, case_id: str, answer: CaseAnswer) -> _Json:
        """Store an answer, and return its feedback once it is on disk.

        The same answer may be sent again, after a lost connection.

        Raises:
            RefusedError: no such case, or it was answered otherwise.
            ParameterError: a mark outside the scan.
        """
        trainee = self.trainee(name)
        issued = self._records.find(trainee, case_id)
        if issued is None:
            raise _no_such_case()
        test = self._source.test(issued.course)
        if test is not None and test.released:
            raise RefusedError("answered", "This test is closed; no more answers are taken.")
        prepared = self._prepare(issued)
        if prepared is None:
            raise RefusedError("preparing", "The case is being made again. Try once more.")
        feedback = grade(prepared.case, answer)
        try:
            self._records.store_answer(trainee, feedback, now_s=time.time())
        except RecordsError as error:
            raise RefusedError("answered", str(error)) from error
        self._source.answered(trainee, issued.course)
        last = issued.number + 1 == self._source.cases_of(issued.course)
        after = ("/" if test else f"/course/{issued.course}") if last else ""
        if test is not None:  # the same cases wait for others
            return {"feedback": None, "after": after}
        return {"feedback": shown_feedback(feedback, self._sentence), "after": after}

    def feedback(self, name: str, case_id: str) -> _Json:
        """An answered case once more, with its feedback.

        Raises:
            RefusedError: it is not theirs, has no answer, or belongs to a test that is open.
        """
        found = self._answered(name, case_id)
        if found is None:
            return {"preparing": True}
        issued, feedback, prepared = found
        marks = [
            {"view": one.mark.view.value, "row": one.mark.row, "column": one.mark.column}
            for one in feedback.marks
        ]
        return {
            "case": {
                "token": case_id,
                "number": issued.number + 1,
                "picture": dict(prepared.picture.facts),
            },
            "marks": marks,
            "feedback": shown_feedback(feedback, self._sentence),
        }

    def model(self, name: str, case_id: str) -> _Json:
        """What the model says of a case that a learner has answered.

        Raises:
            RefusedError: as for `feedback`.
        """
        found = self._answered(name, case_id)
        if found is None:
            return {"preparing": True}
        _, feedback, prepared = found
        try:
            output = prepared.model.result(timeout=_MODEL_WITHIN_S)
        except TimeoutError:
            return {"preparing": True}
        if output is None:
            return {"model": None}
        probability = float(output["mbd_probability"])
        self._records.store_model(self.trainee(name), case_id, probability)
        return {"model": shown_model(output, positive=feedback.positive)}

    def _answered(
        self, name: str, case_id: str
    ) -> tuple[IssuedCase, Feedback, PreparedCase] | None:
        """An answered case; `None` while it is being made again."""
        trainee = self.trainee(name)
        issued = self._records.find(trainee, case_id)
        feedback = None if issued is None else self._records.feedback(trainee, case_id)
        if issued is None or feedback is None:
            raise _no_such_case()
        test = self._source.test(issued.course)
        if test is not None and not test.released:
            raise _no_such_case()
        prepared = self._prepare(issued)
        return None if prepared is None else (issued, feedback, prepared)


def _no_such_case() -> RefusedError:
    return RefusedError("not-found", "There is no such case.", status=404)
