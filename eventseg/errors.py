"""Every error a user can cause, as one tree; each class is also a standard one.

A message names the value that was given, the values that are allowed and the remedy. The command
line prints the message of an :class:`EventsegError` on one line and exits with 1.
"""

from collections.abc import Iterable, Sequence

MOST_LISTED = 12
"""Most known names of which a message lists all."""

NEAR = 3
"""Known names like an unknown one that a message asks about."""


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


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Return up to three known names that an unknown one may have meant, the likeliest first.

    Names that begin with the unknown one are preferred to those that are spelled alike.
    """
    # Loaded here: most processes name what exists.
    from difflib import get_close_matches

    # Case is no difference to a reader, and is one to the comparison.
    spelled = {each.lower(): each for each in known}
    given = name.lower()
    longer = [each for each in spelled if given and each.startswith(given)][:NEAR]
    return [spelled[each] for each in longer or get_close_matches(given, spelled, NEAR)]


def known_names(
    name: str, known: Sequence[str], *, listed: str = "", near: Sequence[str] | None = None
) -> str:
    """Return the end of a message about an unknown name: names like it, and all that are known.

    Parameters
    ----------
    name : str
        Name that was given.
    known : sequence of str
        Names that are allowed.
    listed : str
        Sentence that says what lists them, such as ``eventseg networks lists all``; it stands in
        place of more than :data:`MOST_LISTED` names. Without it three are shown.
    near : sequence of str, optional
        Names to ask about; by default those of :func:`near_names`.

    Examples
    --------
    >>> known_names("fastsccn", ["enet", "fastscnn"])
    ' (did you mean fastscnn?); known are enet, fastscnn'
    >>> known_names("7", [str(n) for n in range(20, 40)], listed="eventseg networks lists all")
    '; eventseg networks lists all'
    """
    near = near_names(name, known) if near is None else near
    asked = " or ".join(filter(None, [", ".join(near[:-1]), *near[-1:]]))
    hint = f" (did you mean {asked}?)" if near else ""
    if len(known) <= MOST_LISTED:
        return f"{hint}; known are {', '.join(known) or 'none'}"
    some = f"known are {len(known)}, such as {', '.join(known[:NEAR])}"
    return f"{hint}; {listed or some}"
