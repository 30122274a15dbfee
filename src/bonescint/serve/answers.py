"""What the HTTP service answers, as JSON: typed, so that its OpenAPI document is complete."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bonescint.classify.naming import SourceNames
from bonescint.dicom.results import ResultKind
from bonescint.scan import RESEARCH_USE, EvidenceRegion, InputError
from bonescint.serve.upload_classifier import ServedScan


@dataclass(frozen=True, slots=True, kw_only=True)
class FocusAnswer:
    """A place where the evidence for disease is strong.

    Attributes:
        view: anterior or posterior.
        row: of its middle, in pixels of the view; the first pixel reaches from 0 to 1.
        column: the same across.
        level: its peak on the scale of the picture, 0 to 1.
        pixels: number of pixels inside.
        outline: rows and columns of the corners of a polygon around it.
    """

    view: str
    row: float
    column: float
    level: float
    pixels: int
    outline: list[tuple[float, float]]

    @classmethod
    def of(cls, region: EvidenceRegion) -> FocusAnswer:
        """The answer's form of a region."""
        row, column = region.centre
        return cls(
            view=region.view.value,
            row=row,
            column=column,
            level=round(region.level, 4),
            pixels=region.pixels,
            outline=[(float(down), float(across)) for down, across in region.outline],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyAnswer:
    """The outcome of one scan.

    Attributes:
        id: name of the result, by which it can be asked for again.
        files: numbers of the uploaded files that it was read from, from 1.
        scan_id: name of the scan, a hash.
        views: that it has.
        mbd_probability: probability of metastatic bone disease.
        operating_point: probability from which the model calls a scan positive.
        call: positive, negative or no call.
        uncertain: whether the probability lies in the model's uncertain band.
        ood_score: how unlike the training scans it is; `null` if the model has no such score.
        unlike: whether that is beyond the model's limit.
        warnings: reasons to trust the answer less.
        foci: places where the evidence is strong.
        model_id: name, version and hash of the model.
        model_notice: what the model was trained on.
        links: addresses of the picture, the DICOM objects and the rest.
        no_objects: why there are no DICOM objects; empty if there are.
        expires_in_s: seconds after which the result is deleted.
        notice: research use only.
    """

    id: str
    files: list[int]
    scan_id: str
    views: list[str]
    mbd_probability: float
    operating_point: float
    call: str
    uncertain: bool
    ood_score: float | None
    unlike: bool
    warnings: list[str]
    foci: list[FocusAnswer]
    model_id: str
    model_notice: str
    links: dict[str, str]
    no_objects: str
    expires_in_s: int
    notice: str = RESEARCH_USE


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedFile:
    """An uploaded file that is not a readable bone scan.

    Attributes:
        files: its number, from 1; empty if it cannot be told.
        reason: why, and what to do, in one line.
    """

    files: list[int]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadAnswer:
    """The answer to an upload.

    Attributes:
        studies: its scans.
        refused: uploaded files that are not readable bone scans.
        notice: research use only.
    """

    studies: list[StudyAnswer]
    refused: list[RefusedFile]
    notice: str = RESEARCH_USE


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceHealth:
    """Whether the service works.

    Attributes:
        status: `"ok"`.
        version: of bonescint.
        model_id: model that classifies.
        results_kept: how many results are in memory.
        notice: research use only.
    """

    status: str
    version: str
    model_id: str
    results_kept: int
    notice: str = RESEARCH_USE


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFiles:
    """The files of an upload, as they were stored.

    Attributes:
        paths: where each lies, in the order of the upload.
    """

    paths: Sequence[Path] = field(default_factory=tuple)

    def numbers(self, paths: Sequence[Path]) -> list[int]:
        """Numbers of the uploaded files that these paths are, or lie in."""
        return [
            number
            for number, uploaded in enumerate(self.paths, start=1)
            if any(path.is_relative_to(uploaded) for path in paths)
        ]

    def refused(self, error: InputError) -> RefusedFile:
        """A refusal in which files are numbers."""
        numbers = {str(path): f"file {number}" for number, path in enumerate(self.paths, start=1)}
        text = SourceNames(numbers).clean(f"{error.problem}. {error.remedy}.")
        return RefusedFile(files=self.numbers([Path(error.source)]), reason=" ".join(text.split()))


def study_answer(
    name: str,
    classified: ServedScan,
    expires_in_s: float,
    files: list[int],
    point: float,
    notice: str,
) -> StudyAnswer:
    """The answer for one classified scan.

    Args:
        name: of the result.
        classified: the scan.
        expires_in_s: seconds that it will be kept.
        files: numbers of the uploaded files.
        point: the operating point.
        notice: statement about the model.
    """
    prediction = classified.prediction
    at = f"/studies/{name}"
    objects = {kind.value: f"{at}/{kind.value}.dcm" for kind in classified.objects}
    if ResultKind.PICTURE.value in objects:  # beside the PNG
        objects["capture"] = objects.pop(ResultKind.PICTURE.value)
    score = prediction.ood_score
    return StudyAnswer(
        id=name,
        files=files,
        scan_id=classified.scan,
        views=list(classified.views),
        mbd_probability=prediction.mbd_probability,
        operating_point=point,
        call=classified.call.value,
        uncertain=prediction.uncertain,
        ood_score=None if score is None else round(score, 3),
        unlike=prediction.unlike,
        warnings=list(prediction.warnings),
        foci=[FocusAnswer.of(region) for region in classified.regions],
        model_id=prediction.model_id,
        model_notice=notice,
        links={"self": at, "image": f"{at}/picture.png", "view": f"{at}/view", **objects},
        no_objects=classified.no_objects,
        expires_in_s=max(0, round(expires_in_s)),
    )


def view_answer(classified: ServedScan) -> Mapping[str, Any]:
    """What the page needs to show a scan: facts about its pixels, and the map over them."""
    return {"picture": classified.facts, "output": classified.shown}
