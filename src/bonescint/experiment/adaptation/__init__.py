"""Adapt a model to one hospital's scans: normal, unlabelled or labelled ones."""
