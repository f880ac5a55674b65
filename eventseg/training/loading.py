"""Batches of samples: the order of an epoch, and the processes that load them."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, default_collate

from eventseg.device import choose_encoder
from eventseg.errors import EventsegError, TrainingError
from eventseg.sources.live import batch_windows
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig
from eventseg.training.distributed import check_share
from eventseg.training.samples import Batch, EpochSample, Samples

POOL = 16
"""Blocks whose samples are shuffled together."""


class EpochBatches(Sampler[list[EpochSample]]):
    """Batches of one epoch after the other: shuffled by seed and epoch, or in order.

    Parameters
    ----------
    indices : int64 (N,)
        Samples, in the order of their files.
    batch_size : int
        Samples of a batch, of all ranks together.
    seed : int, optional
        Shuffles, and drops a last batch that is not full unless it is the only one.
    rank, world : int
        Which of how many processes this is. Where batches are shuffled, for training, each yields
        its share of every batch, every ``world``-th sample from ``rank`` on; together the shares
        are the batch. In order, for scores, each yields every ``world``-th batch.
    block : int
        Shuffle blocks of so many neighbours, see :func:`shuffled`; 0 for each sample by itself.
    groups : sequence of str (N,), optional
        Recording of each sample, which no block crosses; by default all are of one.

    Raises
    ------
    TrainingError
        A batch that cannot be divided among the processes, or fewer samples than processes.
    """

    def __init__(
        self,
        indices: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int | None = None,
        rank: int = 0,
        world: int = 1,
        block: int = 0,
        groups: Sequence[str] | None = None,
    ) -> None:
        self.shared = seed is not None and world > 1
        if self.shared:
            check_share(batch_size, world=world)
            if len(indices) < world:
                raise TrainingError(
                    f"{world} processes cannot share {len(indices)} samples; start fewer processes"
                )
        self.indices = indices
        self.batch_size = batch_size
        self.seed = seed
        self.rank, self.world = rank, world
        self.block, self.groups = block, groups
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches of this process."""
        if self.seed is not None:
            return max(1, len(self.indices) // self.batch_size)
        return len(range(self.rank * self.batch_size, len(self.indices), self._stride))

    @property
    def _stride(self) -> int:
        """Samples from a batch of this process to its next one."""
        return self.batch_size if self.seed is not None else self.batch_size * self.world

    def __iter__(self) -> Iterator[list[EpochSample]]:
        order = self.indices
        if self.seed is not None:
            order = shuffled(
                order, seed=self.seed, epoch=self.epoch, block=self.block, groups=self.groups
            )
        first = 0 if self.shared else self.rank * self.batch_size
        for k in range(len(self)):
            begin = first + k * self._stride
            taken = order[begin : begin + self.batch_size]
            if self.shared:
                taken = taken[self.rank :: self.world]
            yield [EpochSample(self.epoch, int(index)) for index in taken]


def shuffled(
    indices: NDArray[np.int64],
    *,
    seed: int,
    epoch: int,
    block: int = 0,
    groups: Sequence[str] | None = None,
) -> NDArray[np.int64]:
    """Return the samples of an epoch in random order: a pure function of seed and epoch.

    With a `block` of N, samples are cut into blocks of N neighbours of one recording (the last
    one of a recording may be shorter). Blocks are shuffled as wholes, taken in pools of
    :data:`POOL`, and samples are shuffled within their pool. So at any time samples come from at
    most ``POOL`` stretches of files, of N neighbours each, and every stretch is read once.

    Parameters
    ----------
    indices : int64 (N,)
        In the order of their files.
    seed, epoch : int
    block : int
        0 shuffles each sample by itself.
    groups : sequence of str (N,), optional
        Recording of each sample; by default all are of one.
    """
    rng = np.random.default_rng([seed, 3, epoch])
    if block == 0:
        return rng.permutation(indices)
    names = np.zeros(len(indices)) if groups is None else np.asarray(groups)
    edges = np.flatnonzero(names[1:] != names[:-1]) + 1
    blocks = [
        run[first : first + block]
        for run in np.split(indices, edges)
        for first in range(0, len(run), block)
    ]
    order = rng.permutation(len(blocks))
    pools = [
        np.concatenate([blocks[k] for k in order[first : first + POOL]])
        for first in range(0, len(order), POOL)
    ]
    return np.concatenate([rng.permutation(pool) for pool in pools])


def encoded_where(
    source: Source, config: TrainConfig, device: torch.device
) -> Literal["nowhere", "workers", "device"]:
    """Return where a training on a device encodes events; ``nowhere`` where all are stored.

    Events are read from the recordings where that is asked, where they are changed, and where a
    window is not stored. ``auto`` takes a CUDA device that Numba can use too, else the workers.
    """
    settings, augmentation = config.input, config.augmentation
    if settings.kind not in ("events", "both"):
        return "nowhere"
    changed = augmentation.changes_events or augmentation.window_jitter > 0
    if not (settings.live or changed) and all(map(source.stores, settings.windows)):
        return "nowhere"
    if settings.encode != "auto":
        return settings.encode
    usable = device.type == "cuda" and choose_encoder("auto").name == "cuda"
    return "device" if usable else "workers"


def load_batches(
    samples: Samples,
    batches: EpochBatches,
    *,
    workers: int,
    device: torch.device | None = None,
    start: Literal["fork", "spawn", "forkserver"] | None = None,
) -> DataLoader[Batch]:
    """Return a loader of batches; its workers stay from epoch to epoch.

    Parameters
    ----------
    samples : Samples
    batches : EpochBatches
    workers : int
        Processes that load; 0 loads in this one.
    device : torch.device, optional
        Device of the network, which decides where events are encoded; by default the CPU.
    start : str, optional
        How workers are started; by default as Python does on this system.
    """
    device = torch.device("cpu") if device is None else device
    where = encoded_where(samples.source, samples.config, device)
    if workers and where != "nowhere":
        samples.source.open_recordings(batches.indices)
    return DataLoader(
        replace(samples, on_device=where == "device"),
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
        collate_fn=collate,
        # The loader's own seed must not come from torch's generator: it would shift dropout's
        # numbers in the first epoch of a process only.
        generator=torch.Generator(),
        worker_init_fn=_one_thread if workers else None,
        multiprocessing_context=start if workers else None,
    )


def collate(samples: Sequence[Batch]) -> Batch:
    """Return samples as one batch, without those that could not be read."""
    good = [dict(sample) for sample in samples if "unreadable" not in sample]
    windows = [sample.pop("events") for sample in good if "events" in sample]
    batch: Batch = default_collate(good) if good else {}
    if windows:
        batch["events"] = batch_windows(windows)
    if len(good) < len(samples):
        bad = (sample for sample in samples if "unreadable" in sample)
        batch["unreadable"] = {sample["index"]: sample["unreadable"] for sample in bad}
    return batch


def each_batch(
    loader: DataLoader[Any], *, skipped: MutableMapping[int, str] | None = None
) -> Iterator[Batch]:
    """Yield the batches of a loader; an error in one of its workers stays one line.

    A batch goes on without the samples that could not be read, and without any it is left out.

    Parameters
    ----------
    loader : DataLoader
        From :func:`load_batches`, or any other.
    skipped : mapping, optional
        Takes the reason of each such sample, by its index.

    Raises
    ------
    EventsegError
        As the samples raise it.
    TrainingError
        More than half of the samples could not be read; or all of this process's share of a
        batch, where other processes train on theirs and would wait for ever.
    """
    read = 0
    reasons: dict[int, str] = {}
    for batch in _unwrapped(loader):
        bad: dict[int, str] = batch.pop("unreadable", {})
        reasons |= bad
        if skipped is not None:
            skipped.update(bad)
        if batch:
            read += len(batch["index"])
            yield batch
        elif getattr(loader.batch_sampler, "shared", False):
            raise TrainingError(
                "no sample of a process's share of a batch can be read, which would leave the "
                f"others waiting: {next(iter(bad.values()))}"
            )
    if len(reasons) > read:
        raise TrainingError(
            f"{len(reasons)} of {len(reasons) + read} samples cannot be read, more than half: "
            f"{next(iter(reasons.values()))}"
        )


@contextmanager
def loading_advice() -> Iterator[None]:
    """Turn the system's refusals to loading processes into one line with the cure.

    Raises
    ------
    TrainingError
        Too little shared memory, too few open files, or a loading process that was killed.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:
        if isinstance(error, EventsegError) or not (advice := _loading_advice(error)):
            raise
        if isinstance(error, ConnectionError | EOFError):
            advice = _loading_advice(_death_of_a_process() or error)
        raise TrainingError(advice) from error


def _death_of_a_process() -> RuntimeError | None:
    """Wait until the system tells of a process whose socket is closed, at most a second.

    Torch raises in the signal's handler, wherever the interpreter is then: here, and not while
    the message is printed.
    """
    try:
        time.sleep(1)
    except RuntimeError as error:
        return error
    return None


def _loading_advice(error: RuntimeError | OSError | EOFError) -> str:
    """Return a message for an error of torch's loading processes, empty for any other."""
    text = str(error)
    if getattr(error, "errno", None) == errno.EMFILE or any(
        sign in text for sign in ("Too many open files", "ancdata")
    ):
        return (
            "the loading processes need more open files than this shell allows: raise the limit "
            "(ulimit -n 4096), or load in this process with --workers 0 (workers=0)"
        )
    shared_memory = "shared memory" in text or "torch_shm" in text or "/torch_" in text
    if "Bus error" in text or (shared_memory and "No space left" in text):
        return (
            "shared memory (/dev/shm) is too small for the batches of the loading processes: make "
            "it larger (docker run --shm-size=2g, or --ipc=host), use fewer --workers or a smaller "
            "batch, or load in this process with --workers 0 (workers=0)"
        )
    ended = "DataLoader worker" in text and ("killed by signal" in text or "exited unexp" in text)
    # A batch on its way from a process that is gone: its socket is closed.
    if ended or isinstance(error, ConnectionError | EOFError):
        reason = (text.strip().splitlines() or [type(error).__name__])[0]
        return (
            "a loading process was ended by the system, most likely for lack of memory "
            f"({reason}); use fewer --workers or a smaller batch, or load in this process with "
            "--workers 0 (workers=0)"
        )
    return ""


def to_device(batch: Batch, device: torch.device, *, memory_format: str) -> tuple[Tensor, Tensor]:
    """Return the input and the labels (int64) of a batch on a device, events encoded there."""
    layout = torch.channels_last if memory_format == "channels_last" else torch.contiguous_format
    if "events" in batch:
        x = batch["events"].encoded(device)
        if "image" in batch:
            x = torch.cat([batch["image"].to(device, non_blocking=True), x], dim=1)
        x = x.contiguous(memory_format=layout)
    else:
        x = batch["x"].to(device, non_blocking=True, memory_format=layout)
    return x, batch["labels"].to(device, non_blocking=True).long()


def _unwrapped(loader: DataLoader[Any]) -> Iterator[Batch]:
    """Yield the batches of a loader; an error in one of its workers is raised again as itself."""
    try:
        yield from loader
    except EventsegError as error:
        if not loader.num_workers:
            raise
        # The loader puts the worker's whole traceback into the message; its last line has ours.
        last = str(error).strip().splitlines()[-1]
        raise type(error)(last.partition(": ")[2] or last) from None


def _one_thread(_worker: int) -> None:
    """Keep a worker to one thread: there are as many of them as wanted."""
    torch.set_num_threads(1)
