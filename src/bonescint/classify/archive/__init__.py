"""The results of many runs as one table, and the summary of an archive.

Uses DuckDB and pyarrow, which come with the extra `cluster`; both are imported when they are used.
"""

from bonescint.classify.archive.joining import JoinSummary, join_results
from bonescint.classify.archive.summarising import ArchiveSummary, summarise_results

__all__ = ["ArchiveSummary", "JoinSummary", "join_results", "summarise_results"]
