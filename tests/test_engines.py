"""The same bytes by one process, two, a Dask cluster that loses a worker, and five merged shards.

Encoding and predictions are compared in the tests of their own packages.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from prediction_fixtures import random_network
from pseudolabel_teachers import SIX
from recording_fixtures import tree
from training_fixtures import street_dataset

from eventseg import convert_into
from eventseg.dataset.conversion.shards import convert_shard, merge_conversion
from eventseg.evaluation import evaluate_run
from eventseg.evaluation.shards import evaluate_shard, merge_evaluation
from eventseg.events import SensorSize
from eventseg.pseudolabel import LabelFilters, TestTimeAugmentation, label_dataset, load_teacher
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.pseudolabel.shards import label_shard, merge_shards
from eventseg.recordings.progress import Progress, Report
from eventseg.simulate import merge_streets, simulate_streets, simulate_streets_shard
from eventseg.sources import open_source

pytestmark = (
    pytest.mark.slow
)  # minutes of starting processes; shards and jobs have tests of their own

Work = Callable[..., object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("engines")
    street_dataset(root)
    with contextlib.closing(open_source(root / "streets")) as source:
        random_network(root / "events.pt", "events", root / "streets", table=source.classes)
    random_network(root / "gray.pt", "gray", table=SIX)
    return root


# -- the work: (folder of inputs, folder of the output) to bytes ---------------------------------


def label(root: Path, out: Path, *, shard: str | None = None, **engine: Any) -> None:
    """Label a copy of the data set; only what is made is left in the output."""
    data = out / "streets"
    if not data.exists():
        shutil.copytree(root / "streets", data)
    teacher = load_teacher(str(root / "gray.pt"), device=torch.device("cpu"))
    recipe = LabelRecipe(
        TestTimeAugmentation((1.0,), flip=True), filters=LabelFilters(threshold=0.1, quantile=0.3)
    )
    settings: dict[str, Any] = {"name": "gray", "classes": SIX, "recipe": recipe, "batch": 2}
    if shard is None:
        label_dataset(data, [teacher], **settings, **engine)
    else:
        label_shard(data, [teacher], shard=shard, **settings, **engine)


SCORING: dict[str, Any] = {
    "device": "cpu",
    "window": "50ms",
    "split": "test",
    "boundary": (1,),
    "by": ("distance",),
    "flicker": True,
    "batch_size": 2,
}


def score(root: Path, out: Path, *, shard: str | None = None, **engine: Any) -> None:
    run, data = root / "events.pt", root / "streets"
    common = {"out": out / "report", "predictions": True, **SCORING, **engine}
    if shard is None:
        evaluate_run(run, data, **common)
    else:
        evaluate_shard(run, data, shard=shard, **common)


def simulate(_root: Path, out: Path, *, shard: str | None = None, **engine: Any) -> None:
    settings: dict[str, Any] = {
        "duration_us": 60_000, "sensor": SensorSize(48, 64), "scenario": "random",
    }  # fmt: skip
    common = {**settings, **engine}
    if shard is None:
        simulate_streets(out / "made", range(10), **common)
    else:
        simulate_streets_shard(out / "made", range(10), shard=shard, **common)


def change_format(root: Path, out: Path, *, shard: str | None = None, **engine: Any) -> None:
    engine.pop("threads", None)
    sources = [root / "drive.hdf5", root / "other.hdf5"]
    if shard is None:
        convert_into(sources, out / "made", format="aedat4", **engine)
    else:
        convert_shard(sources, out / "made", shard=shard, format="aedat4", **engine)


WORK: dict[str, tuple[Work, Work, str]] = {
    "convert": (change_format, merge_conversion, "made"),
    "pseudolabel": (label, merge_shards, "streets"),
    "evaluate": (score, merge_evaluation, "report"),
    "simulate": (simulate, merge_streets, "made"),
}


@pytest.fixture(scope="module", params=WORK)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def straight(name: str, made: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the files that one process makes."""
    out = tmp_path_factory.mktemp("straight") / "out"  # as deep as the others
    WORK[name][0](made, out, threads=1)
    return tree(out)


def test_two_processes(name: str, made: Path, straight: dict[str, str], tmp_path: Path) -> None:
    shown: list[Progress] = []
    out = tmp_path / "out"  # beside the cache of recordings
    WORK[name][0](made, out, jobs=2, threads=2, progress=shown.append)
    assert tree(out) == straight
    ended = [now for now in shown if now.stage in ("label", "simulate", "events", "convert")]
    assert ended[-1].done == pytest.approx(ended[-1].total)


def test_five_merged_shards(
    name: str, made: Path, straight: dict[str, str], tmp_path: Path
) -> None:
    work, merge, folder = WORK[name]
    out = tmp_path / "out"
    for index in (5, 2, 1, 4, 3):
        work(made, out, shard=f"{index}/5", threads=1)
    assert tree(out) != straight
    merge(out / folder)
    assert tree(out) == straight


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Yield a Dask cluster of four processes, whose working folder is not that of the tests."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=4, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50
    ) as cluster:
        yield cluster


def killer(cluster: Any) -> tuple[Report, list[int]]:
    """Return a function that kills a worker once work is under way, and those it has killed."""
    processes, killed = [worker.pid for worker in cluster.workers.values()], []

    def report(now: Progress) -> None:
        if not killed and now.done > 0 and now.stage in ("label", "simulate", "events", "convert"):
            killed.append(processes[0])
            os.kill(processes[0], signal.SIGKILL)

    return report, killed


def test_a_dask_cluster_that_loses_a_worker(
    name: str, made: Path, straight: dict[str, str], tmp_path: Path, cluster: Any
) -> None:
    cluster.scale(4)  # one may have been killed before
    cluster.wait_for_workers(4)
    report, killed = killer(cluster)
    out = tmp_path / "out"
    WORK[name][0](made, out, scheduler=cluster.scheduler_address, progress=report)
    assert killed
    assert tree(out) == straight
