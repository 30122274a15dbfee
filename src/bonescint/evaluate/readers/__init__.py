"""Multi-reader multi-case statistics."""

from bonescint.evaluate.readers.against import ModelAgainstReaders, model_against_readers
from bonescint.evaluate.readers.covariance import CovarianceMethod
from bonescint.evaluate.readers.endpoints import Auc, PartialAuc, Sensitivity, Specificity
from bonescint.evaluate.readers.gallas import u_statistics, Weighting
from bonescint.evaluate.readers.merits import merits
from bonescint.evaluate.readers.obuchowski_rockette import Generalisation, obuchowski_rockette
from bonescint.evaluate.readers.reads import Nest, Read, Reads
from bonescint.evaluate.readers.roe_metz import RoeMetz, simulate_reads
