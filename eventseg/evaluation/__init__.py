"""Scores of trained networks: protocols, baselines, reports, comparisons."""
