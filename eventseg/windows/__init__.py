"""Half-open windows of events: durations, anchors and how a recording is cut into them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
