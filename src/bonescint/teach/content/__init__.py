"""Texts, courses and pictures that come with the package."""
