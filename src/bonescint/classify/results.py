"""The result of each input and of the whole batch, and statements about the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonescint.report import PageHeading, operating_point_text
from bonescint.scan import RESEARCH_USE, BonescintError, Call, InputError, NormalRank

if TYPE_CHECKING:
    from bonescint.model import Metric, ModelFolder

RESULTS_SCHEMA_VERSION = 1

_MOST_REJECTED = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownTruth:
    """What is known about a scan, apart from the model's answer.

    Attributes:
        words: in words, without a full stop.
        positive: whether there is metastatic bone disease, or `None` if that is unknown.
    """

    words: str
    positive: bool | None

    def beside(self, *, positive: bool | None) -> str:
        """The truth, and whether the model's call agrees with it.

        Args:
            positive: the call; `None` if there is none.

        Examples:
            >>> KnownTruth(words="one metastasis, in L3", positive=True).beside(positive=False)
            'one metastasis, in L3. The model missed it.'
        """
        if self.positive is None or positive is None:
            return f"{self.words}."
        if self.positive is positive:
            return f"{self.words}. The model is right."
        return f"{self.words}. The model " + ("missed it." if self.positive else "is wrong.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedScan:
    """One row of `results.csv`: a scan and the model's answer, without the arrays.

    Attributes:
        scan_id: identifier of the scan.
        source: its file, or files, relative to what the user gave, or a hash of that.
        views: names of the views that are present.
        mbd_probability: probability of metastatic bone disease, 0 to 1.
        positive: whether it reaches the model's operating point; `None` if the scan is not called.
        warnings: reasons to trust the answer less, one sentence each.
        picture: path of its picture relative to the results folder; empty if drawing failed.
        uncertain: whether the probability lies in the model's uncertain band.
        ood_score: how unlike the training cohort it is; `None` if the model has no such score.
        unlike: whether that score exceeds the model's threshold.
        truth: what is known about it, or `None`.
        rank_among_normals: rank of its score among local normal patients, or `None` if the model
            was not adapted with such.
        objects: paths of the DICOM objects and the FHIR bundle that were written for other systems,
            relative to the results folder.
        not_delivered: why such were wanted and not written; empty otherwise.
    """

    scan_id: str
    source: str
    views: tuple[str, ...]
    mbd_probability: float
    positive: bool | None
    warnings: tuple[str, ...]
    picture: str
    uncertain: bool = False
    ood_score: float | None = None
    unlike: bool = False
    truth: KnownTruth | None = None
    rank_among_normals: NormalRank | None = None
    objects: tuple[str, ...] = ()
    not_delivered: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        rank = self.rank_among_normals
        return {
            **asdict(self),
            "call": Call.of(self.positive).value,
            "rank_among_normals": rank and rank.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """Number of scans by call; uncertain calls, positive or negative, are counted separately.

    Attributes:
        positive: at or above the operating point, and not uncertain.
        negative: below it, and not uncertain.
        uncertain: in the band around it; `None` if the model has no band.
        no_call: not called, because they are too unlike the training scans.
        unlike: called, although they are unlike the training scans.
    """

    positive: int
    negative: int
    uncertain: int | None
    no_call: int = 0
    unlike: int = 0

    @classmethod
    def of(cls, results: Iterable[ClassifiedScan], *, has_band: bool) -> CallCounts:
        """Count the calls of a batch."""
        answers = Counter((one.positive, one.uncertain, one.unlike) for one in results)
        return cls.of_answers(answers, has_band=has_band)

    @classmethod
    def of_answers(
        cls, answers: Mapping[tuple[bool | None, bool, bool], int], *, has_band: bool
    ) -> CallCounts:
        """Count calls from the number of scans by (positive, uncertain, unlike)."""
        counted: Counter[bool | str | None] = Counter()
        unlike = 0
        for (positive, uncertain, strange), scans in answers.items():
            counted["?" if uncertain else positive] += scans
            unlike += scans * (strange and positive is not None)
        return cls(
            positive=counted[True],
            negative=counted[False],
            uncertain=counted["?"] if has_band else None,
            no_call=counted[None],
            unlike=unlike,
        )

    def in_words(self) -> str:
        """Such as `"3 positive, 5 negative, 1 uncertain"`.

        Examples:
            >>> CallCounts(positive=3, negative=5, uncertain=None).in_words()
            '3 positive, 5 negative'
            >>> CallCounts(positive=3, negative=5, uncertain=1, no_call=2).in_words()
            '3 positive, 5 negative, 1 uncertain, 2 not called (unlike the scans this model knows)'
        """
        text = f"{self.positive} positive, {self.negative} negative"
        text = text if self.uncertain is None else f"{text}, {self.uncertain} uncertain"
        text = (
            f"{text}, {self.no_call} not called (unlike the scans this model knows)"
            if self.no_call
            else text
        )
        return f"{text}; {self.unlike} called though unlike those scans" if self.unlike else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An input that gave no result, and why.

    Attributes:
        source: as in `ClassifiedScan`.
        kind: name of the error's class.
        reason: the problem and its remedy.
    """

    source: str
    kind: str
    reason: str

    @classmethod
    def of(cls, error: BonescintError, *, source: str) -> Refusal:
        """The refusal for an error; an `InputError` names its own source.

        Examples:
            >>> error = InputError("a.dcm", "is empty", "Export it again")
            >>> Refusal.of(error, source="a.dcm").reason
            'is empty. Export it again.'
        """
        if isinstance(error, InputError):
            reason = f"{error.problem}. {error.remedy}."
            return cls(source=error.source, kind=type(error).__name__, reason=reason)
        return cls(source=source, kind=type(error).__name__, reason=str(error))

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifySummary:
    """The summary of a call of `classify`.

    Attributes:
        folder: the results folder, as the caller gave it.
        model_id: name, version and start of the hash of the model.
        operating_point: the threshold on the probability.
        results: the scans that were classified, in input order.
        refused: what gave no result, in input order.
        interrupted: whether the batch was interrupted.
        seconds: wall time.
        taken_over: how many of the scans an interrupted run had finished.
        uncertain_band: probabilities between which a call is uncertain, or `None`.
        written: whether results were written; if no study was found, those of an earlier run
            are kept.
    """

    folder: Path
    model_id: str
    operating_point: float
    results: tuple[ClassifiedScan, ...]
    refused: tuple[Refusal, ...]
    interrupted: bool
    seconds: float
    written: bool = True
    taken_over: int = 0
    uncertain_band: tuple[float, float] | None = None

    @property
    def calls(self) -> CallCounts:
        """Number of scans by call."""
        return CallCounts.of(self.results, has_band=self.uncertain_band is not None)

    @property
    def not_delivered(self) -> tuple[ClassifiedScan, ...]:
        """The scans whose DICOM objects or FHIR bundle were wanted and could not be written."""
        return tuple(result for result in self.results if result.not_delivered)

    def messages(self) -> Iterator[str]:
        """Lines for the user: rejected inputs, where the results are, research use only."""
        yield from self._rejected()
        for result in self.not_delivered[:_MOST_REJECTED]:
            yield f"Classified, but not written for other systems: {result.not_delivered}"
        if self.interrupted:
            yield (
                f"Stopped with Ctrl-C after {len(self.results)} scans, whose results are written. "
                f"Rerun the same command to resume."
            )
        elif not self.results:
            yield "Nothing could be classified" + ("." if self.refused else ": no file was found.")
        if self.taken_over:
            yield f"{self.taken_over} scans were finished by an interrupted run, and were kept."
        if not self.written:
            yield f"The earlier results in {self.folder} are left as they are."
        elif self.results:
            scans = "1 scan" if len(self.results) == 1 else f"{len(self.results)} scans"
            yield (
                f"{scans} in {self.seconds:.1f} s by {self.model_id}: {self.calls.in_words()}. "
                f"Look at {self.folder / 'index.html'}"
            )
        elif self.refused:
            yield f"{self.folder / 'results.json'} lists them all."
        if self.calls.no_call:
            yield (
                "Scans without a call are unlike the scans this model knows. Adapt it to your "
                "camera (bonescint model adapt), or call them all the same (--call-anyway)."
            )
        yield RESEARCH_USE

    def _rejected(self) -> Iterator[str]:
        """A line for each rejected input, up to `_MOST_REJECTED`."""
        for refusal in self.refused[:_MOST_REJECTED]:
            yield f"Rejected: {refusal.source}: {refusal.reason}"
        hidden = len(self.refused) - _MOST_REJECTED
        if hidden > 0:
            where = "; results.json has the reasons" if self.written else ""
            yield f"... and {hidden} more were rejected{where}."

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary, the one that `bonescint classify --json` prints."""
        return {
            "schema_version": RESULTS_SCHEMA_VERSION,
            "folder": str(self.folder),
            "model_id": self.model_id,
            "operating_point": self.operating_point,
            "uncertain_band": self.uncertain_band and list(self.uncertain_band),
            "calls": asdict(self.calls),
            "interrupted": self.interrupted,
            "written": self.written,
            "taken_over": self.taken_over,
            "seconds": round(self.seconds, 3),
            "results": [result.to_json() for result in self.results],
            "refused": [refusal.to_json() for refusal in self.refused],
        }


def notice_of(folder: ModelFolder) -> str:
    """The notice on every picture and page: research use only, and the training data."""
    origin = folder.card.training.origin
    unproven = ", not validated on patients" if "simulated" in origin else ""
    local = folder.card.local
    assumed = (
        f" Operating point by an assumption: {100 * local.prevalence:.3g} % have the disease."
        if local is not None and local.prevalence is not None
        else ""
    )
    return f"{RESEARCH_USE} Model trained on {origin}{unproven}.{assumed}"


def page_heading(
    folder: ModelFolder, created: datetime, calls: CallCounts, *, interrupted: bool
) -> PageHeading:
    """The heading of the page of results."""
    card = folder.card
    scans = card.training.learnt_from
    rows = [
        ("Model", folder.model_id),
        ("Architecture", card.architecture),
        ("Numerical precision", card.precision),
        ("Trained on", f"{card.training.origin} ({scans})" if scans else card.training.origin),
        ("Preprocessing", f"{card.preprocessing.identifier}, {card.preprocessing.rows} rows"),
        (
            "Operating point",
            f"{operating_point_text(card.operating_point)} {card.operating_point_rule}".strip(),
        ),
        ("Calibration", "" if card.calibrated_on is None else card.calibrated_on.in_words),
        ("Uncertain", _band(folder)),
        ("Local scans", _local(folder)),
        ("Unlike the training cohort", _unlike(folder)),
        *((f"{metric.in_words}, {metric.measured_on}", _figure(metric)) for metric in card.metrics),
        ("Intended use", card.intended_use),
        ("Limitations", " ".join(card.limitations)),
        ("Licence", card.licence),
    ]
    return PageHeading(
        title="Bone scans: results",
        notice=notice_of(folder),
        created=created.strftime("%Y-%m-%d %H:%M UTC"),
        model_summary=f"Model {folder.model_id}, trained on {card.training.origin}",
        model=tuple((label, text) for label, text in rows if text),
        operating_point=card.operating_point,
        interrupted=interrupted,
        calls=calls.in_words(),
        evidence=card.evidence_map.kind,
    )


def _band(folder: ModelFolder) -> str:
    band = folder.card.uncertain_band
    if band is None:
        return ""
    low, high = (operating_point_text(bound) for bound in band)
    rule = folder.card.uncertain_rule
    return f"from {low} to {high}" + (f": {rule}" if rule else "")


def _local(folder: ModelFolder) -> str:
    """Statement about the local scans from which the operating point was derived."""
    return "" if folder.card.local is None else folder.card.local.in_words


def _unlike(folder: ModelFolder) -> str:
    detector = folder.ood
    if detector is None:
        return ""
    return (
        f"score above {detector.threshold:.1f}; at most {100 * detector.false_alarm_rate:.3g} % of "
        f"scans like the {detector.scans} from which it was derived exceed it"
    )


def _figure(metric: Metric) -> str:
    """A metric with its interval, if it has one."""
    if metric.low is None or metric.high is None:
        return f"{metric.value:.3f}"
    return f"{metric.value:.3f} (95 % interval {metric.low:.3f} to {metric.high:.3f})"
