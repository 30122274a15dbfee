"""A model adapted to one hospital's scans: from normal scans, or calibrated on labelled ones."""
