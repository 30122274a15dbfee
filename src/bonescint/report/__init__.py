"""Pages from tables and pictures that the caller hands over.

Layer 1: it knows no model and reads no scan.
"""

from bonescint.report.results_page import (
    PageHeading,
    PageLayers,
    RefusedRow,
    ResultRow,
    write_results_page,
)
from bonescint.report.text import (
    NO_CALL,
    call_in_words,
    displayable,
    operating_point_text,
    page_environment,
    probability_texts,
)

__all__ = [
    "NO_CALL",
    "PageHeading",
    "PageLayers",
    "RefusedRow",
    "ResultRow",
    "call_in_words",
    "displayable",
    "operating_point_text",
    "page_environment",
    "probability_texts",
    "write_results_page",
]
