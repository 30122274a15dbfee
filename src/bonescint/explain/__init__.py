"""Pictures of where a model saw its evidence, each view in the scan's own geometry.

Layer 3: Pillow and numpy, no plotting library, so that a picture costs little.
"""

from bonescint.explain.colour import heat_colours, opacity
from bonescint.explain.contact_sheet import ContactPrint, contact_sheet, write_contact_sheet
from bonescint.explain.crop import CroppedScan, crop_boxes, cropped
from bonescint.explain.evidence import EvidenceScale, PanelSize, map_on_grid, panel_size
from bonescint.explain.overlay import RESEARCH_NOTICE, Explanation, explain, explain_picture
from bonescint.explain.panels import Layers
from bonescint.explain.regions import evidence_regions
from bonescint.explain.shown_output import shown_output

__all__ = [
    "RESEARCH_NOTICE",
    "ContactPrint",
    "CroppedScan",
    "EvidenceScale",
    "Explanation",
    "Layers",
    "PanelSize",
    "contact_sheet",
    "crop_boxes",
    "cropped",
    "evidence_regions",
    "explain",
    "explain_picture",
    "heat_colours",
    "map_on_grid",
    "opacity",
    "panel_size",
    "shown_output",
    "write_contact_sheet",
]
