"""Processes that begin and end together: where one fails, all end, and one line says why."""

from __future__ import annotations

import atexit
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from eventseg.errors import EventsegError, TrainingError
from eventseg.training.distributed import joined, rank, world

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

FAILURES, MESSAGE = "failures", "message"
"""Keys of the store: how many processes have failed, and what the first of them says."""

PATIENCE_S = 3.0
"""Time for the message of a process whose connection was lost."""

GRACE_S = 15.0
"""Time for a process to end by itself once another has failed."""


LOST = (
    "gloo",
    "connection closed",
    "connection reset",
    "connection refused",
    "remote process exit",
    "timeout",
    "timed out",
)
"""Parts of the messages of gloo and NCCL, in lower case, where another process is gone."""


class OtherProcessError(TrainingError):
    """The failure of another process, which reports it; the message is that of the other."""


@dataclass(slots=True)
class _Group:
    """Processes that this one has joined: their store for messages, and how this one stands."""

    store: Store
    nccl: bool
    inside: bool = False
    left: threading.Event = field(default_factory=threading.Event)


_joined: list[_Group] = []
"""The group of this process, once it has one. A group that was left cannot be joined again."""


@contextmanager
def ending_together(device: torch.device) -> Iterator[None]:
    """Join the processes that ``torchrun`` started, and end all of them where one fails.

    The first process that fails tells the others its message by the store at which they met. A
    process that waits for others by NCCL cannot be woken: it is ended after :data:`GRACE_S`.
    Within another such block, and where there is one process, nothing is done.

    Parameters
    ----------
    device : torch.device
        NCCL joins processes on CUDA, gloo those on the CPU.

    Raises
    ------
    TrainingError
        They cannot be joined; an exchange has failed; or another process has ended without a word.
    OtherProcessError
        Another process has failed first.
    """
    group = _group_of(device)
    if group is None or group.inside:
        yield
        return
    group.inside = True
    try:
        yield
    except BaseException as error:
        message = _message(error, _own_name())
        lost = isinstance(error, RuntimeError) and _is_lost_connection(error)
        of_exchange = lost or isinstance(error, dist.DistError)
        failure = None
        if isinstance(error, Exception):
            failure = (_message_of_another(group.store) if lost else None) or _first_failure(
                group.store, message
            )
        _leave(group)
        if failure is not None:
            raise OtherProcessError(failure) from error
        if of_exchange:
            raise TrainingError(message) from error
        if isinstance(error, EventsegError):
            raise type(error)(message) from error
        raise
    finally:
        group.inside = False


def _group_of(device: torch.device) -> _Group | None:
    """Return the group of this process, joined where it has none; None where it is alone."""
    if _joined:
        if _joined[0].left.is_set():
            raise TrainingError(
                "this process has left the others after a failure; start all of them again"
            )
        return _joined[0]
    if joined() or not (world() > 1 or "TORCHELASTIC_RUN_ID" in os.environ):
        return None
    _joined.append(_join(device))
    threading.Thread(target=_watch, args=_joined, daemon=True).start()
    return _joined[0]


def _join(device: torch.device) -> _Group:
    """Join the processes until this one ends.

    Raises
    ------
    TrainingError
        They cannot be joined, or share a GPU.
    """
    # Not in every build of torch.
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    nccl = device.type == "cuda"
    try:
        if nccl:
            torch.cuda.set_device(device)
        store, own_rank, count = next(iter(rendezvous("env://")))
        if nccl:
            gpu = str(torch.cuda.get_device_properties(device).uuid)
            _check_own_gpu(PrefixStore("gpus", store), gpu, own_rank=own_rank, count=count)
        dist.init_process_group(
            "nccl" if nccl else "gloo",
            store=PrefixStore("group", store),
            rank=own_rank,
            world_size=count,
        )
    except TrainingError:
        raise
    except (ValueError, RuntimeError) as error:
        raise TrainingError(
            f"process {rank()} of {world()} cannot join the others: {error}; start them with "
            "torchrun, or unset RANK and WORLD_SIZE"
        ) from error
    atexit.register(dist.destroy_process_group)
    return _Group(PrefixStore("eventseg", store), nccl)


def _check_own_gpu(store: Store, gpu: str, *, own_rank: int, count: int) -> None:
    """Check that no other process computes on the GPU of this one, which NCCL refuses later.

    Raises
    ------
    TrainingError
        In all processes that share it.
    """
    store.set(str(own_rank), gpu)
    gpus = [store.get(str(other)).decode() for other in range(count)]
    sharing = [str(other) for other in range(count) if gpus[other] == gpu]
    if len(sharing) > 1:
        raise TrainingError(
            f"processes {', '.join(sharing)} of {count} compute on one GPU: give --device cuda, "
            "with which each gets one of its own, and start as many as there are GPUs"
        )


def _leave(group: _Group) -> None:
    """Leave the group after a failure, so that others who wait for this process are woken."""
    group.left.set()
    atexit.unregister(dist.destroy_process_group)
    if not group.nccl:  # NCCL would wait for the others
        with suppress(RuntimeError, ValueError):
            dist.destroy_process_group()


def _own_name() -> str:
    """Return the rank of this process, and its machine where there are several."""
    several = os.environ.get("LOCAL_WORLD_SIZE", str(world())) != str(world())
    return f"process {rank()} of {world()}" + f" on {socket.gethostname()}" * several


def _message(error: BaseException, own: str) -> str:
    """Return what the others are told of an error, or the error itself where there are none."""
    if isinstance(error, EventsegError) and world() == 1:
        return str(error)
    if isinstance(error, EventsegError):
        return f"{error} ({own})"
    lines = str(error).strip().splitlines() or [""]
    line = lines[0]
    if isinstance(error, RuntimeError) and _is_lost_connection(error):
        return (
            "another process of this training has ended without a message, most likely killed for "
            f"lack of memory or with its machine; go on with --resume ({own}: {line})"
        )
    if isinstance(error, dist.DistBackendError):
        # NCCL names the call first and the cause last.
        return f"NCCL cannot join the processes: {lines[-1]} ({own}); NCCL_DEBUG=WARN says more"
    return f"{type(error).__name__}: {line} ({own})"


def _first_failure(store: Store, text: str) -> str | None:
    """Tell the others of a failure; return the message of the one that was first, None if none."""
    try:
        if store.add(FAILURES, 1) == 1:
            store.set(MESSAGE, text)
            return None
    except RuntimeError:  # the process that holds the store is gone
        return None
    return _message_of_another(store)


def _message_of_another(store: Store) -> str | None:
    """Return the message of a process that has failed, None where none comes in time."""
    end = time.monotonic() + PATIENCE_S
    with suppress(RuntimeError):
        while time.monotonic() < end:
            if store.check([MESSAGE]):
                text: str = store.get(MESSAGE).decode()  # now: its process may hold the store
                time.sleep(0.5)  # the other one prints first: a launcher ends all with the first
                return text
            time.sleep(0.1)
    return None


def _watch(group: _Group) -> None:
    """End this process where another has failed and this one still waits for it."""
    with suppress(RuntimeError):  # the process that holds the store is gone
        while not group.left.wait(1):
            if group.inside and group.store.check([MESSAGE]):
                if not group.left.wait(GRACE_S):
                    os._exit(1)
                return


def _is_lost_connection(error: RuntimeError) -> bool:
    """Return whether an error is that of an exchange whose other side is gone."""
    if isinstance(error, dist.DistError) and not isinstance(error, dist.DistBackendError):
        return True  # of the store or the network
    return any(sign in str(error).lower() for sign in LOST)
