"""Scores of anyone's predictions: label maps, logits, callables and runs; diagnosis, tables."""
