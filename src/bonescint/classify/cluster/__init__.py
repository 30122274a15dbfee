"""Classifies an archive on a Ray cluster, with the same table as the local engine.

Ray and pyarrow come with the extra `cluster` and are imported when they are used.
"""

from bonescint.classify.cluster.engine import RaySettings
from bonescint.classify.cluster.run import ClusterSummary, classify_on_ray

__all__ = ["ClusterSummary", "RaySettings", "classify_on_ray"]
