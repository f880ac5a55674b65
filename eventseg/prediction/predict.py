"""Predictions of a trained network over a recording, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.encoding.settings import Encoding
from eventseg.filters.rules import Filters
from eventseg.networks import TrainedNetwork
from eventseg.prediction.instants import Instants, place_instants
from eventseg.prediction.layout import check_no_prediction_folder
from eventseg.prediction.prediction import Prediction as Prediction
from eventseg.prediction.predictor import SINGLE, Predictor, TestTimeAugmentation, predictor
from eventseg.recordings import Recording, open_recording
from eventseg.windows import MAX_FRAME_AGE_US, Anchor, Windows


@dataclass(frozen=True, eq=False, slots=True)
class Predictions:
    """Predictions over a recording; each iteration predicts them anew, in constant memory.

    Parameters
    ----------
    predictor : Predictor
    recording : Recording
        An open recording.
    windows : Windows
        One window for each instant.
    ids : tuple of str
        Sample id of each instant.
    encoding : Encoding
        Encoding of the events.
    filters : Filters
        Filters that the events pass before.
    skipped : int
        Instants left out because the network sees frames and there is none by then that is young
        enough.
    """

    predictor: Predictor
    recording: Recording
    windows: Windows
    ids: tuple[str, ...]
    encoding: Encoding
    filters: Filters
    skipped: int = 0

    def __len__(self) -> int:
        """Return the number of instants."""
        return len(self.windows)

    def __iter__(self) -> Iterator[Prediction]:
        """Yield the predictions in order of time."""
        trained = self.predictor.trained
        instants = Instants(
            self.recording, self.windows, self.ids, self.encoding, self.filters, self.skipped
        )
        covered = instants.covered
        for i, (x, count) in enumerate(instants.network_inputs(trained.inputs)):
            assert x is not None  # all are wanted
            yield Prediction(
                self.ids[i],
                int(self.windows.t1_us[i]),
                int(self.windows.frame[i]),
                float(covered[i]),
                x,
                self.predictor(x),
                trained.classes,
                trained.inputs,
                count,
            )

    def save(self, folder: str | Path) -> list[Path]:
        """Write the labels of every instant into a folder as ``ID.png``.

        Raises
        ------
        OutputError
            A file cannot be written, or the folder is one of :func:`eventseg.predict_into`.
        """
        check_no_prediction_folder(Path(folder))
        return [each.save(Path(folder) / f"{each.id}.png") for each in self]

    def __repr__(self) -> str:
        skipped = f", {self.skipped} skipped without a frame" * bool(self.skipped)
        return (
            f"Predictions({len(self)} instants of {self.recording.name}, "
            f"{self.windows.name} windows{skipped})"
        )


def predict(
    network: str | Path | TrainedNetwork | Predictor,
    recording: str | Path | Recording,
    *,
    every: str | int | None = None,
    times_us: Sequence[int] | NDArray[np.int64] | None = None,
    anchor: str | Anchor = "frame",
    window: str | int | None = None,
    max_frame_age_us: int | None = MAX_FRAME_AGE_US,
    encoding: Encoding | None = None,
    filters: Filters | None = None,
    test_time: TestTimeAugmentation = SINGLE,
    device: str = "auto",
) -> Predictions:
    """Predict a recording at its frames, at equal distances, or at given times.

    The events are encoded as the network's training data was, to the same bits.

    Parameters
    ----------
    network : path, TrainedNetwork or Predictor
        A checkpoint or a loaded network.
    recording : path or Recording
        One of a path is opened with the sensor size of the encoding.
    every : str or int, optional
        Distance of the instants from the first event on, a duration or microseconds.
    times_us : sequence of int (N,), optional
        Instants in us of the sensor's clock, not decreasing.
    anchor : str or Anchor
        Rule that places the windows where neither `every` nor `times_us` is given: ``frame``,
        ``centre``, ``stride:20ms`` or ``evsegnet``.
    window : str or int, optional
        Length of the windows; may be left out where the network was trained on one.
    max_frame_age_us : int or None
        Largest age of a frame in us at an instant that it does not anchor; an older one counts as
        none, and None allows any. A network that sees frames predicts no instant without one.
    encoding : Encoding, optional
        Encoding of the events; by default the one that the network was trained on.
    filters : Filters, optional
        Event filters; by default those that the network was trained with.
    test_time : TestTimeAugmentation
        Views of each input that are averaged; that of a `Predictor` stays.
    device : str
        Device of the network: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    Predictions
        An iterable of :class:`Prediction`; iterating runs the network.

    Raises
    ------
    CheckpointError, RecordingError, DeviceError
        A network, recording or device that cannot be used.
    NetworkError
        A recording of another sensor size than the encoding.
    WindowError
        No instant, one outside the recording, times out of order, or an invalid duration or age.

    Examples
    --------
    >>> predictions = predict(run.path / "best.pt", recording, every="20ms", device="cpu")
    >>> next(iter(predictions)).labels.shape
    (48, 64)
    """
    chosen = (
        network
        if isinstance(network, Predictor)
        else predictor(network, test_time=test_time, device=device)
    )
    inputs = chosen.trained.inputs
    known = encoding or inputs.encoding
    if not isinstance(recording, Recording):
        recording = open_recording(recording, likely=known.sensor if known else None)
    instants = place_instants(
        recording,
        inputs,
        every=every,
        times_us=times_us,
        anchor=anchor,
        window=window,
        max_frame_age_us=max_frame_age_us,
        encoding=known,
        filters=filters,
    )
    return Predictions(
        chosen,
        recording,
        instants.windows,
        instants.ids,
        instants.encoding,
        instants.filters,
        instants.skipped,
    )
