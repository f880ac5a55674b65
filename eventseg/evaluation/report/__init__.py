"""Evaluation reports as text, JSON and HTML."""
