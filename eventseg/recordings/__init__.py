"""Recordings of event cameras, opened by format.

The modules that need h5py and numba load when a recording is opened or written.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
