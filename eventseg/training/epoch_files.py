"""Files of the run folder that are written after each epoch."""

from __future__ import annotations

from collections.abc import Mapping

from eventseg.networks import save_network
from eventseg.training.epoch_tables import write_metrics, write_skipped, write_timing
from eventseg.training.layout import BEST, FAILED, KEPT, LAST
from eventseg.training.pictures import picture_curves, picture_samples
from eventseg.training.prepare import PreparedRun
from eventseg.training.state import training_state

CURVES_AGE_S = 10.0
"""Age of the curves from which they are drawn again; short epochs would wait for them."""


def write_epoch_files(run: PreparedRun, *, best: bool, skipped: Mapping[int, str]) -> None:
    """Write checkpoints, scores and pictures of an epoch; ``last.pt`` comes last.

    Parameters
    ----------
    run : PreparedRun
    best : bool
        Whether the epoch is the best so far, so that ``best.pt`` is written too.
    skipped : mapping of int to str
        Reason of each sample that could not be read, by its index.

    Raises
    ------
    OutputError
        A file cannot be written.
    """
    root, table, history, ids = run.root, run.classes, run.history, run.source.ids
    validated = run.training.validated
    if best:
        trained = run.trained_network(validated)
        save_network(root / BEST, trained, epoch=len(history.scores), val_miou=history.val_miou)
        picture_samples(root, trained, run.pictured, ids=ids, device=run.training.device)
    epoch = len(history.scores)
    if epoch in run.training.config.keep_epochs:
        kept = root / KEPT.format(epoch=epoch)
        save_network(kept, run.trained_network(validated), epoch=epoch, val_miou=history.val_miou)
    write_metrics(root, history.scores, classes=table.names)
    write_timing(root, history.costs)
    write_skipped(root, {ids[index]: reason for index, reason in skipped.items()})
    picture_curves(root, history.scores, table=table, best=history.best, age_s=CURVES_AGE_S)
    save_network(
        root / LAST,
        run.trained_network(validated),
        training=training_state(run.training, history),
    )


def write_failed_network(run: PreparedRun, *, samples: list[int]) -> None:
    """Write ``failed.pt``: the network before a batch whose loss is not finite."""
    save_network(run.root / FAILED, run.trained_network(run.training.network), samples=samples)
