"""The same predictions by one process, a Dask cluster and the shards of a job array."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from prediction_fixtures import random_network
from recording_fixtures import tree
from training_fixtures import street_dataset

import eventseg
from eventseg.errors import DatasetError, JobsError, OutputError
from eventseg.prediction.shards import predict_shard
from eventseg.pseudolabel.shards import merge_shards
from eventseg_cli.main import main

SETTINGS = {"device": "cpu", "probabilities": True}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("shards")
    street_dataset(folder)
    random_network(folder / "events.pt", "events", folder / "streets")
    return folder


@pytest.fixture(scope="module")
def inputs(root: Path) -> list[Path]:
    return sorted(root.glob("*.hdf5"))[:2]


@pytest.fixture(scope="module")
def straight(root: Path, inputs: list[Path]) -> dict[str, str]:
    eventseg.predict_into(root / "events.pt", inputs, root / "straight", **SETTINGS)
    return tree(root / "straight")


@pytest.mark.parametrize("of", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_merged_shards_are_the_run_of_one_process(root, inputs, straight, of):
    out = root / f"by{of}"
    for index in range(of, 0, -1):
        predict_shard(root / "events.pt", inputs, out, shard=f"{index}/{of}", **SETTINGS)
    (merged,) = merge_shards(out)
    assert len(merged.folder) == len(list((out / "labels").iterdir()))
    assert tree(out) == straight


def test_a_dask_cluster_gives_the_same_bytes(root, inputs, straight):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        out, address = root / "dask", cluster.scheduler_address
        eventseg.predict_into(root / "events.pt", inputs, out, scheduler=address, **SETTINGS)
    assert tree(root / "dask") == straight


def test_a_merge_names_what_is_missing(root, inputs, straight, tmp_path):
    out = tmp_path / "out"
    arguments = [root / "events.pt", inputs, out]
    predict_shard(*arguments, shard="2/2", **SETTINGS)
    with pytest.raises(DatasetError, match=r"1 of 2 shards .* are missing: .* --shard 1/2"):
        merge_shards(out)
    with pytest.raises(OutputError, match="holds shards of a job array"):
        eventseg.predict_into(*arguments, **SETTINGS)
    with pytest.raises(DatasetError, match="made otherwise: probabilities"):
        predict_shard(*arguments, shard="1/2", device="cpu")
    with pytest.raises(JobsError, match="an array of 2, this is shard 1/3"):
        predict_shard(*arguments, shard="1/3", **SETTINGS)
    predict_shard(*arguments, shard="1/2", **SETTINGS)
    record = out / "shards/1-of-2/shard.toml"
    whole = record.read_bytes()
    for old, new in ((b"pixels = [", b'pixels = ["x", '), (b"counts = [", b"counts = [7, ")):
        record.write_bytes(whole.replace(old, new))
        with pytest.raises(DatasetError, match=r"contradicts itself|differ"):
            merge_shards(out)
    record.write_bytes(whole)
    next((out / "labels").iterdir()).unlink()
    with pytest.raises(DatasetError, match="lacks 1 files of its shards, such as labels/"):
        merge_shards(out)
    assert predict_shard(*arguments, shard="1/2", **SETTINGS).predicted <= 1
    predict_shard(*arguments, shard="2/2", **SETTINGS)
    shown = CliRunner().invoke(main, ["merge", str(out), "--json"])
    assert shown.exit_code == 0, shown.output
    assert tree(out) == {
        name: digest if name != "predictions.toml" else tree(out)[name]
        for name, digest in straight.items()
    }
    with pytest.raises(OutputError, match="complete predictions"):
        predict_shard(*arguments, shard="1/2", **SETTINGS)


def test_a_merge_that_was_stopped_at_its_end_is_ended(root, inputs, straight, tmp_path):
    out = tmp_path / "out"
    predict_shard(root / "events.pt", inputs, out, shard="1/1", **SETTINGS)
    shutil.copytree(out / "shards", tmp_path / "left")
    (merged,) = merge_shards(out)
    shutil.move(tmp_path / "left", out / "shards.merged")
    (again,) = merge_shards(out)
    assert len(again.folder) == len(merged.folder)
    assert not (out / "shards.merged").exists()
