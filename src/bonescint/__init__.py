"""Read whole-body bone scans and estimate the probability of metastatic bone disease.

Research use only, not a medical device. Importing this package loads no other library: its only
function, `classify_scan`, is imported when it is first used. The packages are imported by
name, for instance `from bonescint.dicom import read`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bonescint.classify import classify_scan as classify_scan

__version__ = "0.1.0"
__all__ = ["__version__", "classify_scan"]


def __getattr__(name: str) -> object:
    if name == "classify_scan":
        from bonescint.classify import classify_scan

        return classify_scan
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
