"""Label maps of a user's own: joined to samples, imported as a label set, and exported."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
