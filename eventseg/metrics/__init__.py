"""Confusion matrices and all scores that follow from them."""
