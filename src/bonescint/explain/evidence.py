"""What the colours mean: one scale for both views, filled in proportion to the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonescint.scan import ParameterError, Prediction, View


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceScale:
    """How values of a scan's MBD maps become levels from 0 to 1.

    Dividing each map by its own maximum would paint every scan red somewhere, however normal.
    So the place with the most evidence *in either view* gets the level `reached`, which is 1
    where the model calls the scan positive (probability at or above the operating point) and
    falls in proportion to the probability below it: a scan at a tenth of the operating point
    fills a tenth of the scale and stays all but grey.

    Attributes:
        peak: the highest value of the MBD maps of both views, in the maps' units.
        reached: the level that the peak gets, 0 to 1.
    """

    peak: float
    reached: float

    @classmethod
    def of(cls, prediction: Prediction, *, operating_point: float | None = None) -> EvidenceScale:
        """The scale of one scan.

        Args:
            prediction: with its activation maps.
            operating_point: the model's threshold on the probability; without one the level
                reached is the probability itself.

        Raises:
            ParameterError: an operating point outside [0, 1].

        Examples:
            >>> answer = Prediction(scan_id="bs-1", mbd_probability=0.1, positive=False,
            ...                     model_id="m")
            >>> round(EvidenceScale.of(answer, operating_point=0.4).reached, 3)
            0.25
        """
        if operating_point is not None and not 0 <= operating_point <= 1:
            raise ParameterError("operating_point", "EvidenceScale.of", "0 to 1", operating_point)
        maps = [prediction.activation_map(view) for view in View]
        peak = max((float(shown.values.max()) for shown in maps if shown is not None), default=0.0)
        probability = prediction.mbd_probability
        if operating_point is None:
            reached = probability
        elif probability >= operating_point:
            reached = 1.0
        else:
            reached = probability / operating_point
        return cls(peak=peak, reached=reached)

    def levels(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Levels from 0 to `reached`; all 0 where the maps are empty."""
        if self.peak <= 0:
            return np.zeros_like(values)
        return np.asarray(values * np.float32(self.reached / self.peak), dtype=np.float32)
