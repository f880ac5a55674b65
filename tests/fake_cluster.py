"""A Dask cluster in one process with a made-up clock: slow workers, losses, a slow scheduler.

It stands in for ``distributed`` below :class:`eventseg.dataset.jobs.cluster.DaskWorkers`: the
module, its client and futures, the clock and the queue on which results arrive. Nothing waits.
"""

from __future__ import annotations

import heapq
import inspect
import itertools
import queue
import random
import sys
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError
from types import SimpleNamespace
from typing import Any

import pytest

from eventseg.dataset.jobs import cluster as layer


class WorkerDies(BaseException):
    """Raised by a job that takes its worker with it."""


class KilledWorker(Exception):
    """Error of a task whose workers died too often, as of ``distributed``."""


class Future:
    """Task of the cluster and its outcome."""

    def __init__(self, call: Callable[[], Any], key: str, retries: int) -> None:
        self.call, self.key, self.left = call, key, retries
        self.status, self.value, self.error = "pending", None, None
        self.suspicious = 0
        self.callbacks: list[Callable[[Any], None]] = []

    def add_done_callback(self, call: Callable[[Any], None]) -> None:
        self.callbacks.append(call)

    def result(self) -> Any:
        return self.value

    def exception(self, timeout: float) -> BaseException | None:
        return self.error  # None of a cancelled task, as with distributed

    def release(self) -> None: ...

    def end(self, status: str, *, value: Any = None, error: BaseException | None = None) -> None:
        self.status, self.value, self.error = status, value, error
        for call in self.callbacks:
            call(self)


class FakeCluster:
    """Discrete events of a scheduler and its workers.

    Parameters
    ----------
    workers : int
        The slowest takes five times as long as the fastest.
    lifetime_s : float
        Mean time after which a worker dies; another takes its place half a minute later.
    step_s : float
        Time that the scheduler needs for each thing it does, one after the other.
    tries : int
        Times that workers may die under a task.
    seed : int
    """

    def __init__(
        self, *, workers: int, lifetime_s: float, step_s: float, tries: int, seed: int = 0
    ) -> None:
        self.now_s, self.free_s = 0.0, 0.0
        self.step_s, self.lifetime_s, self.tries = step_s, lifetime_s, tries
        self.random = random.Random(seed)
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.number = itertools.count()
        self.idle: deque[str] = deque()
        self.alive: dict[str, float] = {}
        self.running: dict[str, Future] = {}
        self.waiting: deque[Future] = deque()
        self.futures: list[Future] = []
        self.topics: dict[str, Callable[[Any], None]] = {}
        self.attempts: Counter[str] = Counter()
        self.losses, self.gone = 0, False
        for k in range(workers):
            self.join(k)

    # -- the clock ------------------------------------------------------------------------------

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.events, (self.now_s + delay_s, next(self.number), action))

    def scheduled(self, action: Callable[[], None]) -> None:
        """Let the scheduler do something when it gets to it."""
        self.free_s = max(self.free_s, self.now_s) + self.step_s
        self.after(self.free_s - self.now_s, action)

    def advance(self, until_s: float) -> bool:
        """Do the next event by a time; return whether there was one."""
        if not self.events or self.events[0][0] > until_s:
            self.now_s = until_s
            return False
        self.now_s, _, action = heapq.heappop(self.events)
        action()
        return True

    # -- workers and scheduler ------------------------------------------------------------------

    def join(self, k: int) -> None:
        address = f"tcp://node{k}:{next(self.number)}"
        self.alive[address] = self.random.uniform(1.0, 5.0)
        self.idle.append(address)
        self.after(self.random.expovariate(1 / self.lifetime_s), lambda: self.die(address))
        self.assign()

    def die(self, address: str) -> None:
        if self.alive.pop(address, None) is None or self.gone:
            return
        self.losses += 1
        if address in self.idle:
            self.idle.remove(address)
        task = self.running.pop(address, None)
        if task is not None and task.status == "pending":
            task.suspicious += 1
            if task.suspicious >= self.tries:
                self.scheduled(lambda: task.end("error", error=KilledWorker(task.key)))
            else:
                self.scheduled(lambda: self.queue(task))
        k = int(address.split(":")[1].removeprefix("//node"))
        self.after(30.0, lambda: self.join(k))

    def queue(self, task: Future) -> None:
        if not self.gone and task.status == "pending":
            self.waiting.append(task)
            self.assign()

    def assign(self) -> None:
        while self.waiting and self.idle:
            task, address = self.waiting.popleft(), self.idle.popleft()
            self.running[address] = task
            self.attempts[task.key] += 1
            work_s = self.random.uniform(5.0, 10.0) * self.alive[address]
            self.after(work_s, lambda a=address, t=task: self.work(a, t))

    def work(self, address: str, task: Future) -> None:
        if self.running.get(address) is not task or self.gone:
            return  # the worker died before
        if task.status == "cancelled":  # it ends at a tick
            del self.running[address]
            self.idle.append(address)
            self.scheduled(self.assign)
            return
        distributed = sys.modules["distributed"]
        distributed.get_worker = lambda: SimpleNamespace(
            address=address,
            get_current_task=lambda: task.key,
            log_event=lambda topic, event: self.scheduled(
                lambda: self.topics.get(topic, lambda _: None)((self.now_s, event))
            ),
            state=self.state(address),
        )
        try:
            value = task.call()
        except WorkerDies:
            self.die(address)
            return
        except Exception as error:
            task.left -= 1
            outcome = (
                (lambda: self.queue(task))
                if task.left >= 0
                else (lambda error=error: task.end("error", error=error))
            )
        else:
            outcome = lambda: task.end("finished", value=value)  # noqa: E731
        del self.running[address]
        self.idle.append(address)
        self.scheduled(outcome)
        self.scheduled(self.assign)

    def state(self, address: str) -> SimpleNamespace:
        """Return what a worker knows of its task."""
        task = self.running.get(address)
        executing = SimpleNamespace(state="executing")
        return SimpleNamespace(tasks={} if task is None else {task.key: executing})

    def lose_scheduler(self) -> None:
        self.gone = True
        for task in self.futures:
            if task.status == "pending":
                task.end("cancelled")

    # -- what the layer sees --------------------------------------------------------------------

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
        """Put the cluster in the place of ``distributed``."""
        cluster = self

        class Client:
            def __init__(self, **_address: object) -> None: ...
            @property
            def status(self) -> str:
                return "connecting" if cluster.gone else "running"

            def __enter__(self) -> Client:
                return self

            def __exit__(self, *_error: object) -> None: ...
            def wait_for_workers(self, _count: int, timeout: float) -> None: ...
            def nthreads(self) -> dict[str, int]:
                return dict.fromkeys(cluster.alive, 1)

            def run(self, call: Callable[..., Any], *words: Any, on_error: str) -> dict[str, Any]:
                asks = "dask_worker" in inspect.signature(call).parameters
                return {
                    address: call(*words, SimpleNamespace(state=cluster.state(address)))
                    if asks
                    else call(*words)
                    for address in cluster.alive
                }

            def processing(self) -> dict[str, tuple[str, ...]]:
                wanted = {a: t for a, t in cluster.running.items() if t.status == "pending"}
                return {address: (task.key,) for address, task in wanted.items()}

            def scheduler_info(self) -> dict[str, Any]:
                return {"workers": cluster.alive}

            def subscribe_topic(self, topic: str, call: Callable[[Any], None]) -> None:
                cluster.topics[topic] = call

            def unsubscribe_topic(self, topic: str) -> None:
                del cluster.topics[topic]

            def submit(self, call: Any, *words: Any, key: str, retries: int, pure: bool) -> Future:
                task = Future(lambda: call(*words), key, retries)
                cluster.futures.append(task)
                cluster.scheduled(lambda: cluster.queue(task))
                return task

            def cancel(self, futures: list[Future], force: bool) -> None:
                for task in futures:
                    task.status = "cancelled"
                cluster.waiting = deque(t for t in cluster.waiting if t.status == "pending")

        class Queue:
            def __init__(self) -> None:
                self.items: deque[Any] = deque()

            def put(self, item: Any) -> None:
                self.items.append(item)

            def get(self, timeout: float) -> Any:
                until_s = cluster.now_s + timeout
                while not self.items:
                    if not cluster.advance(until_s):
                        raise queue.Empty
                return self.items.popleft()

        distributed = SimpleNamespace(
            Client=Client, KilledWorker=KilledWorker, CancelledError=CancelledError
        )
        monkeypatch.setitem(sys.modules, "distributed", distributed)
        monkeypatch.setattr(layer, "queue", SimpleNamespace(SimpleQueue=Queue, Empty=queue.Empty))

        def sleep(seconds: float) -> None:
            until_s = cluster.now_s + seconds
            while cluster.advance(until_s):
                pass

        clock = SimpleNamespace(monotonic=lambda: cluster.now_s, sleep=sleep)
        monkeypatch.setattr(layer, "time", clock)
        return self
