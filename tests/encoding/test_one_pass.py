"""Recordings encoded in one pass, in threads and in processes: the tensors of each window alone."""

from __future__ import annotations

import multiprocessing
from functools import partial

import numpy as np
import pytest
from encoding.tensor_fixtures import SIZE, Memory, random_stream, windows

from eventseg.encoding import tensors
from eventseg.encoding.one_pass import encode_counted, encode_recording
from eventseg.encoding.tensors import encode, encode_windows
from eventseg.events import EventStream


def test_threads_and_slices_give_the_same_bits():
    events = random_stream(60_000)
    t1 = events.t0_us + np.arange(1, 41) * 10_000
    for width in (4_000, 10_000, 50_000, 250_000):
        cut = windows(t1 - width, t1)
        one = encode_windows(events, cut)
        for threads in (2, 3, 64):
            np.testing.assert_array_equal(one, encode_windows(events, cut, threads=threads))
        alone = [encode_windows(events, windows([a], [a + width]))[0] for a in cut.t0_us]
        np.testing.assert_array_equal(one, alone)
        np.testing.assert_array_equal(
            one[30], encode(events, window=(int(cut.t0_us[30]), int(cut.t1_us[30])))
        )


def test_recording_in_one_pass_equals_each_window_alone(monkeypatch):
    events = random_stream(40_000, span_us=900_000)
    ends = events.t0_us + np.arange(1, 60) * 17_001
    cuts = [windows(ends - width, ends) for width in (10_000, 50_000, 250_000)]
    skip = np.arange(59) % 3 == 1
    expected = [encode_windows(events, cut, rows=(1, 6)) for cut in cuts]
    # Small batches, so that events are carried over from one to the next.
    monkeypatch.setattr("eventseg.encoding.batches.BATCH_BYTES", 50_000)
    for pieces in (1, 7, 90):
        seen = []
        for sample in encode_recording(
            Memory(events, pieces), cuts, rows=(1, 6), threads=2, skip=skip
        ):
            seen.append(sample.index)
            if skip[sample.index]:
                assert sample.tensors == ()
            for made, whole in zip(sample.tensors, expected, strict=bool(sample.tensors)):
                np.testing.assert_array_equal(made, whole[sample.index])
            assert sample.counts == tuple(
                len(events.between(int(cut.t0_us[sample.index]), int(cut.t1_us[sample.index])))
                for cut in cuts
            )
        assert seen == list(range(59))


class Packets(Memory):
    """A recording whose spans threads may read side by side; it cannot be streamed."""

    packet_events = 500

    def __init__(self, events):
        super().__init__(events)
        self.whole, self.asked = events, []
        self.events = self.between

    def between(self, t0_us, t1_us):
        self.asked.append((t0_us, t1_us))
        return self.whole.between(t0_us, t1_us)

    def stream(self, **_):
        raise AssertionError("read in one stream")


def test_workers_read_the_events_of_their_own_windows(monkeypatch):
    events = random_stream(40_000, span_us=900_000)
    # Some windows begin before the first event or end after the last one, and some hold none.
    t1 = events.t0_us + np.arange(-200, 290) * 10_007
    cut = windows(t1 - 10_000, t1)
    skip = np.arange(len(t1)) % 7 == 3
    expected = encode_windows(events, cut)
    held = np.searchsorted(events.t, cut.t1_us) - np.searchsorted(events.t, cut.t0_us)
    monkeypatch.setattr("eventseg.encoding.batches.RUN_EVENTS", 1_000)
    recording = Packets(events)
    samples = encode_recording(recording, [cut], threads=2, skip=skip)
    for i, sample in enumerate(samples):
        assert sample.index == i
        assert sample.counts == (held[i],)
        assert len(sample.tensors) == (not skip[i])
        for tensor in sample.tensors:
            np.testing.assert_array_equal(tensor, expected[i])
    assert i == len(t1) - 1
    assert 10 < len(recording.asked) < len(t1) / 2
    assert min(a for a, _ in recording.asked) == recording.t_first_us


def test_windows_that_share_events_are_read_once():
    events = random_stream(4_000)
    ends = events.t0_us + np.arange(1, 20) * 10_000
    with pytest.raises(AssertionError, match="in one stream"):
        next(encode_recording(Packets(events), [windows(ends - 20_000, ends)]))


def test_a_reader_that_fails_ends_the_encoding(monkeypatch):
    monkeypatch.setattr("eventseg.encoding.batches.RUN_EVENTS", 1_000)

    class Failing(Packets):
        def between(self, t0_us, t1_us):
            if t0_us > self.whole.t0_us + 100_000:
                raise OSError("the disk is gone")
            return super().between(t0_us, t1_us)

    events = random_stream(40_000)
    ends = events.t0_us + np.arange(1, 40) * 10_000
    with pytest.raises(OSError, match="the disk is gone"):
        list(encode_recording(Failing(events), [windows(ends - 10_000, ends)], threads=2))


def test_windows_of_a_fixed_count_hold_every_event_once():
    rng = np.random.default_rng(3)
    t = np.sort(rng.integers(0, 3_000, 10_000))  # many events a microsecond
    events = EventStream.from_arrays(
        t, rng.integers(0, 9, 10_000), rng.integers(0, 7, 10_000), t % 2, sensor=SIZE
    )
    made = [
        (s.index, s.t0_us, s.t1_us, s.count, s.tensor.copy())
        for s in encode_counted(Memory(events), events_per_window=777)
    ]
    assert [row[3] for row in made] == [777] * 12 + [10_000 - 12 * 777]
    assert [row[0] for row in made] == list(range(13))
    for index, t0_us, t1_us, count, tensor in made:
        part = slice(index * 777, index * 777 + count)
        assert (t0_us, t1_us) == (t[part][0], t[part][-1] + 1)
        alone = EventStream.from_arrays(
            t[part], events.x[part], events.y[part], events.p[part], sensor=SIZE
        )
        np.testing.assert_array_equal(tensor, encode(alone))


def _encode_in_child(queue):
    queue.put(
        encode_windows(random_stream(), windows([77_000, 80_000], [90_000, 93_000]), threads=2)
    )


def test_a_forked_worker_encodes_after_its_parent_did():
    cut = windows([77_000, 80_000], [90_000, 93_000])
    expected = encode_windows(random_stream(), cut, threads=2)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_encode_in_child, args=(queue,))
    child.start()
    made = queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0
    np.testing.assert_array_equal(made, expected)


def test_kernels_release_the_lock_and_are_cached_on_disk():
    from eventseg.kernels import encode as loops

    encode(random_stream())
    for kernel in (loops.encode_packed, loops.encode_wide):
        assert kernel.targetoptions["nogil"] is True
        assert kernel._cache.cache_path


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_job_is_done_once_and_an_error_of_any_is_raised(threads: int) -> None:
    done: list[int] = []
    tensors._share([partial(done.append, k) for k in range(20)], threads=threads)
    assert sorted(done) == list(range(20))

    def fail() -> None:
        raise IndexError("of the job")

    for place in (0, 10, 19):
        jobs = [partial(done.append, k) for k in range(19)]
        jobs.insert(place, fail)
        with pytest.raises(IndexError, match="of the job"):
            tensors._share(jobs, threads=threads)
