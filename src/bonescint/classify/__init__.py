"""From files to results, as a stream: worker processes decode, one model classifies.

Layer 4. Importing this package does not load the inference engine; calling its functions does.
"""

from bonescint.classify.classify import ClassifyInterrupted, classify, demo, demo_sources
from bonescint.classify.one import ScanResult, classify_scan
from bonescint.classify.results import ClassifiedScan, ClassifySummary, KnownTruth, Refusal
from bonescint.classify.shards import Shard

__all__ = [
    "ClassifiedScan",
    "ClassifyInterrupted",
    "ClassifySummary",
    "KnownTruth",
    "Refusal",
    "ScanResult",
    "Shard",
    "classify",
    "classify_scan",
    "demo",
    "demo_sources",
]
