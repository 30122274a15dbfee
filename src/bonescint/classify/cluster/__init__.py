"""An archive on a Ray cluster: studies in files or buckets to one table, which is the local one.

Ray and pyarrow come with the extra `cluster` and are imported when they are used.
"""

from bonescint.classify.cluster.engine import RaySettings
from bonescint.classify.cluster.run import ClusterSummary, classify_on_ray

__all__ = ["ClusterSummary", "RaySettings", "classify_on_ray"]
