"""Predictions joined with a cohort, evaluated: one typed result that every report reads."""
