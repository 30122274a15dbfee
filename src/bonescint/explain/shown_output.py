"""A prediction as the pages of `bonescint.viewer` show it over a scan."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from bonescint.explain.colour import heat_colours, opacity
from bonescint.explain.evidence import EvidenceScale, map_on_grid
from bonescint.scan import Prediction, Scan

_COARSER = 4


def shown_output(scan: Scan, prediction: Prediction, operating_point: float) -> dict[str, Any]:
    """What a page needs to show a prediction: probability, threshold, levels of evidence.

    The levels are those of the overlay (`EvidenceScale`), on a grid four times coarser than the
    view, which the page interpolates (`showModel` of the viewer's script).
    """
    scale = EvidenceScale.of(prediction, operating_point=operating_point)
    rows, columns = (max(1, size // _COARSER) for size in scan.shape)
    maps = {}
    for view in scan.views:
        found = prediction.activation_map(view)
        if found is None:
            continue
        levels = scale.levels(map_on_grid(found, scan.shape, rows=rows, columns=columns))
        stored = np.rint(255 * np.clip(levels, 0, 1)).astype(np.uint8)
        maps[view.value] = base64.b64encode(stored.tobytes()).decode()
    alpha = np.rint(255 * opacity()).astype(np.uint8)[:, None]
    colours = np.concatenate([heat_colours(), alpha], axis=1)
    return {
        "model_id": prediction.model_id,
        "mbd_probability": prediction.mbd_probability,
        "operating_point": operating_point,
        "positive": prediction.positive,
        "rows": rows,
        "columns": columns,
        "maps": maps,
        "colours": base64.b64encode(np.ascontiguousarray(colours).tobytes()).decode(),
    }
