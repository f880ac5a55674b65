"""Settings of a score in the name of the folder of its report."""

from __future__ import annotations

from eventseg.evaluation.request import classes_word, windows_of
from eventseg.evaluation.scoring.contenders import Contender, NetworkContender, default_window
from eventseg.evaluation.scoring.files import PredictionFiles
from eventseg.evaluation.scoring.settings import ScoreRequest
from eventseg.labels.maps import ClassTable
from eventseg.sources.source import Source
from eventseg.training.layout import BEST
from eventseg.windows import format_duration, parse_duration


def differing_words(
    first: Contender | PredictionFiles, source: Source, request: ScoreRequest, table: ClassTable
) -> list[str]:
    """Return a word for each setting of a score that differs from the usual, as of ``evaluate``.

    Parameters
    ----------
    first : Contender or PredictionFiles
        The first of the predictions.
    source : Source
    request : ScoreRequest
    table : ClassTable
        Classes that are scored.
    """
    words = []
    if request.checkpoint != BEST:
        words.append(request.checkpoint.removesuffix(".pt"))
    usual_classes = source.classes if request.network_classes else first.classes
    if table.names != usual_classes.names:
        words.append(classes_word(table.names))
    if request.window:
        length_us = parse_duration(request.window)
        usual = _usual_window(first, source)
        if usual != "" and (usual == "-" or parse_duration(usual) != length_us):
            words.append(format_duration(length_us))
    if not request.baselines:
        words.append("nobaselines")
    if request.teacher:
        words.append(f"teacher-{request.teacher}")
    return words


def _usual_window(first: Contender | PredictionFiles, source: Source) -> str:
    """Return the window without a request, ``-`` for none; empty where a window changes nothing."""
    if isinstance(first, NetworkContender):
        return windows_of(first.trained)[0] if first.sees_events else ""
    return first.window if isinstance(first, PredictionFiles) else default_window(source)
