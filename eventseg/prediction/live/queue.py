"""Bounded hand-over of items from one thread to the next, by a stated rule."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

Item = TypeVar("Item")

QueueRule = Literal["latest", "all"]

WAIT_S = 0.5
"""Longest wait before an interrupt is looked for."""


class Handover(Generic[Item]):
    """Bounded queue between two threads.

    Parameters
    ----------
    depth : int
        Most items that wait.
    rule : {"latest", "all"}
        Rule of a full queue: the oldest item is dropped, or the sender waits.
    """

    def __init__(self, depth: int, rule: QueueRule) -> None:
        self._depth, self._rule = depth, rule
        self._items: deque[Item] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False

    @property
    def full(self) -> bool:
        """Whether another item would drop one, or wait."""
        return len(self._items) >= self._depth

    def put(self, item: Item) -> int:
        """Hand an item over, and return the number of older ones that it drops."""
        dropped = 0
        with self._changed:
            if self._rule == "all":
                self._wait(lambda: not self.full or self._stopped)
            while self.full and not self._stopped:
                self._items.popleft()
                dropped += 1
            self._items.append(item)
            self._changed.notify_all()
        return dropped

    def take_all(self) -> list[Item]:
        """Return all items that wait, at least one; none at the end."""
        with self._changed:
            self._wait(lambda: bool(self._items) or self._ended or self._stopped)
            items = [] if self._stopped else list(self._items)
            self._items.clear()
            self._changed.notify_all()
        return items

    def take(self) -> Item | None:
        """Return the oldest item, or None at the end."""
        with self._changed:
            self._wait(lambda: bool(self._items) or self._ended or self._stopped)
            item = self._items.popleft() if self._items and not self._stopped else None
            self._changed.notify_all()
        return item

    def end(self) -> None:
        """Tell the receiver that no item follows."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Wake both sides; what waits is given up."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _wait(self, ready: Callable[[], bool]) -> None:
        while not ready():
            self._changed.wait(WAIT_S)
