"""Figures of events, samples, training curves and scores; the only importers of matplotlib."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
