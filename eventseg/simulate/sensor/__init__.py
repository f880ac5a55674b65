"""Sensor models: events (DVS), gray frames (APS) and noise."""
