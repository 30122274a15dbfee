"""Whole studies."""
