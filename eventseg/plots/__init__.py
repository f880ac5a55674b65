"""Figures of events, samples, training curves and scores; the only importers of matplotlib."""
