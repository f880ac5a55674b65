"""Every error a user can cause, as one tree; each class is also a standard one.

A message names the value that was given, the values that are allowed and the remedy. The command
line prints the message of an :class:`EventsegError` on one line and exits with 1.
"""


class EventsegError(Exception):
    """Base of all errors that eventseg raises on purpose."""


class EventsError(EventsegError, ValueError):
    """Invalid event columns: lengths, types, order or coordinates."""


class RecordingError(EventsegError, ValueError):
    """A recording that cannot be read: not the format, truncated, empty or damaged."""


class WindowError(EventsegError, ValueError):
    """An invalid duration or anchor, or a window outside the recording."""


class DeviceError(EventsegError, RuntimeError):
    """A GPU that is asked for and cannot be used, or has too little memory."""


class DatasetError(EventsegError, ValueError):
    """A data set folder that is incomplete, inconsistent or made with other settings."""


class OutputError(EventsegError, OSError):
    """An output that cannot be written: no space, no permission, or in the way."""


class JobsError(EventsegError, RuntimeError):
    """Jobs of a long piece of work that have failed, or that cannot be shared out."""


class ClusterError(EventsegError, RuntimeError):
    """A cluster that cannot be reached, or whose workers differ from this machine."""


class LabelError(EventsegError, ValueError):
    """An invalid class table, merge or label map."""


class NetworkError(EventsegError, ValueError):
    """A network or option that does not exist, or an input it was not built for."""


class CheckpointError(EventsegError, ValueError):
    """A file of weights that cannot be read, or that does not fit the network."""


class TrainingError(EventsegError, ValueError):
    """A training setting that does not exist, or a run that cannot go on."""


class ExtensionError(EventsegError, ImportError):
    """A user's own Python file that is missing, has changed or lacks the requested object."""


class MissingExtraError(EventsegError, ImportError):
    """A part that needs a package of an extra that is not installed."""
