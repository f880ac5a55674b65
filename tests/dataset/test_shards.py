"""The same data set by one process, several, a Dask cluster and the shards of a job array."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
from recording_fixtures import tree, write_recording
from stumbling_job import stumble

from eventseg.dataset.check import check_dataset
from eventseg.dataset.jobs import workers as job_workers
from eventseg.dataset.jobs.cluster import DaskWorkers
from eventseg.dataset.jobs.job import Failure, raise_failures
from eventseg.dataset.jobs.local import LocalWorkers
from eventseg.dataset.jobs.shard import Shard
from eventseg.dataset.merge import merge_dataset
from eventseg.dataset.shards import encode_shard
from eventseg.dataset.writer import encode_dataset
from eventseg.errors import (
    ClusterError,
    DatasetError,
    EventsegError,
    JobsError,
    OutputError,
)
from eventseg.files.locks import locked
from eventseg.recordings.progress import Progress

ANCHORS = {
    "frame": {"windows_us": (10_000, 50_000), "filters": "hot,refractory:1ms,background:5ms"},
    "stride:20ms": {"windows_us": 50_000},
    "count:300": {},
    "evsegnet": {"windows_us": (10_000, 50_000)},
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("recordings")
    return [
        write_recording(root / f"{name}.hdf5", frames=frames, events=100 * frames, seed=i)
        for i, (name, frames) in enumerate({"b": 40, "a": 7, "c": 11}.items())
    ]


@pytest.fixture(scope="module")
def straight(recordings: list[Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the data set of each anchor, by one process."""
    root = tmp_path_factory.mktemp("straight")
    for anchor, settings in ANCHORS.items():
        encode_dataset(recordings, root / anchor, anchor=anchor, **settings)
    return {anchor: root / anchor for anchor in ANCHORS}


@pytest.fixture(scope="module")
def cluster():
    """Yield a Dask cluster of four small workers."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=4, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("of", [3, *(pytest.param(of, marks=pytest.mark.slow) for of in (1, 5))])
def test_merged_shards_are_the_run_of_one_process(
    tmp_path: Path, recordings: list[Path], straight: dict[str, Path], anchor: str, of: int
) -> None:
    out = tmp_path / anchor
    for index in range(of, 0, -1):
        encode_shard(recordings, out, shard=f"{index}/{of}", anchor=anchor, **ANCHORS[anchor])
    merge_dataset(out)
    assert _same(out, straight[anchor])


def test_two_processes_share_stretches_of_one_recording(
    tmp_path: Path, recordings: list[Path], straight: dict[str, Path]
) -> None:
    encode_dataset(recordings, tmp_path / "out", workers=2, **ANCHORS["frame"])
    assert _same(tmp_path / "out", straight["frame"])


def test_a_dask_cluster_that_loses_a_worker_gives_the_same_bytes(
    tmp_path: Path, recordings: list[Path], straight: dict[str, Path], cluster
) -> None:
    shown = []
    processes = [worker.pid for worker in cluster.workers.values()]

    def kill_one(now: Progress) -> None:
        shown.append(now)
        if now.stage == "encode" and now.done > 0.2 * now.total and processes:
            os.kill(processes.pop(), signal.SIGKILL)
            processes.clear()

    encode_dataset(
        recordings,
        tmp_path / "out",
        anchor="stride:20ms",
        scheduler=cluster.scheduler_address,
        progress=kill_one,
        **ANCHORS["stride:20ms"],
    )
    assert not processes
    assert tree(tmp_path / "out").keys() == tree(straight["stride:20ms"]).keys()
    assert _same(tmp_path / "out", straight["stride:20ms"])
    assert shown[-1].done == pytest.approx(shown[-1].total)


def _same(left: Path, right: Path) -> bool:
    """Return whether two folders hold the same files, which lie as deep in the same places."""
    one, other = tree(left), tree(right)
    texts = [name for name in one if name.endswith("manifest.toml")]
    for name in texts:  # the paths of the recordings are relative to the folder
        for root, hashes in ((left, one), (right, other)):
            lines = (root / name).read_text().splitlines()
            hashes[name] = "\n".join(line for line in lines if not line.startswith("path = "))
    return one == other


# -- workers that are lost, jobs that fail ------------------------------------------------------


def run_all(pool: object, jobs: list[str], folder: Path) -> dict[int, str]:
    results: dict[int, str] = {}
    with pool:
        pool.run(
            stumble,
            [(what, folder) for what in jobs],
            progress=lambda _: None,
            finished=results.__setitem__,
            title=lambda index: f"part {index}",
        )
    return results


def test_a_lost_worker_costs_its_job_only(tmp_path: Path) -> None:
    jobs = ["good", "die once", "fail once", "well"]
    assert run_all(LocalWorkers(2), jobs, tmp_path) == dict(enumerate(jobs))


def test_a_worker_killed_while_idle_costs_nothing(tmp_path: Path) -> None:
    results: dict[int, str] = {}
    with LocalWorkers(2) as pool:
        for names in (("good", "well"), ("fine", "so on")):
            for worker in pool._pools:
                (process,) = worker._processes.values()
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                while not worker._broken:
                    time.sleep(0.01)
            jobs = [(what, tmp_path) for what in names]
            pool.run(stumble, jobs, progress=lambda _: None, finished=results.__setitem__)
    assert results == {0: "fine", 1: "so on"}
    assert len((tmp_path / "fine").read_text().split()) == 1, "done once"


def test_poisoned_jobs_are_named_with_their_causes_and_the_others_done(tmp_path: Path) -> None:
    results: dict[int, str] = {}
    jobs = [(what, tmp_path) for what in ("broken", "good", "fail", "die", "well")]
    with (
        LocalWorkers(2, tries=2) as pool,
        pytest.raises(JobsError) as failed,
    ):
        pool.run(stumble, jobs, progress=lambda _: None, finished=results.__setitem__)
    assert results == {1: "good", 4: "well"}
    text = str(failed.value)
    assert "3 of 5 jobs failed, the other 2 done" in text
    assert "job 1: rec.hdf5 is cut short;" in text
    assert "job 3: ValueError: a bit flipped (2 tries)" in text
    assert "job 4: a worker process was killed" in text


@pytest.mark.parametrize("workers", [1, 2])
def test_an_output_that_fails_ends_all(tmp_path: Path, workers: int) -> None:
    with pytest.raises(OutputError, match="no space left"):
        run_all(LocalWorkers(workers), ["full", "good"], tmp_path)


def test_many_failures_are_one_line() -> None:
    failures = [Failure(index, 1, ValueError("x" * 10)) for index in range(9)]
    with pytest.raises(JobsError, match=r"9 of 9 jobs failed, none is done.*and 4 more$"):
        raise_failures(failures, jobs=9, title=None)


def test_dask_takes_over_from_lost_workers_and_names_poison(tmp_path: Path, cluster) -> None:
    address = cluster.scheduler_address
    jobs = ["good", "die once", "fail once", "well"]
    assert run_all(DaskWorkers(address), jobs, tmp_path) == dict(enumerate(jobs))
    for poison, cause in (("fail", "ValueError: a bit flipped"), ("die", "a worker .* killed")):
        with pytest.raises(JobsError, match=f"1 of 2 jobs failed, .*part 0: {cause}"):
            run_all(DaskWorkers(address, tries=2), [poison, "well"], tmp_path)
    with pytest.raises(OutputError, match="no space left"):
        run_all(DaskWorkers(address), ["full", "good"], tmp_path)
    with pytest.raises(ClusterError, match=r"does not see .*/elsewhere"):
        run_all(DaskWorkers(address, folder=tmp_path / "elsewhere"), ["good"], tmp_path)


def test_a_worker_lost_after_its_job_costs_nothing(tmp_path: Path, cluster) -> None:
    results: dict[int, str] = {}

    def finished(index: int, result: str) -> None:
        results[index] = result
        if result == "good":
            time.sleep(0.5)  # the scheduler is told in the background
            os.kill(int((tmp_path / "good").read_text()), signal.SIGKILL)
            time.sleep(1)
            (tmp_path / "enough").touch()

    jobs = [(what, tmp_path) for what in ("good", "go on")]
    with DaskWorkers(cluster.scheduler_address) as pool:
        pool.run(stumble, jobs, progress=lambda _: None, finished=finished)
    assert results == {0: "good", 1: "go on"}
    assert len((tmp_path / "good").read_text().split()) == 1, "done once"


def test_no_job_writes_on_behind_a_run_that_has_failed(tmp_path: Path, cluster) -> None:
    with pytest.raises(OutputError, match="no space left"):
        run_all(DaskWorkers(cluster.scheduler_address), ["full beside another", "go on"], tmp_path)
    assert (tmp_path / "stopped").exists()


def test_a_worker_lost_before_its_version_is_known_is_left_out(
    monkeypatch: pytest.MonkeyPatch, cluster
) -> None:
    client = pytest.importorskip("distributed").Client
    found: dict[str, object] = {"tcp://lost:1": OSError("timed out")}
    asked = client.run
    monkeypatch.setattr(client, "run", lambda *a, **k: asked(*a, **k) | found)
    with DaskWorkers(cluster.scheduler_address):
        pass
    found["tcp://without:1"] = ModuleNotFoundError("eventseg")
    with pytest.raises(ClusterError, match="worker tcp://without:1 has no eventseg"):
        DaskWorkers(cluster.scheduler_address)


def test_a_cluster_that_is_not_there_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster_module = pytest.importorskip("eventseg.dataset.jobs.cluster")
    pytest.importorskip("distributed")
    monkeypatch.setattr(cluster_module, "CONNECT_S", 0.5)
    for address in ("tcp://127.0.0.1:9", "nowhere", "bad://x"):
        with pytest.raises(ClusterError, match=f"no Dask scheduler answers at {address}"):
            DaskWorkers(address)
    with pytest.raises(JobsError, match="must be 1 or more"):
        job_workers.open_workers(workers=0)


# -- shards ------------------------------------------------------------------------------------


def test_shards_share_a_line_without_gaps() -> None:
    for weights in ([10, 2], [1, 1, 1], [7], [0, 5, 0, 9], [3, 100, 2]):
        for of in (1, 2, 3, 7, 50):
            parts = [part for i in range(1, of + 1) for part in Shard(i, of).parts(weights)]
            for number, weight in enumerate(weights):
                edges = [(lo, hi) for n, lo, hi in parts if n == number]
                assert [lo for lo, _ in edges] == [0, *(hi for _, hi in edges[:-1])][: len(edges)]
                assert sum(hi - lo for lo, hi in edges) == weight


def test_the_environment_of_slurm_names_a_shard() -> None:
    def of(number: int, count: int, first: int, last: int) -> Shard:
        names = ("ID", "COUNT", "MIN", "MAX")
        values = map(str, (number, count, first, last))
        return Shard.parse(
            "slurm",
            environment={f"SLURM_ARRAY_TASK_{n}": v for n, v in zip(names, values, strict=True)},
        )

    assert of(0, 5, 0, 4) == Shard(1, 5)
    assert of(5, 5, 1, 5) == Shard(5, 5)
    with pytest.raises(JobsError, match="consecutive numbers, this one has 2 from 3 to 7"):
        of(3, 2, 3, 7)
    with pytest.raises(JobsError, match="SLURM_ARRAY_TASK_ID"):
        Shard.parse("slurm", environment={})
    for text in ("0/5", "6/5", "1/999999999", "x", "1/0", "-1/2"):
        with pytest.raises(JobsError, match=text):
            Shard.parse(text)


def test_a_merge_names_the_shards_to_run(tmp_path: Path, recordings: list[Path]) -> None:
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match="no finished shards"):
        (tmp_path / "empty").mkdir()
        merge_dataset(tmp_path / "empty")
    for index in (1, 3):
        encode_shard(recordings, out, shard=Shard(index, 4))
    with pytest.raises(DatasetError, match=r"2 of 4 shards .* --shard 2/4, 4/4"):
        merge_dataset(out)
    with pytest.raises(OutputError, match="shards of a job array: 'eventseg merge"):
        encode_dataset(recordings, out)
    for index in (2, 4):
        encode_shard(recordings, out, shard=Shard(index, 4))
    record = out / "shards/2-of-4/shard.toml"
    whole = record.read_bytes()
    for rubbish in (b"", b"\xff\xfe\x00", b"shard = 2", whole.replace(b'"dataset"', b'"cake"')):
        record.write_bytes(rubbish)
        with pytest.raises(DatasetError, match=r"no record of a shard .* run that shard again"):
            merge_dataset(out)
    record.write_bytes(whole.replace(b"start = ", b"start = 1"))
    with pytest.raises(DatasetError):
        merge_dataset(out)
    record.write_bytes(whole)
    lost = next((out / "frames").iterdir())
    lost.unlink()
    with pytest.raises(DatasetError, match=f"lacks 1 files of its shards: frames/{lost.name}"):
        merge_dataset(out)
    with (
        locked(out, shared=True),
        pytest.raises(OutputError, match="another process is writing shards"),
    ):
        merge_dataset(out)
    for index in (1, 2, 3, 4):
        encode_shard(recordings, out, shard=Shard(index, 4))
    merge_dataset(out)
    assert check_dataset(out, deep=True) == []
    assert not (out / "shards").exists()
    with pytest.raises(OutputError, match="holds a complete data set"):
        encode_shard(recordings, out, shard="1/4")


def test_shards_of_other_settings_or_recordings_are_refused(
    tmp_path: Path, recordings: list[Path]
) -> None:
    out = tmp_path / "out"
    encode_shard(recordings, out, shard="1/2")
    before = tree(out)
    for shard in ("1/2", "2/2"):
        for changes, differs in (
            ({"windows_us": 10_000}, "windows was 50ms, now 10ms"),
            ({"normalise": "sqrt"}, "normalise was raw, now sqrt"),
            ({"rotate180": True}, "rotate180 was False, now True"),
        ):
            with pytest.raises(DatasetError, match=rf"encoded otherwise: {differs} \(shard 1-of-2"):
                encode_shard(recordings, out, shard=shard, **changes)
    assert tree(out) == before
    assert not (out / "shards/2-of-2").exists()
    encode_shard(recordings[1:], out, shard="2/2")
    with pytest.raises(EventsegError, match="2-of-2 was run with other recordings"):
        merge_dataset(out)
    encode_shard(recordings, out, shard="2/2")
    merge_dataset(out)
    assert check_dataset(out, deep=True) == []


def test_a_killed_shard_of_other_settings_is_refused_too(
    tmp_path: Path, recordings: list[Path]
) -> None:
    out = tmp_path / "out"

    class Killed(BaseException):
        pass

    def kill(now: Progress) -> None:
        if now.stage == "encode" and now.done > 0.3 * now.total:
            raise Killed

    settings = {"anchor": "evsegnet", "windows_us": (10_000, 50_000)}
    with pytest.raises(Killed):
        encode_shard(recordings, out, shard="1/2", progress=kill, **settings)
    assert list(out.glob("*/tensors/*/*.npy"))
    for shard in ("1/2", "2/2"):
        with pytest.raises(DatasetError, match="encoded otherwise: store was npy, now npz"):
            encode_shard(recordings, out, shard=shard, store="npz", **settings)
    for shard in ("1/2", "2/2"):
        encode_shard(recordings, out, shard=shard, **settings)
    merge_dataset(out)
    assert check_dataset(out, deep=True) == []


def test_a_recording_replaced_between_shards_is_refused(tmp_path: Path) -> None:
    path, out = tmp_path / "rec.hdf5", tmp_path / "out"
    write_recording(path)
    encode_shard(path, out, shard="1/2")
    write_recording(path, seed=1)
    for shard in ("1/2", "2/2"):
        with pytest.raises(DatasetError, match="recording rec has changed since"):
            encode_shard(path, out, shard=shard)
    shutil.rmtree(out / "shards/1-of-2")
    with pytest.raises(DatasetError, match=f"records are gone: .*; remove {out} and run all"):
        encode_shard(path, out, shard="1/2")


def test_files_of_shards_are_completed_only_by_their_own_settings(
    tmp_path: Path, recordings: list[Path]
) -> None:
    out = tmp_path / "out"
    encode_shard(recordings, out, shard="1/2")
    cure = f"to encode without them remove {out}, or give another output"
    with pytest.raises(OutputError, match=cure):
        encode_dataset(recordings, out, normalise="sqrt")
    shutil.rmtree(out)
    encode_dataset(recordings, out, normalise="sqrt")
    assert check_dataset(out, deep=True) == []


@pytest.mark.parametrize("anchor", ["frame", "count:300", "evsegnet"])
def test_a_shard_needs_the_space_of_what_is_missing(
    tmp_path: Path, recordings: list[Path], anchor: str
) -> None:
    out, settings = tmp_path / "out", {"anchor": anchor, "shard": "1/2"}
    with pytest.raises(OutputError, match=r"MB and 0\.0 MB are free"):
        encode_shard(recordings, out, free_bytes=lambda _: 0, **settings)
    assert not out.exists()
    encode_shard(recordings, out, **settings)
    before = tree(out)
    encode_shard(recordings, out, free_bytes=lambda _: 10_000, **settings)
    assert tree(out) == before
    for path in [*out.rglob("*.npy")][:5]:
        path.unlink()
    with pytest.raises(OutputError, match=r"MB and 0\.0 MB are free"):
        encode_shard(recordings, out, free_bytes=lambda _: 10_000, **settings)


def test_a_folder_that_a_failing_shard_removes_is_one_line(
    tmp_path: Path, recordings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def vanish(path: Path, *arguments: object, **more: object) -> None:
        if path.name == "shards":
            path.parent.rmdir()
        make(path, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "mkdir", vanish)
        with pytest.raises(OutputError, match=r"cannot make .*shards: No such file .*; run again"):
            encode_shard(recordings, tmp_path / "out", shard="1/2")
    assert encode_shard(recordings, tmp_path / "out", shard="1/2").samples


def test_a_process_is_started_for_recordings_that_are_worth_it(tmp_path, monkeypatch):
    monkeypatch.setattr(job_workers, "processors", lambda: 8)
    monkeypatch.setattr(job_workers, "BYTES_A_WORKER", 1_000)
    paths = [tmp_path / f"{k}.hdf5" for k in range(3)]
    for path in paths:
        path.write_bytes(bytes(600))
    assert [job_workers.usual_workers(paths[:count]) for count in (1, 2, 3)] == [1, 1, 1]
    paths[0].write_bytes(bytes(1_900))
    assert job_workers.usual_workers(paths) == 3
    assert job_workers.usual_workers([tmp_path, paths[1]]) == 2, "a folder counts as large"
    monkeypatch.setattr(job_workers, "processors", lambda: 2)
    assert job_workers.usual_workers(paths) == 2


@pytest.mark.slow
def test_a_cluster_of_this_machine_runs_beside_another(
    tmp_path: Path, recordings: list[Path], straight: dict[str, Path]
) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as other:
        with contextlib.suppress(OSError):  # in use: as well
            other.bind(("", 8787))
            other.listen()
        out = tmp_path / "data"
        encode_dataset(
            recordings,
            out,
            anchor="count:300",
            scheduler="local",
            workers=2,
            **ANCHORS["count:300"],
        )
    assert tree(out) == tree(straight["count:300"])
