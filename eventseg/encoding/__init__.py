"""Encoding of events into tensors: settings, representations, CPU, CUDA and whole recordings."""
