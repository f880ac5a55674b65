"""The decorator of all compiled functions, with a cache on disk that cannot do harm.

Numba keeps machine code beside the source or in the user's cache folder. Where neither can be
written, functions are compiled anew by each process; a cached file that is damaged is replaced.
A function that is compiled is announced on the logger of this module, as it can take long. Of
processes that need the same function one compiles it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import pickle
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile, NullCache
from numba.core.compiler_lock import global_compiler_lock

from eventseg.kernels import compile_lock

LOGGER = logging.getLogger(__name__)
"""Logger that gets a message of level INFO before a function is compiled."""

DIGEST_BYTES = hashlib.sha256().digest_size


def compiled(
    function: Callable[..., Any],
    *,
    inner: str | None = "",
    error_model: Literal["python", "numpy"] = "python",
) -> Any:
    """Compile a function to machine code that releases the GIL, cached on disk where possible.

    Parameters
    ----------
    function : function
    inner : str, optional
        Digest of the functions that it closes over: Numba's own digest of them differs from
        process to process. None where there is no such digest, and hence no cache.
    error_model : {"python", "numpy"}
        What a division by zero does: raise an error, or give infinity or NaN.
    """
    dispatcher: Any = njit(nogil=True, error_model=error_model)(function)
    if dispatcher is not function and inner is not None:  # compilation is not switched off
        try:
            dispatcher._cache = CheckedCache(function, inner=inner)
            dispatcher.compile = _alone(dispatcher.compile, dispatcher._cache)
        # Without a folder for its files, Numba raises when the cache is made.
        except (RuntimeError, OSError):
            dispatcher._cache = NoCache()
    return dispatcher


def _alone(compile_: Callable[[Any], Any], cache: CheckedCache) -> Callable[[Any], Any]:
    """Return a compilation, or loading from the cache, that one process does at a time."""

    def compile_alone(sig: Any) -> Any:
        # Numba's lock first: threads of a process queue there, so that processes, which each hold
        # a function and wait for one that it calls, cannot wait for each other.
        with global_compiler_lock, cache.alone():
            return compile_(sig)

    return compile_alone


def vectorised(function: Callable[..., Any]) -> Any:
    """Compile a function of loops that the compiler may turn into vector instructions.

    The check of each division for zero would forbid that, so there is none.
    """
    return compiled(function, error_model="numpy")


def inlined(function: Callable[..., Any]) -> Any:
    """Copy a function into each compiled one that calls it: a loop with a call is no vector loop.

    Machine code is cached with its callers.
    """
    return njit(nogil=True, error_model="numpy", forceinline=True)(function)


class NoCache(NullCache):
    """Cache that keeps nothing, where no folder can be written."""

    def load_overload(self, sig: Any, target_context: Any) -> None:  # noqa: ARG002
        """Announce that a function is compiled."""
        LOGGER.info("compiling the kernels; no folder for Numba's cache can be written")


class CheckedCache(FunctionCache):
    """Cache of one function's machine code that starts anew where its files are damaged."""

    def __init__(self, function: Callable[..., Any], *, inner: str = "") -> None:
        super().__init__(function)
        self._inner = inner
        self._cache_file = CheckedFiles(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def alone(self) -> AbstractContextManager[None]:
        """Hold the function, so that no other process compiles it meanwhile."""
        folder, name = Path(self._cache_path), self._impl.filename_base
        return compile_lock.alone(folder, name, waiting=_announce)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        if not self._inner:
            return super()._index_key(sig, codegen)
        return sig, codegen.magic_tuple(), self._inner

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the compiled function of a signature, or None to have it compiled."""
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # damaged bytes raise errors of any kind
            with contextlib.suppress(OSError):
                self.flush()
        if found is None:
            _announce()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a compiled function, if the files can be written."""
        # A full or read-only disk costs time at the next start and nothing else.
        with contextlib.suppress(Exception):
            super().save_overload(sig, data)


def _announce() -> None:
    LOGGER.info("compiling the kernels, once; this can take half a minute")


class CheckedFiles(IndexDataCacheFile):
    """Files of a cache, each with the digest of its content: damaged code is never run."""

    def _dump(self, obj: object) -> bytes:
        content: bytes = super()._dump(obj)
        return hashlib.sha256(content).digest() + content

    def _load_data(self, name: str) -> Any:
        return pickle.loads(_verified(Path(self._data_path(name)).read_bytes()))

    def _load_index(self) -> dict[Any, str]:
        try:
            with Path(self._index_path).open("rb") as file:
                version = pickle.load(file)
                content = file.read()
        except FileNotFoundError:
            return {}
        if version != self._version:
            return {}
        stamp, overloads = pickle.loads(_verified(content))
        return dict(overloads) if stamp == self._source_stamp else {}


def _verified(content: bytes) -> bytes:
    digest, rest = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(rest).digest() != digest:
        raise ValueError("a cached file is damaged")
    return rest
