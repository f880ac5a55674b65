"""Compiled loops over events and pixels: the only place in the library with encoding kernels.

Every kernel is sequential and releases the GIL; threads are the caller's
(``eventseg.encoding.tensors``).
Parallel loops inside Numba would kill forked data-loader workers (OpenMP) and could not be cached.
"""
