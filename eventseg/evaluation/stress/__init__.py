"""Scores under stress: events and frames made worse step by step, labels unchanged."""
