"""Prediction of a trained network on one input."""
