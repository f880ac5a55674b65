"""GPUs of processes that train: whose they are, their memory, and why an exchange has failed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext

import pytest
import torch
import torch.distributed as dist

from eventseg.errors import TrainingError
from eventseg.training import run, together, trainer
from eventseg.training.config.config import TrainConfig
from eventseg.training.together import ending_together

NCCL = "NCCL error in: ProcessGroupNCCL.cpp:3690, "
DUPLICATE = "Duplicate GPU detected : rank 1 and rank 0 both on CUDA device 3b000"
INVALID_USAGE = (
    f"{NCCL}invalid usage (run with NCCL_DEBUG=WARN for details), NCCL version 2.30.7\n"
    "ncclInvalidUsage: This usually reflects invalid usage of NCCL library.\n"
    f"Last error:\n{DUPLICATE}"
)
EXITED = (
    f"{NCCL}remote process exited or there was a network error, NCCL version 2.30.7\n"
    "ncclRemoteError: A call failed possibly due to a network error or a remote process exiting "
    "prematurely.\nLast error:\nsocketProgress: Connection closed by remote peer node1<44000>"
)


@pytest.mark.parametrize("of_both", [False, True])
def test_processes_on_one_gpu_are_refused(monkeypatch: pytest.MonkeyPatch, of_both: bool) -> None:
    store = dist.HashStore()
    dist.PrefixStore("gpus", store).set("0", "GPU-a" if of_both else "GPU-b")
    joined = []
    # The attribute of torch.distributed is the function; the module has the same name.
    meeting = sys.modules["torch.distributed.rendezvous"]
    monkeypatch.setattr(meeting, "rendezvous", lambda _: iter([(store, 1, 2)]))
    monkeypatch.setattr(dist, "init_process_group", lambda kind, **_: joined.append(kind))
    monkeypatch.setattr(together.atexit, "register", lambda _: None)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    gpu = type("Properties", (), {"uuid": "GPU-a"})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    if of_both:
        with pytest.raises(TrainingError, match=r"^processes 0, 1 of 2 compute on one GPU: give"):
            together._join(torch.device("cuda:0"))
    else:
        assert together._join(torch.device("cuda:0")).nccl
    assert joined == ["nccl"] * (not of_both)


@pytest.mark.parametrize("device", ["cuda", torch.device("cuda"), "auto"])
@pytest.mark.parametrize("call", [run.train, trainer.train])
def test_a_process_takes_its_own_gpu_where_no_number_is_given(
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[..., object],
    device: str | torch.device,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")

    def joined(device: torch.device) -> None:
        raise InterruptedError(str(device))

    monkeypatch.setattr(run, "ending_together", joined)
    monkeypatch.setattr(trainer, "ending_together", joined)
    with pytest.raises(InterruptedError, match=r"^cuda:1$"):
        call("drives", "run", config=TrainConfig(), device=device)


def test_the_peak_memory_of_a_gpu_is_that_of_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []

    def started() -> None:
        assert forgotten == ["cuda:0"]
        raise InterruptedError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(
        torch.cuda, "reset_peak_memory_stats", lambda device: forgotten.append(str(device))
    )
    monkeypatch.setattr(trainer, "ending_together", nullcontext)
    monkeypatch.setattr(trainer, "prepare_run", lambda *_args, **_options: None)
    with pytest.raises(InterruptedError):
        trainer.train("drives", "run", config=TrainConfig(), device="cuda:0", started=started)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            dist.DistBackendError(INVALID_USAGE),
            f"NCCL cannot join the processes: {DUPLICATE} (process 0 of 1)",
        ),
        (dist.DistBackendError(EXITED), "another process of this training has ended"),
        (dist.DistNetworkError("The client socket has failed"), "another process of this"),
        (RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer"), "another"),
    ],
)
def test_the_cause_of_a_failed_exchange_is_told(
    monkeypatch: pytest.MonkeyPatch, error: RuntimeError, message: str
) -> None:
    store = dist.HashStore()
    group = together._Group(store, nccl=True)
    monkeypatch.setattr(together, "_group_of", lambda _: group)
    monkeypatch.setattr(together, "PATIENCE_S", 0.0)
    with pytest.raises(TrainingError) as raised, ending_together(torch.device("cuda")):
        raise error
    assert str(raised.value).startswith(message)
    assert store.get(together.MESSAGE).decode() == str(raised.value)


def test_a_message_is_read_before_its_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Held(dict[str, bytes]):
        """A store of a process that ends while another waits."""

        def check(self, keys: list[str]) -> bool:
            return all(key in self for key in keys)

        def get(self, key: str) -> bytes:  # type: ignore[override]
            if key not in self:
                raise RuntimeError("connection closed")
            return self[key]

    store = Held({together.MESSAGE: b"the loss is nan (process 0 of 2)"})
    monkeypatch.setattr(together.time, "sleep", lambda _: store.clear())
    assert together._message_of_another(store) == "the loss is nan (process 0 of 2)"
