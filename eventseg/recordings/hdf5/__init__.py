"""Bounded reader of HDF5 files: every structure is checked before it is followed."""
