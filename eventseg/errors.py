"""Every error a user can cause, as one tree; each class is also a standard one.

A message says what was given, what is allowed and what to do about it. The command line prints
the message of an :class:`EventsegError` on one line and exits with 1.
"""


class EventsegError(Exception):
    """Base of all errors that eventseg raises on purpose."""


class EventsError(EventsegError, ValueError):
    """Event columns that are no event stream: lengths, types, order or coordinates."""


class RecordingError(EventsegError, ValueError):
    """A recording that cannot be read: not the format, truncated, empty or damaged."""


class WindowError(EventsegError, ValueError):
    """A duration, an anchor or a window that cannot be had from this recording."""


class DeviceError(EventsegError, RuntimeError):
    """A GPU that is asked for and cannot be used, or has too little memory."""


class DatasetError(EventsegError, ValueError):
    """A data set folder that is incomplete, inconsistent or made with other settings."""


class OutputError(EventsegError, OSError):
    """An output that cannot be written: no space, no permission, or in the way."""


class LabelError(EventsegError, ValueError):
    """A class table, a merge or a label map that is not what it says."""


class NetworkError(EventsegError, ValueError):
    """A network or option that does not exist, or an input it was not built for."""


class CheckpointError(EventsegError, ValueError):
    """A file of weights that cannot be read, or that does not fit the network."""


class TrainingError(EventsegError, ValueError):
    """A training setting that does not exist, or a run that cannot go on."""


class MissingExtraError(EventsegError, ImportError):
    """A part that needs a package of an extra that is not installed."""
