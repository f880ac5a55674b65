"""Semantic segmentation from event cameras: raw recordings to tensors, labels and scores.

Everything a notebook needs is here; each name is loaded when it is first used, so that importing
the package costs nothing. The names are listed once, in ``__init__.pyi``.
"""

import lazy_loader

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["__version__"]
