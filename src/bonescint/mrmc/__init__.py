"""Multi-reader multi-case statistics: readers, cases and modalities, any of them random.

For reader studies of any kind, not of bone scans only. Begin with `read_reads` (or `Reads.of`)
and `analyse_readers`, or take one of the parts.
"""

from bonescint.mrmc.accuracy import (
    Decisions,
    DiagnosticAccuracy,
    Pair,
    ReadingTime,
    decisions,
    reading_times,
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
    Settings,
    analyse_readers,
)
from bonescint.mrmc.common import Note, NoteKind
from bonescint.mrmc.covariance import (
    BootstrapFigure,
    CovarianceMethod,
    ErrorCovariances,
    bootstrap_figures,
    covariance,
    leave_one_out,
)
from bonescint.mrmc.data import MarkedReads, Nest, RatedMark, Read, Reads
from bonescint.mrmc.endpoints import (
    Auc,
    Endpoint,
    Froc,
    LesionLocalisation,
    MarkedEndpoint,
    PartialAuc,
    PartOf,
    Sensitivity,
    Specificity,
    Undefined,
    Wafroc,
    froc_points,
)
from bonescint.mrmc.figures import (
    AverageRocCurve,
    average_curve,
    draw_figure_7,
    draw_froc,
    draw_roc,
)
from bonescint.mrmc.figures_of_merit import (
    DbmComponents,
    Design,
    FiguresOfMerit,
    MeanSquares,
    ReaderComponents,
    detect_design,
    figures_of_merit,
)
from bonescint.mrmc.inference import (
    Difference,
    Equivalence,
    Generalisation,
    Inference,
    NonInferiority,
    OmnibusTest,
)
from bonescint.mrmc.io import read_predictions, read_reads
from bonescint.mrmc.obuchowski_rockette import (
    ModalityMean,
    OrAnalysis,
    OrResult,
    obuchowski_rockette,
)
from bonescint.mrmc.report import require_free_place, sentences, write_analysis
from bonescint.mrmc.sample_size import (
    ComparisonKind,
    Hypothesis,
    Power,
    VarianceComponents,
    cases_needed,
    hanley_mcneil_variance,
    power,
    readers_needed,
)
from bonescint.mrmc.simulate import RoeMetz, simulate_reads
from bonescint.mrmc.standalone import (
    ReaderVsStandalone,
    StandaloneVsReaders,
    standalone_vs_readers,
)
from bonescint.mrmc.u_statistics import UAnalysis, Weighting, u_statistics
from bonescint.roc import RocCurve

__all__ = [
    "ReaderVsStandalone",
    "Hypothesis",
    "Auc",
    "BinaryAgreement",
    "DiagnosticAccuracy",
    "ComparisonKind",
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
    "OrResult",
    "Inference",
    "KappaWeights",
    "LesionLocalisation",
    "RatedMark",
    "MarkedEndpoint",
    "MarkedReads",
    "McNemar",
    "MeanSquares",
    "FiguresOfMerit",
    "ModalityMean",
    "StandaloneVsReaders",
    "Nest",
    "NonInferiority",
    "Note",
    "NoteKind",
    "OmnibusTest",
    "OrAnalysis",
    "Pair",
    "PartOf",
    "PartialAuc",
    "VarianceComponents",
    "Power",
    "Read",
    "ReaderAnalysis",
    "ReaderComponents",
    "ReadingTime",
    "Reads",
    "BootstrapFigure",
    "AverageRocCurve",
    "RocCurve",
    "RoeMetz",
    "Sensitivity",
    "Settings",
    "Specificity",
    "UAnalysis",
    "Undefined",
    "Wafroc",
    "Weighting",
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
    "figures_of_merit",
    "standalone_vs_readers",
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
