"""Comparison of runs, beside published rows of the same data."""
