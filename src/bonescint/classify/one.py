"""Classify one scan with one call, the entry point for Python users."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonescint.classify.classify import model_folder
from bonescint.classify.results import notice_of
from bonescint.report import call_in_words, displayable, probability_texts
from bonescint.scan import ParameterError, PixelUnit, Prediction, Scan, View

if TYPE_CHECKING:
    from bonescint.dicom.objects import ScanSource
    from bonescint.explain import Explanation
    from bonescint.model import Classifier, ModelFolder


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScanResult:
    """A scan with the model's answer.

    Attributes:
        scan: as read.
        prediction: the model's answer, with maps on the model's own grid.
        operating_point: the model's threshold on the probability.
        notice: statement about the model.
    """

    scan: Scan
    prediction: Prediction
    operating_point: float
    notice: str

    @property
    def mbd_probability(self) -> float:
        """Probability of metastatic bone disease, 0 to 1."""
        return self.prediction.mbd_probability

    @property
    def positive(self) -> bool | None:
        """Whether the probability reaches the operating point; `None` if there is no call."""
        return self.prediction.positive

    @property
    def call(self) -> str:
        """In words: `"negative"`, `"positive, uncertain"`, or `"no call: ..."` with the reason."""
        answer = self.prediction
        return call_in_words(
            positive=answer.positive, uncertain=answer.uncertain, unlike=answer.unlike
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons to trust the answer less, one sentence each."""
        return self.prediction.warnings

    @property
    def maps(self) -> Mapping[View, NDArray[np.float32]]:
        """The evidence for the disease on the scan's own pixels: float32 (rows, columns) per view.

        Values are at least 0; both views share one scale.
        """
        from bonescint.explain import map_on_grid

        rows, columns = self.scan.shape
        return {
            view: map_on_grid(found, self.scan.shape, rows=rows, columns=columns)
            for view in self.scan.views
            if (found := self.prediction.activation_map(view)) is not None
        }

    def explain(self) -> Explanation:
        """The picture: AP and PA in inverted grey, and the same under the evidence."""
        from bonescint.explain import explain

        return explain(
            self.scan,
            self.prediction,
            operating_point=self.operating_point,
            notice=self.notice,
        )

    def save_picture(self, path: Path | str) -> Path:
        """Write the picture as a PNG file.

        Args:
            path: a path that ends in `.png`; its folder must exist.

        Returns:
            The path.

        Raises:
            ParameterError: the path does not end in `.png`.
            OutputError: the file cannot be written.
        """
        from bonescint.files import write_whole

        place = Path(path)
        if place.suffix.lower() != ".png":
            raise ParameterError("path", "save_picture", "a path that ends in .png", place.name)
        write_whole(place, self.explain().png())
        return place

    def __repr__(self) -> str:
        return (
            f"ScanResult(scan_id={self.scan.scan_id!r}, mbd_probability="
            f"{self.mbd_probability:.3f}, call={self.call!r})"
        )

    def _repr_html_(self) -> str:
        """The display in a notebook: a line with the answer, and the picture."""
        from markupsafe import Markup

        probability, threshold = probability_texts(self.mbd_probability, self.operating_point)
        buffer = io.BytesIO()
        self.explain().picture.save(buffer, format="WEBP", quality=85, method=1)
        return str(
            Markup(
                "<figure><figcaption>Scan {}: probability of metastatic bone disease {} ({}; "
                "operating point {}). <strong>{}</strong></figcaption>"
                '<img alt="Anterior and posterior view, and the evidence over them" '
                'style="max-width:100%" src="data:image/webp;base64,{}"></figure>'
            ).format(
                displayable(self.scan.scan_id),
                probability,
                self.call,
                threshold,
                displayable(self.notice),
                base64.b64encode(buffer.getvalue()).decode("ascii"),
            )
        )


def classify_scan(
    source: ScanSource | Scan | Sequence[ScanSource] | None = None,
    *,
    anterior: ArrayLike | None = None,
    posterior: ArrayLike | None = None,
    unit: PixelUnit | str | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
    model: Path | str | ModelFolder | Classifier | None = None,
    device: str = "cpu",
    call_anyway: bool = False,
) -> ScanResult:
    """Classify one scan without writing any file.

    For many scans, pass an open `Classifier` as the model, or use `bonescint.classify.classify`,
    which reads and draws in worker processes.

    Args:
        source: a path, a folder that holds one study, a pydicom `Dataset`, a file opened in binary
            mode, two of these that hold the views of one scan, or a `Scan`.
        anterior: in place of a source, an array (rows, columns), head at row 0, as seen from the
            front (the patient's right on the left).
        posterior: the same as seen from behind (the patient's right on the right, not mirrored).
        unit: unit of the arrays, `"counts"` or `"intensity"`. Without it whole numbers of at least
            0 are taken as counts, with a warning; other values are refused.
        pixel_spacing_mm: spacing of the pixels of the arrays, between rows and between columns.
        model: a model folder, or an open classifier; the shipped model if `None`.
        device: `"cpu"`, `"gpu"` or `"auto"`.
        call_anyway: also call a scan that is too unlike the training scans. An open classifier has
            its own setting.

    Returns:
        The prediction with its maps and its picture. A scan that is too unlike those that the
        model knows has a probability and no call.

    Raises:
        InputError: the source cannot be read as one bone scan; one line says why.
        ParameterError: the arguments do not specify a scan.
        UnitError: the model does not accept the unit of the pixels.
        ModelFolderError: the model is incomplete, altered or of a newer schema.

    Examples:
        >>> import bonescint
        >>> from pydicom.data import get_testdata_file
        >>> result = bonescint.classify_scan(get_testdata_file("JPGExtended.dcm", download=False))
        >>> 0 <= result.mbd_probability <= 1
        True
        >>> result.maps["anterior"].shape == result.scan.shape
        True
        >>> pair = bonescint.classify_scan(anterior=result.scan.anterior, unit="counts",
        ...                                pixel_spacing_mm=result.scan.pixel_spacing_mm)
        >>> pair.mbd_probability == result.mbd_probability
        True
    """
    from bonescint.model import Classifier

    if call_anyway and isinstance(model, Classifier):
        requirement = "given to the Classifier, since one is given"
        raise ParameterError("call_anyway", "classify_scan", requirement, call_anyway)
    scan = _scan_of(source, anterior, posterior, unit, pixel_spacing_mm)
    with (
        nullcontext(model)
        if isinstance(model, Classifier)
        else Classifier(model_folder(model), device=device, call_anyway=call_anyway)
    ) as classifier:
        prediction = classifier.predict(scan)
        folder = classifier.folder
    return ScanResult(
        scan=scan,
        prediction=prediction,
        operating_point=folder.card.operating_point,
        notice=notice_of(folder),
    )


def _scan_of(
    source: ScanSource | Scan | Sequence[ScanSource] | None,
    anterior: ArrayLike | None,
    posterior: ArrayLike | None,
    unit: PixelUnit | str | None,
    pixel_spacing_mm: tuple[float, float] | None,
) -> Scan:
    """The scan that the arguments of `classify_scan` describe."""
    from bonescint.dicom import read_given, scan_of_arrays

    arrays = anterior is not None or posterior is not None
    if source is not None and arrays:
        got = "a source and arrays"
        raise ParameterError("source", "classify_scan", "left out where arrays are given", got)
    if arrays:
        return scan_of_arrays(
            anterior=anterior, posterior=posterior, unit=unit, pixel_spacing_mm=pixel_spacing_mm
        )
    for name, value in (("unit", unit), ("pixel_spacing_mm", pixel_spacing_mm)):
        if value is not None:
            raise ParameterError(name, "classify_scan", "given with arrays alone", value)
    if isinstance(source, Scan):
        return source
    if source is None or _holds_arrays(source):
        wanted = (
            "a path, a folder, a pydicom Dataset, a binary file object or a Scan; arrays do not "
            "say which view they are, so give them by name: anterior=, posterior="
        )
        got = "nothing" if source is None else "arrays"
        raise ParameterError("source", "classify_scan", wanted, got)
    return read_given(source)


def _holds_arrays(source: object) -> bool:
    """Whether arrays were given without the names of their views."""
    parts = source if isinstance(source, list | tuple) else [source]
    return any(hasattr(part, "ndim") or isinstance(part, list | tuple) for part in parts)
