"""Training by one call, and the run folder as an object: scores, predictions, curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from eventseg import html
from eventseg.device import choose_device
from eventseg.encoding.settings import Encoding
from eventseg.errors import TrainingError
from eventseg.files.extensions import short_extension
from eventseg.files.texts import counted
from eventseg.filters.rules import Filters
from eventseg.networks import TrainedNetwork, load_network
from eventseg.prediction.checkpoint_file import data_encoding
from eventseg.prediction.predict import Predictions, predict
from eventseg.recordings import Recording
from eventseg.recordings.progress import Report, no_report
from eventseg.sources.source import Source, open_source
from eventseg.training import trainer
from eventseg.training.budget import fit_to_budget
from eventseg.training.config.config import TrainConfig, load_config
from eventseg.training.config.options import overrides_of
from eventseg.training.epoch_tables import EpochScores, best_of, read_metrics
from eventseg.training.layout import BEST, CONFIG, RUN
from eventseg.training.pictures import history_figure
from eventseg.training.progress import EpochCallback, TrainingProgress
from eventseg.training.run_record import check_is_run, read_run
from eventseg.training.together import ending_together
from eventseg.windows import MAX_FRAME_AGE_US, to_us

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from eventseg.evaluation.evaluation import Evaluation
    from eventseg.prediction.live.packets import PacketSource
    from eventseg.prediction.live.stream import LiveStream


def train(
    data: str | Path | Source,
    out: str | Path | None = None,
    *,
    config: TrainConfig | str | Path | None = None,
    budget: str | int | None = None,
    device: str | torch.device = "auto",
    resume: bool = False,
    tensorboard: bool = False,
    command: Sequence[str] | None = None,
    progress: Callable[[TrainingProgress], None] = no_report,
    callbacks: Sequence[EpochCallback] = (),
    **settings: Any,
) -> Run:
    """Train a network on a data set and return the run.

    Parameters
    ----------
    data : path or Source
        A data set folder, an image folder, or a source of your own.
    out : path, optional
        The run folder; by default that of :func:`default_run_folder`.
    config : TrainConfig, str or Path, optional
        Settings to begin with: a configuration, the name of a recipe, or a ``.toml`` file.
    budget : str or int, optional
        Time such as ``"10min"`` or microseconds that batch, crop and length are fitted to, see
        :func:`eventseg.training.budget.fit_to_budget`; not for a complete configuration.
    device : str or torch.device
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    resume : bool
        Whether to continue the run that the folder holds.
    tensorboard : bool
        Whether to write TensorBoard files too.
    command : sequence of str, optional
        Command that ``run.json`` records; by default that of this process.
    progress : callable
        Called after every batch and every validation.
    callbacks : sequence of callable
        Called after every epoch; see :func:`eventseg.training.trainer.train`.
    **settings
        Settings that differ: ``network``, ``init``, ``input``, ``fusion``, ``window``, ``live``,
        ``labels``, ``classes``, ``learning_rate``, every setting of
        :class:`eventseg.TrainConfig` such as ``epochs``, and, with ``**{...}``, any path such as
        ``augmentation.flip``.

    Returns
    -------
    Run

    Raises
    ------
    TrainingError
        A setting that does not exist, settings with a complete configuration, no samples of a
        part, a loss that is no number, or a run that cannot be resumed.
    DatasetError, NetworkError, CheckpointError, DeviceError, OutputError
        Data, a network, a checkpoint, a device or a folder that cannot be used.

    Examples
    --------
    >>> run = train("drives", "runs/first", network="fastscnn", epochs=1, device="cpu")
    >>> len(run.history)
    1
    """
    if isinstance(config, TrainConfig):
        if beside := [*settings, *(["budget"] if budget is not None else [])]:
            raise TrainingError(
                f"settings {', '.join(beside)} beside a complete configuration: put them into "
                "the configuration, with load_config(..., overrides=...)"
            )
    else:
        config = load_config(config, overrides=overrides_of(settings))
    chosen = choose_device(str(device))
    of_path = isinstance(data, str | Path)
    with ending_together(chosen):
        source = (
            open_source(data, label_set=config.labels.set) if isinstance(data, str | Path) else data
        )
        try:
            if budget is not None:
                given = overrides_of(settings)
                config = fit_to_budget(
                    source, config, budget_us=to_us(budget), device=chosen, given=given
                ).config
            result = trainer.train(
                source,
                out if out is not None else default_run_folder(config),
                config=config,
                device=chosen,
                resume=resume,
                tensorboard=tensorboard,
                command=command,
                progress=progress,
                callbacks=callbacks,
            )
        finally:
            if of_path:  # a source that was given stays open
                source.close()
    return replace(open_run(result.path), stop_reason=result.stop_reason)


def default_run_folder(config: TrainConfig) -> Path:
    """Return the usual run folder of a configuration, ``runs/NETWORK-INPUT-WINDOWS``.

    A seed other than 0 is added as ``-seedN``, so that runs of several seeds lie side by side.
    """
    name = short_extension(config.network.name).replace("/", "_").replace(":", "_")
    sees_events = config.input.kind in ("events", "both")
    windows = config.input.windows if sees_events else ()
    seed = [f"seed{config.seed}"] if config.seed else []
    return Path("runs") / "-".join([name, config.input.kind, *windows, *seed])


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder, opened by :func:`open_run` or made by :func:`train`.

    Parameters
    ----------
    path : Path
    config : TrainConfig
        Settings of the training.
    data : Path
        Data that the network was trained on.
    history : tuple of EpochScores
        Losses and scores of each epoch.
    class_names : tuple of str
    stop_reason : str, optional
        Reason for the end of the training, ``length``, ``patience`` or ``callback``; None for a
        run that was opened.
    """

    path: Path
    config: TrainConfig
    data: Path
    history: tuple[EpochScores, ...]
    class_names: tuple[str, ...]
    stop_reason: str | None = None

    @property
    def best(self) -> EpochScores:
        """Scores of the epoch that ``best.pt`` holds."""
        return best_of(self.history, min_delta=self.config.min_delta)

    @cached_property
    def network(self) -> TrainedNetwork:
        """Network of the best epoch, on the CPU, in evaluation mode."""
        return load_network(self.path / BEST)

    def evaluate(
        self,
        data: str | Path | None = None,
        *,
        out: str | Path | None = None,
        progress: Report = no_report,
        **settings: Any,
    ) -> Evaluation:
        """Score the network beside its baselines and write the report.

        Parameters
        ----------
        data : path, optional
            Data to score on, by default that of the training.
        out : path, optional
            Folder of the report, by default one in the run folder.
        progress : callable
            Called after every batch; the stage is the name of the scored predictor.
        **settings
            As for :func:`eventseg.evaluate_run`, such as ``split="val"`` or ``window="10ms"``.

        Raises
        ------
        TrainingError
            A setting that does not exist.
        CheckpointError, DatasetError, LabelError
            Files that cannot be read, or classes that do not fit.
        """
        import eventseg  # evaluation stands above training: its public face is asked for it

        return eventseg.evaluate_run(
            self.path,
            self.data if data is None else data,
            out=out,
            progress=progress,
            **settings,
        )

    def predict(
        self,
        recording: str | Path | Recording,
        *,
        out: str | Path | None = None,
        every: str | int | None = None,
        times_us: Sequence[int] | NDArray[np.int64] | None = None,
        window: str | int | None = None,
        max_frame_age_us: int | None = MAX_FRAME_AGE_US,
        encoding: Encoding | None = None,
        filters: Filters | None = None,
        device: str = "auto",
    ) -> Predictions:
        """Predict a recording at its frames, at equal distances, or at given times.

        Parameters
        ----------
        recording : path or Recording
        out : path, optional
            Folder for the labels of each instant, ``ID.png``, an indexed PNG in the colours of the
            classes; each is written whole.
        every, times_us, window, max_frame_age_us, encoding, filters, device
            As for :func:`eventseg.predict`. Where the checkpoint keeps no encoding, that of its
            training data is taken.

        Returns
        -------
        Predictions
            An iterable of predictions with ``t_us``, ``labels``, ``probabilities``, ``classes``,
            ``save()`` and ``plot()``.
        """
        predictions = predict(
            self.network,
            recording,
            every=every,
            times_us=times_us,
            window=window,
            max_frame_age_us=max_frame_age_us,
            encoding=encoding
            or self.network.inputs.encoding
            or data_encoding(self.data, self.network.inputs),
            filters=filters,
            device=device,
        )
        if out is not None:
            predictions.save(out)
        return predictions

    def stream(
        self,
        source: str | Path | Recording | PacketSource,
        *,
        every: str | int = "20ms",
        device: str = "auto",
        **settings: Any,
    ) -> LiveStream:
        """Predict live events at equal distances, as fast as they come.

        Parameters
        ----------
        source : path, Recording or PacketSource
            A recording, standard input, a socket or a camera's driver.
        every : str or int
            Distance of the instants, a duration or microseconds.
        device : str
        **settings
            As for :func:`eventseg.prediction.stream`, such as ``window="50ms"``.

        Returns
        -------
        LiveStream
            An iterable of predictions, with ``latency_ms`` each.
        """
        from eventseg.prediction.live.open import stream  # a training needs none of it

        return stream(self.path, source, every=every, device=device, **settings)

    def plot(self) -> Figure:
        """Return the learning curves."""
        return history_figure(
            self.history, classes=self.network.classes, best_epoch=self.best.epoch
        )

    def __repr__(self) -> str:
        return (
            f"Run({str(self.path)!r}, {self.config.network.name} on {self.config.input.kind}, "
            f"{counted(len(self.history), 'epoch')}, best mIoU {self.best.val_miou:.2f} % at epoch "
            f"{self.best.epoch})"
        )

    def _repr_html_(self) -> str:
        header = ("epoch", "train loss", "val loss", "val accuracy, %", "val mIoU, %")
        rows = [
            [
                str(row.epoch),
                f"{row.train_loss:.4f}",
                f"{row.val_loss:.4f}",
                f"{row.val_accuracy:.2f}",
                f"{row.val_miou:.2f}" + " (best)" * (row.epoch == self.best.epoch),
            ]
            for row in self.history
        ]
        return html.paragraph(repr(self)) + html.table(header, rows)


def open_run(path: str | Path) -> Run:
    """Open a run folder.

    Raises
    ------
    TrainingError
        No run folder, or one whose files are damaged.

    Examples
    --------
    >>> open_run(run.path).config.network.name
    'fastscnn'
    """
    root = Path(path)
    missing = [name for name in (CONFIG, RUN) if not (root / name).is_file()]
    if missing == [RUN]:
        check_is_run(root)
    if missing:
        raise TrainingError(
            f"{root} is no run folder: it has no {' and no '.join(missing)}; give a folder that "
            "eventseg train made"
        )
    history, class_names = read_metrics(root)
    config, described = load_config(root / CONFIG), read_run(root / RUN)
    return Run(root, config, Path(described["data"]), tuple(history), class_names)
