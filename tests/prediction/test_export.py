"""Exported networks against eager: all ten, any size, metadata, card, and without this library."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from networks_fixtures import DISTINCT
from prediction_fixtures import SMALL_NETWORK
from stream_fixtures import TABLE, events_at

from eventseg.encoding import encode, encoding_of
from eventseg.errors import (
    CheckpointError,
    MissingExtraError,
    NetworkError,
    OutputError,
    WindowError,
)
from eventseg.events import SensorSize
from eventseg.networks import Blueprint, InputSpec, TrainedNetwork, load_network, save_network
from eventseg.networks.shipped import FOLDER, shipped_file
from eventseg.prediction import export, fast_predictor, predict
from eventseg.prediction.bench import bench, candidates
from eventseg.prediction.fast import FastSetting, accelerated, recommended
from eventseg_cli.main import main

onnxruntime = pytest.importorskip("onnxruntime")
module = import_module("eventseg.prediction.export")
programs = import_module("eventseg.prediction.exported")
SENSOR = SensorSize(41, 55)
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "small.py"
    path.write_text(SMALL_NETWORK)
    return f"{path}:Small"


def network(name: str, *, size=None, normalise="evsegnet", **options) -> TrainedNetwork:
    torch.manual_seed(0)
    blueprint = Blueprint(name, 6, 3, options=options)
    inputs = InputSpec("events", 6, windows=("50ms",), normalise=normalise, size=size,
                       encoding=encoding_of(SENSOR, normalise=normalise))  # fmt: skip
    return TrainedNetwork(blueprint.build().eval(), blueprint, inputs, TABLE)


@pytest.fixture(scope="module")
def run(small, tmp_path_factory):
    """A checkpoint of the small network."""
    path = tmp_path_factory.mktemp("export") / "best.pt"
    save_network(path, network(small))
    return path


@pytest.fixture(scope="module")
def made(run):
    return export(run, run.with_name("net.onnx"))


@pytest.mark.slow
@pytest.mark.parametrize("name", DISTINCT)
def test_every_network_is_that_of_eager_at_any_size(name):
    trained = network(name)
    run_onnx = programs.onnx_function(programs.onnx_bytes(trained))
    rng = np.random.default_rng(0)
    shapes = [(1, 6, 61, 77), (2, 6, 90, 134), (3, 6, 64, 96), (1, 6, 97, 131)]
    inputs = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    difference, changed = module.compare(run_onnx, trained, inputs, labels=False)
    assert difference < 1e-4
    assert changed < 1e-3


def test_the_file_has_logits_of_any_size_and_all_that_is_needed(run, made):
    assert made.path == run.with_name("net.onnx")
    assert (made.checked, made.of_run) == (3, False)
    assert made.difference < 1e-4
    session = onnxruntime.InferenceSession(made.path)
    (given,), (found,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("input", ["batch", 6, "height", "width"])
    assert (found.name, found.shape[1]) == ("logits", 3)
    told = json.loads(session.get_modelmeta().custom_metadata_map["eventseg"])
    trained = load_network(run)
    assert told["classes"] == list(TABLE.names)
    assert told["colours"] == [list(colour) for colour in TABLE.colours]
    assert told["input"]["encoding"] == trained.inputs.encoding.to_dict()
    assert told["input"]["windows_us"] == [50_000]
    x = np.random.default_rng(1).standard_normal((2, 6, 45, 51)).astype(np.float32)
    (logits,) = session.run(None, {"input": x})
    with torch.inference_mode():
        expected = trained.network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
    card = made.card.read_text()
    for words in (
        "small.py:Small of",
        "| 0 | a | (1, 2, 3) | - |",
        "normalisation `evsegnet`",
        "Known",
    ):
        assert words in card


@pytest.mark.slow
def test_labels_of_a_fixed_size_in_half(run, tmp_path):
    made = export(run, tmp_path / "labels.onnx", argmax=True, size=(41, 55), numbers="float16")
    assert made.changed <= 0.01
    assert np.isnan(made.difference)
    session = onnxruntime.InferenceSession(made.path)
    assert session.get_inputs()[0].shape == [1, 6, 41, 55]
    (labels,) = session.run(None, {"input": np.zeros((1, 6, 41, 55), np.float32)})
    assert (labels.dtype, labels.shape) == (np.uint8, (1, 41, 55))


@pytest.mark.slow
def test_a_program_of_torch(run, tmp_path):
    made = export(run, tmp_path / "net.pt2", format="torch")
    told = {"eventseg": ""}
    program = torch.export.load(made.path, extra_files=told)
    x = torch.randn(2, 6, 39, 47)
    expected = load_network(run).network(x)
    torch.testing.assert_close(
        program.module(check_guards=False)(x), expected, rtol=1e-4, atol=1e-4
    )
    assert json.loads(told["eventseg"])["network"].endswith("small.py:Small")


def test_the_script_of_the_docs_needs_neither_eventseg_nor_torch(run, made, tmp_path):
    events = events_at(np.sort(np.random.default_rng(2).integers(0, 90_000, 9_000)), sensor=SENSOR)
    np.savez(tmp_path / "events.npz", t=events.t, x=events.x, y=events.y, p=events.p)
    blocked = (
        "import sys, runpy\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('eventseg', 'torch', 'numba'):\n"
        "            raise ImportError(name + ' is blocked')\n"
        "sys.meta_path.insert(0, Block())\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'eventseg'} & set(sys.modules)\n"
    )
    out = tmp_path / "labels.ppm"
    arguments = [made.path, tmp_path / "events.npz", "80000", out]
    command = [sys.executable, "-c", blocked, str(DOCS / "run_onnx.py"), *map(str, arguments)]
    subprocess.run(command, check=True, timeout=100)
    head, picture = out.read_bytes().split(b" 255\n", 1)
    assert head == b"P6 55 41"
    command[-2] = "900000"
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert failed.stderr.startswith("no event in [850000, 900000) us; they lie from ")
    command[-2] = "80000"
    command[-3] = str(tmp_path / "wide.npz")
    np.savez(command[-3], t=events.t, x=events.x + 1, y=events.y, p=events.p)
    failed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (
        failed.stderr
        == "there are events outside of the network's sensor, {'height': 41, 'width': 55}\n"
    )
    colours = np.frombuffer(picture, np.uint8).reshape(41, 55, 3)
    trained = load_network(run)
    x = encode(events, window=(30_000, 80_000), encoding=trained.inputs.encoding)
    expected = trained.network(torch.from_numpy(x)[None])[0].argmax(0).numpy()
    same = (colours == np.array(TABLE.colours, np.uint8)[expected]).all(-1)
    assert same.mean() > 0.999


@pytest.mark.parametrize(("ddof", "dtype"), [(0, "float32"), (1, "float32"), (0, "float16")])
@pytest.mark.parametrize("normalise", ["evsegnet", "sqrt", "raw"])
def test_the_script_of_the_docs_encodes_as_the_library(normalise, ddof, dtype):
    script = DOCS / "run_onnx.py"
    assert len(script.read_text().splitlines()) <= 64
    events = events_at(np.sort(np.random.default_rng(2).integers(0, 90_000, 9_000)), sensor=SENSOR)
    encoding = encoding_of(SENSOR, normalise=normalise, rows=(3, 40), ddof=ddof, dtype=dtype)
    records = events.to_records()
    encode_alone = runpy.run_path(str(script))["encode"]
    made = encode_alone(records, 30_000, 50_000, encoding.to_dict())
    signed = np.rec.fromarrays(
        [records["t"], records["x"], records["y"], 2 * records["p"].astype(np.int8) - 1],
        names="t,x,y,p",
    )
    assert np.array_equal(encode_alone(signed, 30_000, 50_000, encoding.to_dict()), made)
    expected = encode(events, window=(30_000, 80_000), encoding=encoding)
    np.testing.assert_allclose(made[0], expected, rtol=0, atol=2e-6)


def test_a_file_that_differs_is_not_written(run, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(CheckpointError, match="nothing was written"):
        export(run, tmp_path / "net.pt2", format="torch", size=(41, 55))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported(run, small, tmp_path, monkeypatch):
    resized = tmp_path / "resized.pt"
    save_network(resized, network(small, size=(32, 48)))
    with pytest.raises(NetworkError, match="resizes its inputs to 48x32: give the size"):
        export(resized, tmp_path / "net.onnx")
    made = export(resized, tmp_path / "net.pt2", format="torch", size=(41, 55))
    assert made.difference < 1e-4
    with pytest.raises(WindowError, match="format must be onnx or torch"):
        export(run, format="tflite")
    with pytest.raises(WindowError, match="height and width of 1 or more"):
        export(run, tmp_path / "net.onnx", size=(0, 64))
    before = run.read_bytes()
    for out, format_, message in (
        (run, "torch", r"must end in \.pt2"),  # the checkpoint itself
        (tmp_path / "net.onnx", "torch", r"must end in \.pt2, as format is torch"),
        (tmp_path / "MODEL_CARD.md", "onnx", r"must end in \.onnx"),
        (resized / "net.onnx", "onnx", "is a file; give a folder"),
    ):
        with pytest.raises(OutputError, match=message):
            export(run, out, format=format_)
    assert run.read_bytes() == before
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'eventseg\[export\]'"):
        export(run, tmp_path / "other.onnx")


def test_the_command(run, tmp_path):
    out = tmp_path / "net.pt2"
    arguments = ["export", str(run), "--format", "torch", "--size", "55x41", "--out", str(out)]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [str(out), str(tmp_path / "MODEL_CARD.md")]
    assert "compared on 1 random inputs" in result.stderr
    failed = CliRunner().invoke(main, ["export", str(tmp_path)])
    assert failed.exit_code == 1
    assert failed.output.startswith("error: ")


SETTINGS = [
    FastSetting("eager", "channels_last", "float32", 1),
    FastSetting("eager", "contiguous", "bfloat16"),
    FastSetting("onnxruntime", threads=1),
]


@pytest.mark.slow
@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_faster_arithmetic_gives_nearly_the_same_labels(setting, small):
    trained = network(small)
    x = torch.randn(1, 6, 41, 55)
    faster = accelerated(trained, setting)
    with torch.inference_mode():
        expected, made = trained.network(x), faster.network(x)
    assert made.dtype == torch.float32
    limit = 0.05 if setting.numbers == "bfloat16" else 1e-4
    assert float((made - expected).abs().max()) < limit * float(expected.abs().max())
    assert trained.network.training is False


@pytest.fixture
def two_settings(monkeypatch):
    """Two settings that need nothing to be exported."""
    found = [
        FastSetting("eager", memory_format, threads=1)
        for memory_format in ("contiguous", "channels_last")
    ]
    bench_module = import_module("eventseg.prediction.bench")
    monkeypatch.setattr(bench_module, "candidates", lambda *_a, **_k: found)


def test_the_onnx_of_fast_is_kept(run, made, monkeypatch):
    fast = import_module("eventseg.prediction.fast")
    setting = FastSetting("onnxruntime", threads=1)
    monkeypatch.setattr(fast, "recommended", lambda *_a, **_k: setting)
    x = np.random.default_rng(3).standard_normal((6, 41, 55)).astype(np.float32)
    monkeypatch.setattr(fast, "onnx_bytes", lambda _trained: made.path.read_bytes())
    first = fast_predictor(run, device="cpu")(x)
    monkeypatch.setattr(fast, "onnx_bytes", None)
    np.testing.assert_array_equal(fast_predictor(run, device="cpu")(x), first)
    assert len(list(run.parent.glob("bench-*.onnx"))) == 1


def test_what_is_measured():
    device = torch.device("cpu")
    plain, *others = candidates(device, threads=(2, 1))
    assert plain == FastSetting("eager", "contiguous", "float32", 2)
    assert {setting.threads for setting in others} == {1, 2}
    assert {setting.numbers for setting in others} == {"float32", "bfloat16"}
    assert {setting.engine for setting in others} == {"eager", "onnxruntime"}
    more = candidates(device, threads=(1,), compiled=True)
    assert {setting.engine for setting in more} == {"eager", "onnxruntime", "compiled"}


def test_bench_recommends_and_fast_takes_it(run, two_settings):
    with pytest.raises(CheckpointError, match="measure it first: eventseg bench"):
        recommended(run, device="cpu")
    report = bench(run, repetitions=2, batch=2, threads=(1,), device="cpu", most_changed=1.0)
    assert report.rows[0].setting == FastSetting("eager", "contiguous", "float32", 1)
    assert report.rows[0].changed == 0
    for row in report.rows:
        if not row.error:
            assert set(row.times_ms) == {
                "read", "encode", "copy", "network", "argmax", "together", "batch",
            }  # fmt: skip
            assert all(t["p50"] <= t["p99"] for t in row.times_ms.values())
    assert recommended(run, device="cpu") == report.recommended
    exact = bench(
        run, repetitions=1, batch=1, threads=(1,), device="cpu", most_changed=0.0, save=False
    )
    assert all(row.changed == 0 for row in exact.rows if row.setting == exact.recommended)
    assert "changed" in report.lines()[2]
    predict_one = fast_predictor(run, device="cpu")
    x = np.zeros((6, 41, 55), np.float32)
    assert predict_one(x).shape == (3, 41, 55)
    (run.parent / "bench.json").write_text("{}")
    with pytest.raises(CheckpointError, match="is damaged; measure it first"):
        fast_predictor(run, device="cpu")


def test_bench_on_a_recording_by_the_command(run, two_settings, tmp_path):
    from recording_fixtures import write_recording

    path = write_recording(tmp_path / "rec.hdf5", sensor=SENSOR)
    arguments = ["bench", str(run), str(path), "--repetitions", "1", "--batch", "1",
                 "--thread-counts", "1", "--device", "cpu", "--json"]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["input"] == "1 windows of 50ms of rec, 55x41"
    streamed = CliRunner().invoke(
        main, ["stream", str(run), str(path), "--speed", "max", "--every", "200ms", "--fast",
               "--device", "cpu", "--json"], catch_exceptions=False,
    )  # fmt: skip
    assert streamed.exit_code == 0, streamed.output
    lines = [json.loads(line) for line in streamed.stdout.splitlines()]
    ids = [p.id for p in predict(run, path, every="200ms", device="cpu")]
    assert [line["id"] for line in lines[:-1]] == ids
    for words in (["--thread-counts", "0"], ["--sensor", "55x41"]):
        assert CliRunner().invoke(main, ["bench", str(run), *words]).exit_code == 2


def test_bench_reads_a_recording_as_it_is_told(run, monkeypatch, tmp_path):
    given = {}

    def opened(_path, **choices):
        given.update(choices)
        raise OutputError("only the choices are asked for")

    monkeypatch.setattr(import_module("eventseg.prediction.bench"), "open_recording", opened)
    (tmp_path / "rec.csv").write_text("t,x,y,p\n0,1,1,1\n")
    words = ["--sensor", "8x6", "--camera", "right", "--time-unit", "ms", "--device", "cpu"]
    CliRunner().invoke(main, ["bench", str(run), str(tmp_path / "rec.csv"), *words])
    assert (given["sensor"], given["camera"], given["time_unit"]) == ((6, 8), "right", "ms")


def test_measurements_are_shown_where_they_cannot_be_stored(run, two_settings, monkeypatch):
    bench_module = import_module("eventseg.prediction.bench")

    def full(path, _write):
        raise OutputError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(bench_module, "write_whole", full)
    arguments = ["bench", str(run), "--repetitions", "1", "--batch", "1", "--thread-counts", "1",
                 "--device", "cpu", "--most-changed", "100"]  # fmt: skip
    for more in ((), ("--json",)):
        result = CliRunner().invoke(main, [*arguments, *more])
        assert result.exit_code == 1
        assert "channels last" in result.stdout or json.loads(result.stdout)["rows"]
        assert "the disk is full; --fast will not find these measurements" in result.stderr
        assert "written to" not in result.stderr


def test_a_folder_that_cannot_be_written_is_named_before_measuring(run, monkeypatch):
    bench_module = import_module("eventseg.prediction.bench")

    def refuse(path):
        raise OutputError(f"output {path} cannot be written")

    monkeypatch.setattr(bench_module, "check_folder", refuse)
    monkeypatch.setattr(bench_module, "candidates", None)  # nothing is measured
    with pytest.raises(OutputError, match="copy the checkpoint into a folder that can"):
        bench(run, device="cpu")


@pytest.fixture
def package():
    """The files of the package's networks, which stay as they are."""
    before = sorted((path, path.stat().st_mtime_ns) for path in FOLDER.glob("*.*"))
    yield
    assert sorted((path, path.stat().st_mtime_ns) for path in FOLDER.glob("*.*")) == before


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize("format_", ["onnx", "torch"])
def test_a_shipped_network_is_exported_into_the_working_folder(tmp_path, monkeypatch, format_):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, f"{format_}_bytes", lambda *_a, **_k: b"network")
    monkeypatch.setattr(module, f"{format_}_function", lambda _content: None)
    monkeypatch.setattr(module, "compare", lambda *_a, **_k: (0.0, 0.0))
    report = export("street", format=format_)
    name = "street-fastscnn.onnx" if format_ == "onnx" else "street-fastscnn.pt2"
    assert report.path == Path(name)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["MODEL_CARD.md", name]
    out = Path("sub", f"net{Path(name).suffix}")
    assert export("street", out, format=format_).path == out


@pytest.mark.usefixtures("package", "two_settings")
def test_measurements_of_a_shipped_network_lie_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("EVENTSEG_CACHE", str(tmp_path / "cache"))
    with pytest.raises(CheckpointError, match="measure it first: eventseg bench street"):
        recommended("street", device="cpu")
    report = bench(
        "street",
        window="50ms",
        repetitions=1,
        batch=1,
        threads=(1,),
        device="cpu",
        most_changed=1.0,
    )
    assert report.file == tmp_path / "cache/street-fastscnn.bench.json"
    assert recommended("street", device="cpu") == report.recommended
    assert recommended(shipped_file("street"), device="cpu") == report.recommended
    onnx = FastSetting("onnxruntime", threads=1)
    fast = import_module("eventseg.prediction.fast")
    monkeypatch.setattr(fast, "recommended", lambda *_a, **_k: onnx)
    monkeypatch.setattr(fast, "onnx_bytes", lambda _trained: b"network")
    monkeypatch.setattr(fast, "accelerated", lambda trained, *_a, **_k: trained)
    fast_predictor("street", device="cpu")
    assert len(list((tmp_path / "cache").glob("bench-*.onnx"))) == 1
