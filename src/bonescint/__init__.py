"""bonescint reads whole-body bone scans and says how likely each shows metastatic bone disease.

Research use only, not a medical device. Importing this package loads no other library; each
room is imported by its name, for instance `from bonescint.dicom import read`.
"""

__version__ = "0.1.0"
