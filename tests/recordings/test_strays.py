"""Damaged times: one bit in an event, in a whole packet or in a header moves nothing else."""

import struct
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from ddd17_files import (
    HOST_T0,
    NO_TIME,
    Row,
    frame_bytes,
    frames,
    imu,
    polarity,
    reset,
    special,
    wrap,
    write_file,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventseg.events import SensorSize
from eventseg.recordings import Recording, open_recording

SENSOR = SensorSize(8, 16)
PACKETS, EVENTS, STEP_US = 60, 10, 10_000
WRAP = 2**31
BITS = [2**k for k in range(20, 31)]

Times = list[list[int]]


def regular(packets: int = PACKETS, *, start_us: int = 40_000_000, step_us: int = STEP_US) -> Times:
    """Times of packets of ten events, 1 ms apart."""
    return [[start_us + k * step_us + 1_000 * i for i in range(EVENTS)] for k in range(packets)]


def rows_of(times: Times, overflows: Sequence[int] | None = None) -> list[Row]:
    """Packets whose host times are those of an undamaged file."""
    return [
        polarity(
            [(t, i % 16, k % 8, i % 2) for i, t in enumerate(packet)],
            overflow=0 if overflows is None else overflows[k],
            host=HOST_T0 + k * STEP_US + 9_500,
        )
        for k, packet in enumerate(times)
    ]


def read(path: Path, rows: list[Row]) -> Recording:
    rec = open_recording(write_file(path, rows), sensor=SENSOR)
    report = rec.report
    assert (
        report.kept["events"] + sum(report.skipped.get("events", {}).values())
        == (report.found["events"])
    )
    assert rec.n_events == len(rec.events()) == report.kept["events"]
    assert sum(map(len, rec.stream(max_events=7))) == rec.n_events
    return rec


def strays(rec: Recording) -> int:
    skipped = rec.report.skipped.get("events", {})
    return sum(count for reason, count in skipped.items() if "time stamp" in reason)


@pytest.mark.parametrize(
    "shift",
    [2**20, -(2**25)]
    + [pytest.param(shift, marks=pytest.mark.slow) for shift in (2**25, 2**30, -(2**20))],
)
@pytest.mark.parametrize("packet", [0, 1, 20, PACKETS - 1])
@pytest.mark.parametrize("event", [0, 4, EVENTS - 1])
def test_an_event_alone_is_skipped(tmp_path: Path, packet: int, event: int, shift: int) -> None:
    times = regular()
    expected = sorted(t for part in times for t in part)
    expected.remove(times[packet][event])
    times[packet][event] += shift
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert rec.events().t.tolist() == expected
    assert strays(rec) == 1
    assert (rec.t_first_us, rec.t_last_us) == (expected[0], expected[-1])
    assert len(rec.epochs) == 1
    assert rec.gaps == []


@pytest.mark.parametrize("shift", [2**17, 2**18, 2**19])
def test_a_tenth_of_a_second_is_enough_in_a_dense_packet(tmp_path: Path, shift: int) -> None:
    times = regular()
    times[-1][-1] += shift
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert (strays(rec), rec.t_last_us) == (1, times[-1][-2])


def test_several_strays_in_one_packet_and_in_neighbours(tmp_path: Path) -> None:
    times = regular()
    for packet, event, shift in [
        (20, 0, 2**25), (20, 3, -(2**22)), (20, 9, 2**29), (20, 5, 2**25),
        (21, 2, 2**21), (22, 0, -(2**25)), (40, 1, 2**30), (0, 0, 2**24), (59, 9, 2**24),
    ]:  # fmt: skip
        times[packet][event] += shift
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert (rec.n_events, strays(rec)) == (PACKETS * EVENTS - 9, 9)
    assert rec.t_last_us - rec.t_first_us == 600_000 - 1_000 - 1_000 - 1_000
    assert len(rec.epochs) == 1


def test_most_events_of_a_packet_between_sound_ones(tmp_path: Path) -> None:
    times = regular()
    for event in range(7):
        times[20][event] += 2**25
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert (rec.n_events, strays(rec)) == (PACKETS * EVENTS - 7, 7)


@pytest.mark.parametrize("shift", [2**21, 2**25, -(2**21), -(2**25)])
@pytest.mark.parametrize("span", [(0, 1), (20, 21), (30, 33), (0, 1, 20, 22)])
def test_whole_packets_off_are_skipped(tmp_path: Path, span: tuple[int, ...], shift: int) -> None:
    off = [k for a, b in zip(span[::2], span[1::2], strict=True) for k in range(a, b)]
    times = regular()
    expected = [t for k, part in enumerate(times) if k not in off for t in part]
    for k in off:
        times[k] = [t + shift for t in times[k]]
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert rec.events().t.tolist() == expected
    assert strays(rec) == EVENTS * len(off)
    assert len(rec.epochs) == 1


def test_a_last_packet_ahead_that_the_host_denies(tmp_path: Path) -> None:
    times = regular()
    times[-1] = [t + 2**25 for t in times[-1]]
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert (rec.t_last_us, strays(rec)) == (times[-2][-1], EVENTS)


@pytest.mark.parametrize(
    ("packet", "right", "wrong"),
    [
        *((packet, 0, wrong) for packet in (0, 1, 20, PACKETS - 1) for wrong in (1, 2**13)),
        *((packet, 5, wrong) for packet in (0, 1, 20) for wrong in (4, 7, 1)),
    ],
)
def test_an_overflow_word_is_put_right(tmp_path: Path, packet: int, right: int, wrong: int) -> None:
    overflows = [right] * PACKETS
    overflows[packet] = wrong
    rec = read(tmp_path / "rec.hdf5", rows_of(regular(), overflows))
    assert rec.events().t.tolist() == [t + right * WRAP for part in regular() for t in part]
    assert len(rec.epochs) == 1
    assert sum(rec.report.repaired.values()) == 1


def test_overflow_words_of_frames_and_samples_are_put_right(tmp_path: Path) -> None:
    rows = rows_of(regular())
    pixels = np.zeros(SENSOR)
    t = 40_105_000
    body = frame_bytes(pixels, (t - 900, t, t - 800, t - 100), size=36 + 2 * 8 * 16)
    rows.insert(11, frames([body], overflow=3))
    rows.insert(31, imu([(40_290_000, 1.0)], overflow=2))
    rec = read(tmp_path / "rec.hdf5", rows)
    assert rec.frames.t_end_us.tolist() == [t]
    assert rec.imu()["t"].tolist() == [40_290_000]


def test_a_wrap_and_a_reset_are_no_damage(tmp_path: Path) -> None:
    near = regular(20, start_us=WRAP - 200_000)
    rows = [*rows_of(near), wrap(), *rows_of(regular(20, start_us=0), [1] * 20)]
    rec = read(tmp_path / "wrap.hdf5", rows)
    assert (rec.n_events, rec.t_last_us - rec.t_first_us) == (400, 399_000)
    again = [(host + 200_000, *rest) for host, *rest in rows_of(regular(20, start_us=100))]
    rows = [*rows_of(regular(20)), reset(host=HOST_T0 + 200_000), *again]
    rec = read(tmp_path / "reset.hdf5", rows)  # type: ignore[arg-type]
    assert (rec.n_events, rec.t_last_us - rec.t_first_us) == (400, 399_000)
    assert not rec.report.skipped.get("events")


def test_a_long_pause_is_no_damage(tmp_path: Path) -> None:
    times = regular(20) + regular(1, start_us=140_000_000) + regular(20, start_us=240_000_000)
    rows = [
        (HOST_T0 + packet[-1], *rest)
        for packet, (_, *rest) in zip(times, rows_of(times), strict=True)
    ]
    rec = read(tmp_path / "rec.hdf5", rows)  # type: ignore[arg-type]
    assert (rec.n_events, len(rec.epochs), len(rec.gaps)) == (410, 1, 2)


def test_a_sparse_packet_keeps_its_pause(tmp_path: Path) -> None:
    rows = [polarity([(0, 1, 1, 1), (5_000_000, 1, 1, 1), (9_000_000, 1, 1, 1)])]
    assert read(tmp_path / "rec.hdf5", rows).events().t.tolist() == [0, 5_000_000, 9_000_000]


@pytest.mark.parametrize(
    "shift", [2**13, 2**15, *(pytest.param(2**k, marks=pytest.mark.slow) for k in (14, 16))]
)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("packet", [1, 20, PACKETS - 2])
@pytest.mark.parametrize("event", [0, 4, EVENTS - 1])
def test_an_event_out_of_order_is_skipped_unless_in_its_packet(
    tmp_path: Path, packet: int, event: int, shift: int, sign: int
) -> None:
    times = regular()
    sound = sorted(t for part in times for t in part)
    rest = [t for t in times[packet] if t != times[packet][event]]
    wrong = times[packet][event] + sign * shift
    times[packet][event] = wrong
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    found = rec.events().t.tolist()
    beyond = max(rest[0] - wrong, wrong - rest[-1])
    if beyond > 2_000 and (0 < event < EVENTS - 1 or beyond > 4_000):
        assert (strays(rec), wrong in set(found) - set(sound)) == (1, False)
    expected = [t for t in sound if t in set(found)]
    assert len(expected) == len(sound) - 1  # all others stay where they are
    assert abs(rec.t_first_us - sound[0]) + abs(rec.t_last_us - sound[-1]) == 0


@pytest.mark.parametrize("shift", [2**15, 2**16])
@pytest.mark.parametrize("at_begin", [True, False])
def test_the_ends_of_a_clock_are_no_longer_than_its_packets(
    tmp_path: Path, at_begin: bool, shift: int
) -> None:
    times = regular()
    if at_begin:
        times[0][0] -= shift
    else:
        times[-1][-1] += shift
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert strays(rec) == 1
    span = rec.t_first_us, rec.t_last_us
    assert span == (times[0][at_begin], times[-1][-1 if at_begin else -2])


def test_a_swap_of_two_times_is_left_to_the_sort(tmp_path: Path) -> None:
    """Either of the two may be the damaged one."""
    times = regular(1, step_us=40_000)
    times[0] = [40_000_000 + 5_000 * i for i in range(EVENTS)]
    times[0][8] += 6_000
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert (strays(rec), rec.events().t.tolist()) == (0, sorted(times[0]))


def test_a_file_out_of_order_keeps_its_events(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = [rng.permutation(part).tolist() for part in regular(step_us=9_000)]
    rec = read(tmp_path / "rec.hdf5", rows_of(times))
    assert rec.events().t.tolist() == sorted(t for part in times for t in part)


NEW_CLOCK: Times = regular(30, start_us=200)


@pytest.mark.parametrize(
    "mark",
    [
        reset(host=HOST_T0 + 300_000),  # a wrap whose type has a flipped bit
        special([(40_300_000, 1, 5)]),  # an input edge turned into a reset
        special([(40_300_000 + k, k % 2, 0) for k in range(9)]),  # events of another kind
    ],
)
def test_a_false_reset_restarts_nothing(tmp_path: Path, mark: Row) -> None:
    rows = rows_of(regular())
    sound = read(tmp_path / "sound.hdf5", rows)
    rec = read(tmp_path / "rec.hdf5", [*rows[:30], mark, *rows[30:]])
    assert rec.events().to_records().tolist() == sound.events().to_records().tolist()
    assert len(rec.epochs) == 1
    assert len(rec.specials) == 0
    assert sum(rec.report.skipped["specials"].values()) == rec.report.found["specials"]


@pytest.mark.parametrize("kind", [0, 1, 3, 5, 9, 17, 33, 65])
@pytest.mark.parametrize("stamp", [NO_TIME, NO_TIME ^ 2**4, NO_TIME ^ 2**30])
def test_a_reset_of_another_type_or_stamp_restarts_the_clock(
    tmp_path: Path, kind: int, stamp: int
) -> None:
    late = [(HOST_T0 + 300_000 + (host - HOST_T0), *rest) for host, *rest in rows_of(NEW_CLOCK)]
    mark = special([(stamp, kind, 0)], host=HOST_T0 + 300_000)
    before = rows_of(regular(30))
    sound = read(tmp_path / "sound.hdf5", [*before, reset(host=HOST_T0 + 300_000), *late])
    rec = read(tmp_path / "rec.hdf5", [*before, mark, *late])
    assert rec.events().to_records().tolist() == sound.events().to_records().tolist()
    assert len(rec.epochs) == len(sound.epochs) == 2


def test_a_reset_after_a_long_pause_is_one(tmp_path: Path) -> None:
    """The new clock is ahead of the old one, and the host says that it began anew."""
    later = regular(30, start_us=90_000_000)
    rows = rows_of(regular(30))
    late = [(HOST_T0 + 3_600_000_000 + k * STEP_US, *rest) for k, (_, *rest) in
            enumerate(rows_of(later))]  # fmt: skip
    rec = read(tmp_path / "rec.hdf5", [*rows, reset(host=HOST_T0 + 3_500_000_000), *late])
    assert [epoch.reason for epoch in rec.epochs] == ["start", "reset"]


def frame_rows(stamps: list[tuple[int, int, int, int]]) -> list[Row]:
    rows = rows_of(regular())
    size = 36 + 2 * SENSOR[0] * SENSOR[1]
    for k, four in reversed(list(enumerate(stamps))):
        body = frame_bytes(np.full(SENSOR, 256 * k), four, size=size)
        rows.insert(5 * (k + 1) + 1, frames([body], host=HOST_T0 + 50_000 * (k + 1)))
    return rows


FRAMES = [
    (end - 22_000, end, end - 21_000 - 300 * k, end - 2_000)
    for k, end in enumerate(range(40_050_000, 40_600_000, 50_000))
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return read(tmp_path_factory.mktemp("sound") / "sound.hdf5", frame_rows(FRAMES))


@pytest.mark.parametrize("frame", [0, 4, 10])
@pytest.mark.parametrize("stamp", [0, 1, 2, 3])
@pytest.mark.parametrize(
    "bit",
    [
        pytest.param(bit, marks=[pytest.mark.slow] * (bit not in (12, 24, 30, 31)))
        for bit in (12, 13, 16, 20, 23, 24, 28, 29, 30, 31)
    ],
)
def test_a_flipped_bit_in_a_stamp_of_a_frame_moves_no_frame(
    tmp_path: Path, sound: Recording, frame: int, stamp: int, bit: int
) -> None:
    damaged = [list(four) for four in FRAMES]
    flipped = np.array([damaged[frame][stamp]], np.int32) ^ np.array([1 << bit]).astype(np.int32)
    damaged[frame][stamp] = int(flipped[0])
    rec = read(tmp_path / "rec.hdf5", frame_rows([tuple(four) for four in damaged]))  # type: ignore[misc]
    assert rec.frames.t_us.tolist() == sound.frames.t_us.tolist()
    if bit < 31:  # one without a sign is an absent end, which has a rule of its own
        assert rec.frames.t_end_us.tolist() == sound.frames.t_end_us.tolist()
    assert (rec.t_first_us, rec.t_last_us) == (sound.t_first_us, sound.t_last_us)
    assert rec.events().to_records().tolist() == sound.events().to_records().tolist()


flips = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@flips
@given(
    st.integers(0, PACKETS - 1),
    st.integers(0, EVENTS - 1),
    st.integers(0, 63),
    st.sampled_from([None, 25, 40]),
)
def test_a_flipped_bit_in_one_event_changes_that_event_only(
    packet: int, event: int, bit: int, restart: int | None
) -> None:
    """The others keep times, pixels and polarities, across a restart of the clock too."""
    times = regular()
    if restart is not None:
        for k in range(restart, PACKETS):
            times[k] = [t - 40_000_000 - restart * STEP_US + 200 for t in times[k]]
    rows = rows_of(times)
    if restart is not None:
        rows.insert(restart, reset(host=HOST_T0 + restart * STEP_US))
    place = packet + (restart is not None and packet >= restart)
    host, head, payload = rows[place]
    (word,) = struct.unpack_from("<Q", payload, 8 * event)
    flipped = bytearray(payload)
    struct.pack_into("<Q", flipped, 8 * event, word ^ 1 << bit)
    with TemporaryDirectory() as folder:
        sound = read(Path(folder) / "sound.hdf5", rows)
        rows[place] = host, head, bytes(flipped)
        damaged = read(Path(folder) / "damaged.hdf5", rows)
        before = sound.events().to_records().tolist()
        after = damaged.events().to_records().tolist()
        missing = set(before) - set(after)
        added = set(after) - set(before)
        assert len(missing) == 1
        assert len(added) <= 1
        assert len(after) == len(before) - 1 + len(added)
        assert len(damaged.epochs) == len(sound.epochs)
        # Twice the length of a packet, 9 ms, and 2 ms: see the module on order.
        assert abs(damaged.t_last_us - sound.t_last_us) <= 20_000
        assert abs(damaged.t_first_us - sound.t_first_us) <= 20_000


@flips
@given(st.integers(0, PACKETS - 1), st.integers(0, 31), st.integers(0, 3))
def test_a_flipped_bit_in_an_overflow_word_costs_one_packet_at_most(
    packet: int, bit: int, overflow: int
) -> None:
    rows = rows_of(regular(), [overflow] * PACKETS)
    host, head, payload = rows[packet]
    flipped = bytearray(head)
    (word,) = struct.unpack_from("<I", head, 12)
    struct.pack_into("<I", flipped, 12, word ^ 1 << bit)
    with TemporaryDirectory() as folder:
        sound = read(Path(folder) / "sound.hdf5", rows).events().to_records().tolist()
        rows[packet] = host, bytes(flipped), payload
        damaged = read(Path(folder) / "damaged.hdf5", rows).events().to_records().tolist()
    lost = set(sound) - set(damaged)
    assert len(lost) <= EVENTS
    assert len(damaged) in (len(sound), len(sound) - EVENTS)
