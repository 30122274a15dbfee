"""Multi-reader multi-case statistics: readers, cases and modalities, any of them random.

For reader studies of any kind, not of bone scans only. Begin with `read_reads` (or `Reads.of`)
and `analyse_readers`, or take one of the parts.
"""

from bonescint.mrmc.against import (
    AgainstReader,
    ModelAgainstReaders,
    model_against_readers,
)
from bonescint.mrmc.agreement import (
    BinaryAgreement,
    KappaWeights,
    McNemar,
    binary_agreement,
    cohen_kappa,
    fleiss_kappa,
    mcnemar,
)
from bonescint.mrmc.analysis import (
    ReaderAnalysis,
    Resampled,
    analyse_readers,
)
from bonescint.mrmc.components import (
    DbmComponents,
    ErrorCovariances,
    MeanSquares,
    ReaderComponents,
)
from bonescint.mrmc.covariance import (
    CovarianceMethod,
    bootstrap_figures,
    covariance,
    leave_one_out,
)
from bonescint.mrmc.curves import RocCurve, average_curve
from bonescint.mrmc.decisions import CalledRight, Decisions, Pair, decisions
from bonescint.mrmc.design import Design, detect_design
from bonescint.mrmc.endpoints import (
    Auc,
    Endpoint,
    PartialAuc,
    PartOf,
    Sensitivity,
    Specificity,
    Undefined,
)
from bonescint.mrmc.export import WrittenFolder, require_free_place, write_analysis
from bonescint.mrmc.figures import draw_figure_7, draw_froc, draw_roc
from bonescint.mrmc.gallas import UAnalysis, Weighting, u_statistics
from bonescint.mrmc.marked_endpoints import (
    Froc,
    LesionLocalisation,
    MarkedEndpoint,
    Wafroc,
    froc_points,
)
from bonescint.mrmc.marks import Mark, MarkedReads
from bonescint.mrmc.merits import Merits, merits
from bonescint.mrmc.notes import Note, NoteKind
from bonescint.mrmc.obuchowski_rockette import obuchowski_rockette
from bonescint.mrmc.or_analysis import (
    Difference,
    Generalisation,
    Generalised,
    ModalityMean,
    OrAnalysis,
)
from bonescint.mrmc.reading_time import ReadingTime, reading_times
from bonescint.mrmc.reads import Nest, Read, Reads
from bonescint.mrmc.roe_metz import RoeMetz, simulate_reads
from bonescint.mrmc.sentence import sentences
from bonescint.mrmc.settings import Settings
from bonescint.mrmc.sizing import (
    Aim,
    Comparison,
    Pilot,
    Power,
    cases_needed,
    hanley_mcneil_variance,
    power,
    readers_needed,
)
from bonescint.mrmc.table_files import read_predictions, read_reads
from bonescint.mrmc.testing import Equivalence, Inference, NonInferiority, OmnibusTest

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
