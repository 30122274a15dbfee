"""The results of many runs as one table, and the summary of an archive.

Uses DuckDB and pyarrow, which come with the extra `cluster`; both are imported when they are used.
"""

from bonescint.classify.archive.joining import JoinSummary, join_results

__all__ = ["JoinSummary", "join_results"]
