"""Multi-reader multi-case statistics: readers, cases and modalities, any of them random.

For reader studies of any kind, not of bone scans only. Begin with `read_reads` (or `Reads.of`)
and `analyse_readers`, or take one of the parts.
"""

from bonescint.evaluate.readers.against import (
    AgainstReader,
    ModelAgainstReaders,
    model_against_readers,
)
from bonescint.evaluate.readers.agreement import (
    BinaryAgreement,
    KappaWeights,
    McNemar,
    binary_agreement,
    cohen_kappa,
    fleiss_kappa,
    mcnemar,
)
from bonescint.evaluate.readers.analysis import (
    ReaderAnalysis,
    Resampled,
    analyse_readers,
)
from bonescint.evaluate.readers.components import (
    DbmComponents,
    ErrorCovariances,
    MeanSquares,
    ReaderComponents,
)
from bonescint.evaluate.readers.covariance import (
    CovarianceMethod,
    bootstrap_figures,
    covariance,
    leave_one_out,
)
from bonescint.evaluate.readers.curves import RocCurve, average_curve
from bonescint.evaluate.readers.decisions import CalledRight, Decisions, Pair, decisions
from bonescint.evaluate.readers.design import Design, detect_design
from bonescint.evaluate.readers.endpoints import (
    Auc,
    Endpoint,
    PartialAuc,
    PartOf,
    Sensitivity,
    Specificity,
    Undefined,
)
from bonescint.evaluate.readers.export import WrittenFolder, require_free_place, write_analysis
from bonescint.evaluate.readers.figures import draw_figure_7, draw_froc, draw_roc
from bonescint.evaluate.readers.gallas import UAnalysis, Weighting, u_statistics
from bonescint.evaluate.readers.marked_endpoints import (
    Froc,
    LesionLocalisation,
    MarkedEndpoint,
    Wafroc,
    froc_points,
)
from bonescint.evaluate.readers.marks import Mark, MarkedReads
from bonescint.evaluate.readers.merits import Merits, merits
from bonescint.evaluate.readers.notes import Note, NoteKind
from bonescint.evaluate.readers.obuchowski_rockette import obuchowski_rockette
from bonescint.evaluate.readers.or_analysis import (
    Difference,
    Generalisation,
    Generalised,
    ModalityMean,
    OrAnalysis,
)
from bonescint.evaluate.readers.reading_time import ReadingTime, reading_times
from bonescint.evaluate.readers.reads import Nest, Read, Reads
from bonescint.evaluate.readers.roe_metz import RoeMetz, simulate_reads
from bonescint.evaluate.readers.sentence import sentences
from bonescint.evaluate.readers.settings import Settings
from bonescint.evaluate.readers.sizing import (
    Aim,
    Comparison,
    Pilot,
    Power,
    cases_needed,
    hanley_mcneil_variance,
    power,
    readers_needed,
)
from bonescint.evaluate.readers.table_files import read_predictions, read_reads
from bonescint.evaluate.readers.testing import Equivalence, Inference, NonInferiority, OmnibusTest

__all__ = [
    "AgainstReader",
    "Aim",
    "Auc",
    "BinaryAgreement",
    "CalledRight",
    "Comparison",
    "CovarianceMethod",
    "DbmComponents",
    "Decisions",
    "Design",
    "Difference",
    "Endpoint",
    "Equivalence",
    "ErrorCovariances",
    "Froc",
    "Generalisation",
    "Generalised",
    "Inference",
    "KappaWeights",
    "LesionLocalisation",
    "Mark",
    "MarkedEndpoint",
    "MarkedReads",
    "McNemar",
    "MeanSquares",
    "Merits",
    "ModalityMean",
    "ModelAgainstReaders",
    "Nest",
    "NonInferiority",
    "Note",
    "NoteKind",
    "OmnibusTest",
    "OrAnalysis",
    "Pair",
    "PartOf",
    "PartialAuc",
    "Pilot",
    "Power",
    "Read",
    "ReaderAnalysis",
    "ReaderComponents",
    "ReadingTime",
    "Reads",
    "Resampled",
    "RocCurve",
    "RoeMetz",
    "Sensitivity",
    "Settings",
    "Specificity",
    "UAnalysis",
    "Undefined",
    "Wafroc",
    "Weighting",
    "WrittenFolder",
    "analyse_readers",
    "average_curve",
    "binary_agreement",
    "bootstrap_figures",
    "cases_needed",
    "cohen_kappa",
    "covariance",
    "decisions",
    "detect_design",
    "draw_figure_7",
    "draw_froc",
    "draw_roc",
    "fleiss_kappa",
    "froc_points",
    "hanley_mcneil_variance",
    "leave_one_out",
    "mcnemar",
    "merits",
    "model_against_readers",
    "obuchowski_rockette",
    "power",
    "read_predictions",
    "read_reads",
    "readers_needed",
    "reading_times",
    "sentences",
    "simulate_reads",
    "u_statistics",
    "require_free_place",
    "write_analysis",
]
