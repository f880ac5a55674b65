"""Segmentation networks of the field, each in a file of its own."""
