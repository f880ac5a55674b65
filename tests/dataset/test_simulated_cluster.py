"""The jobs layer on a cluster of fifty slow workers that die, with a slow scheduler, in no time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from fake_cluster import FakeCluster, WorkerDies

from eventseg.dataset.jobs.cluster import DaskWorkers
from eventseg.dataset.jobs.job import Tick
from eventseg.errors import ClusterError, JobsError, OutputError

pytest.importorskip("dask")

JOBS, TRIES = 400, 3
FAILS, KILLS, PASSES_LATER = 123, 321, 200

TRIED: Counter[int] = Counter()
DONE: Counter[int] = Counter()
"""Times that each job was begun, and done to its end, in any worker."""


def write(job: tuple[int, Path], tick: Tick) -> int:
    """Write a file as a piece of work does: whole, and the same however often."""
    number, folder = job
    TRIED[number] += 1
    if number == FAILS:
        raise ValueError("a bit\nflipped")
    if number == KILLS:
        raise WorkerDies
    if number == PASSES_LATER and TRIED[number] == 1:
        raise OSError("the disk is away")
    tick(1.0)
    (folder / f"{number}.txt").write_text(str(number))
    DONE[number] += 1
    return number


def run(folder: Path, numbers: list[int], progress: list[float]) -> Counter[tuple[int, int]]:
    results: Counter[tuple[int, int]] = Counter()
    with DaskWorkers("tcp://made-up:8786", tries=TRIES, folder=folder) as pool:
        assert pool.slots == 50
        pool.run(
            write,
            [(number, folder) for number in numbers],
            progress=progress.append,
            finished=lambda index, number: results.update([(index, number)]),
            title=lambda index: f"piece {numbers[index]}",
        )
    return results


@pytest.fixture(autouse=True)
def _nothing_done() -> None:
    TRIED.clear()
    DONE.clear()


@pytest.mark.parametrize("seed", range(3))
def test_every_piece_is_in_the_result_once_and_lost_ones_are_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # A worker dies after six pieces, in the mean.
    cluster = FakeCluster(workers=50, lifetime_s=150, step_s=0.05, tries=TRIES, seed=seed)
    cluster.install(monkeypatch)
    numbers = [number for number in range(JOBS) if number not in (FAILS, KILLS)]
    progress: list[float] = []
    results = run(tmp_path, numbers, progress)
    assert results == Counter(enumerate(numbers))
    assert {int(path.stem) for path in tmp_path.iterdir()} == set(numbers)
    assert cluster.losses > 10
    repeated = [key for key, count in cluster.attempts.items() if count > 1]
    assert 1 < len(repeated) <= cluster.losses + 1
    assert TRIED[PASSES_LATER] >= 2
    # Workers are busy: the work of all pieces, by their mean speed, with room for losses.
    assert cluster.now_s < 3 * JOBS * 7.5 * 3 / 50
    assert progress[-1] == len(numbers)
    assert all(0 <= amount <= len(numbers) for amount in progress)


def test_poison_is_named_with_its_cause_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(workers=50, lifetime_s=400, step_s=0.05, tries=TRIES)
    cluster.install(monkeypatch)
    with pytest.raises(JobsError) as failed:
        run(tmp_path, list(range(JOBS)), [])
    text = str(failed.value)
    assert (
        f"2 of {JOBS} jobs failed, the other {JOBS - 2} done; run again to try the failed" in text
    )
    assert f"piece {FAILS}: ValueError: a bit flipped ({TRIES} tries)" in text
    assert f"piece {KILLS}: a worker process was killed" in text
    assert {int(path.stem) for path in tmp_path.iterdir()} == set(range(JOBS)) - {FAILS, KILLS}
    attempts = {
        key.split("-")[2]: count for key, count in cluster.attempts.items() if "alone" not in key
    }
    assert attempts[str(FAILS)] >= TRIES
    # Beside others, and once more alone, since what stood beside it may have been the killer.
    assert any(key.endswith(f"{KILLS}-alone") for key in cluster.attempts)


def test_a_lost_scheduler_is_one_error_and_the_next_run_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(workers=50, lifetime_s=1e9, step_s=0.05, tries=TRIES)
    cluster.install(monkeypatch)
    cluster.after(60.0, cluster.lose_scheduler)
    numbers = [number for number in range(JOBS) if number not in (FAILS, KILLS, PASSES_LATER)]
    with pytest.raises(ClusterError, match=r"made-up:8786 was lost; run again to resume") as lost:
        run(tmp_path, numbers, [])
    assert "\n" not in str(lost.value)
    there = {int(path.stem) for path in tmp_path.iterdir()}
    assert 0 < len(there) < len(numbers)
    left = [number for number in numbers if number not in there]
    FakeCluster(workers=50, lifetime_s=1e9, step_s=0.05, tries=TRIES).install(monkeypatch)
    assert sorted(number for _, number in run(tmp_path, left, [])) == left
    assert set(DONE.values()) == {1}


def test_a_cluster_whose_workers_are_all_gone_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(workers=50, lifetime_s=1e9, step_s=0.05, tries=TRIES)
    cluster.install(monkeypatch)

    def all_die() -> None:
        cluster.gone = True
        cluster.alive.clear()

    cluster.after(30.0, all_die)
    with pytest.raises(ClusterError, match="has lost all its workers; start some and run again"):
        run(tmp_path, list(range(100)), [])


def test_an_output_that_fails_ends_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(workers=50, lifetime_s=1e9, step_s=0.05, tries=TRIES)
    cluster.install(monkeypatch)
    monkeypatch.setattr(Path, "write_text", _full)
    with pytest.raises(OutputError, match="no space left"):
        run(tmp_path, list(range(JOBS)), [])
    assert cluster.attempts.total() <= 2 * 50


def _full(*_arguments: object) -> None:
    raise OutputError("no space left")
