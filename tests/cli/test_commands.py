"""The command line: what it loads, what goes to stdout and stderr, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from recording_fixtures import tree, write_recording

from eventseg.dataset import writer
from eventseg.dataset.opening import open_dataset
from eventseg_cli.main import COMMANDS, main

HEAVY = ("numba", "torch", "matplotlib", "h5py")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_recording(tmp_path / "rec.hdf5")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"""
import sys
from eventseg_cli.main import main
try:
    main({[command] * bool(command)} + ["--help"])
except SystemExit as ended:
    assert ended.code == 0
print([name for name in {HEAVY} if name in sys.modules])
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "Usage:" in ended.stdout


def test_info_of_a_recording_loads_neither_torch_nor_figures(recording: Path) -> None:
    code = f"""
import sys
from eventseg_cli.main import main
try:
    main(["info", "rec.hdf5"])
except SystemExit as ended:
    assert not ended.code
print([name for name in {HEAVY} if name in sys.modules and name not in ("numba", "h5py", "numpy")])
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout.splitlines()[-1] == "[]"
    assert "events" in ended.stdout


def test_group_help_names_every_command_and_loads_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COMMANDS:
        monkeypatch.delitem(sys.modules, f"eventseg_cli.{name}", raising=False)
    result = run("--help")
    for name, words in COMMANDS.items():
        assert name in result.stdout
        assert words.split(":")[0][:30] in result.stdout
        assert f"eventseg_cli.{name}" not in sys.modules


def test_version() -> None:
    assert run("--version").stdout.startswith("eventseg, version ")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["encod"], "No such command 'encod': did you mean encode"),
        (["Train"], "did you mean train"),
        (["eval"], "did you mean evaluate?"),
        (["psuedolabel"], "did you mean pseudolabel"),
        (["frobnicate"], "there are demo, simulate, encode"),
        (["simulate", "stret", "x.hdf5"], "No such command 'stret': did you mean street?"),
        (["simulate", "moon"], "there are fit, images, street"),
    ],
)
def test_an_unknown_command_names_the_nearest(arguments: list[str], hint: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert hint in result.stderr


def test_encode_writes_beside_the_caller_and_prints_a_summary(recording: Path) -> None:
    result = run("encode", recording)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("rec.eventseg: done\n  10 samples (1 gap, 8 train, 1 val)")
    assert "rows 0-23 of 32x24" in result.stdout
    assert "rec: " in result.stderr
    assert open_dataset("rec.eventseg").windows == ("50ms",)
    again = run("encode", recording, "--quiet")
    assert "already whole, left alone" in again.stdout
    assert again.stderr == ""


def test_encode_hands_every_option_on(recording: Path, tmp_path: Path) -> None:
    other = write_recording(tmp_path / "other.hdf5", seed=4)
    result = run(
        *("encode", recording, other, "--out", "data", "--window", "10ms,0.1s"),
        *("--anchor", "stride:100ms", "--normalise", "evsegnet", "--crop", "2:10"),
        *("--store", "npz", "--workers", 1, "--ddof", 0, "--test", "other"),
        *("--sensor", "32x24", "--rotate180", "--quiet"),
    )
    assert result.exit_code == 0, result.output
    dataset = open_dataset("data")
    settings = dataset.manifest.settings
    assert settings.to_dict() == {
        "anchor": "stride:100ms",
        "windows": ["10ms", "100ms"],
        "normalise": "evsegnet",
        "ddof": 0,
        "rows": [2, 10],
        "store": "npz",
        "sensor": {"height": 24, "width": 32},
        "rotate180": True,
        "held_out": ["other"],
        "frame_age": "1s",
    }
    assert dataset.tensor(0, "100ms").shape == (6, 8, 32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "50"], "a number and a unit"),
        (["--window", "50ms,"], "a number and a unit"),
        (["--window", "2s,99min"], "must last 1 us to"),
        (["--anchor", "moon"], "must be frame, centre, stride"),
        (["--anchor", "count:100", "--window", "50ms"], "leave --window out"),
        (["--crop", "some"], "auto, none or ROW0:ROW1"),
        (["--sensor", "346"], "WIDTHxHEIGHT"),
        (["--sensor", "0x260"], "1 to 65536"),
        (["--store", "zip"], "'zip' is not one of"),
        (["--workers", "0"], "not in the range"),
        (["--quiet", "--progress"], "exclude each other"),
        (["rec.hdf5"], "give --out"),
        (["gone.hdf5"], "does not exist"),
    ],
)
def test_usage_errors_exit_2(recording: Path, options: list[str], message: str) -> None:
    result = run("encode", recording, *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("\n", " ").split())
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--window", "3s"], "error: a window of 3s is longer than rec"),
        (["--crop", "0:99"], "error: crop 0:99 must be rows"),
        (["--out", "rec.hdf5"], "error: output rec.hdf5 is a file"),
        (["--test", "dog"], "error: no recording dog to hold out"),
    ],
)
def test_known_errors_are_one_line_and_exit_1(
    recording: Path, options: list[str], message: str
) -> None:
    result = run("encode", recording, *options)
    assert result.exit_code == 1
    assert result.stderr.startswith(message)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_broken_recording_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "rec.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    for command in ("encode", "info", "view"):
        result = run(command, tmp_path / "rec.hdf5")
        assert result.exit_code == 1
        assert result.stderr.startswith("error: ")
        assert len(result.stderr.splitlines()) == 1


def test_interrupted_encode_says_how_to_go_on(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "encode_into", interrupted)
    result = run("encode", recording, "--progress")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "interrupted; run the same command again to go on with rec.eventseg"
    )
    assert run("check", "rec.eventseg").exit_code == 1
    monkeypatch.undo()
    monkeypatch.chdir(recording.parent)
    assert run("encode", recording).exit_code == 0
    assert run("check", "rec.eventseg", "--deep").stdout == "rec.eventseg: whole\n"


def test_interrupt_of_another_command_exits_130(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eventseg.training.check_path.check_dataset", interrupted)
    result = run("check", recording.parent)
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize(
    ("command", "text", "reason", "cures"),
    [
        (
            "score",
            "CUDA out of memory. Tried to allocate 2.00 MiB. Including non-PyTorch memory.\nSee",
            "CUDA out of memory. Tried to allocate 2.00 MiB",
            "give a smaller --batch-size, or end other programs that use it (nvidia-smi), or give "
            "--device cpu",
        ),
        (
            "stream",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "end other programs that use it (nvidia-smi), or give --device cpu",
        ),
    ],
    ids=["torch", "cublas"],
)
def test_a_full_gpu_is_one_line_with_advice(
    monkeypatch: pytest.MonkeyPatch, command: str, text: str, reason: str, cures: str
) -> None:
    def full() -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(f"eventseg_cli.{command}.command.callback", full)
    monkeypatch.setattr(f"eventseg_cli.{command}.command.parse_args", lambda _ctx, _args: [])
    result = run(command)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: the GPU has too little memory ({reason}): {cures}\n"


def test_bar_shows_rate_and_time_left_on_stderr_only(recording: Path) -> None:
    result = run("encode", recording, "--progress")
    assert "encode: 100%" in result.stderr
    assert "event/s" in result.stderr
    assert "encode:" not in result.stdout
    assert "encode:" not in run("encode", recording, "--out", "other").stderr


def test_check_prints_problems_and_a_closing_line(recording: Path) -> None:
    run("encode", recording)
    assert run("check", "rec.eventseg").stdout == "rec.eventseg: whole\n"
    for frame in Path("rec.eventseg/frames").iterdir():
        frame.unlink()
    for tensor in Path("rec.eventseg/tensors/50ms").iterdir():
        for copy in range(5):
            tensor.with_name(f"copy{copy}_{tensor.name}").write_bytes(b"")
    result = run("check", "rec.eventseg")
    lines = result.stdout.splitlines()
    assert result.exit_code == 1
    assert lines[-2:] == ["... and 10 more", "rec.eventseg: 60 problems"]
    assert len(lines) == 52


def test_info_of_a_recording_for_people_and_machines(recording: Path) -> None:
    text = run("info", recording).stdout
    for words in (
        "sensor    32x24",
        "events    4,000, ",
        "frames    10, 10.000 a second",
        "end of exposure  99,000 to 999,000 us",
        "end of frame     101,000 to 1,001,000 us",
        "exposure         6,000 to 6,000 us",
        "vehicle_speed",
        "10 to 20",
        "reading report",
        "events: 4,000 of 4,000 kept",
        "█",
    ):
        assert words in text, words
    info = json.loads(run("info", recording, "--json").stdout)
    assert info["events"] == sum(info["histogram"]) == 4_000
    assert info["rate_mean"] == pytest.approx(4_000 / info["duration_s"])
    assert info["rate_peak"] >= info["rate_mean"]
    assert 0.4 < info["on_share"] < 0.6
    assert info["signals"]["vehicle_speed"]["max"] == 20
    assert info["report"]["kept"]["frames"] == 10


def test_info_of_a_recording_without_frames_or_without_events(tmp_path: Path) -> None:
    frameless = write_recording(tmp_path / "a.hdf5", frames=0)
    assert "frames    0\n" in run("info", frameless, "--sensor", "32x24").stdout
    empty = write_recording(tmp_path / "b.hdf5", events=0)
    result = run("info", empty)
    assert result.exit_code == 0, result.output
    assert "events    0\n" in result.stdout


def test_info_of_a_data_set_counts_splits_and_pixels(recording: Path) -> None:
    run("encode", recording, "--window", "10ms,50ms")
    truth = Path("rec.eventseg/labels/truth")
    truth.mkdir(parents=True)
    label = Image.new("L", (32, 24), 2)
    label.paste(255, (0, 0, 32, 6))
    label.save(truth / "rec_f000001.png")
    text = run("info", "rec.eventseg").stdout
    for words in ("train          8 samples, 8 frames", "50ms", "class 2", "ignored", " 75.000"):
        assert words in text, words
    info = json.loads(run("info", "rec.eventseg", "--json").stdout)
    pixels = {"2": 576, "255": 192}
    of_truth = {
        "images": 1,
        "counted": 1,
        "pixels": pixels,
        "splits": {"train": pixels},
        "warnings": [],
    }
    assert info["labels"] == {"truth": of_truth}
    assert {name: split["samples"] for name, split in info["splits"].items()} == {
        "gap": 1, "train": 8, "val": 1,
    }  # fmt: skip
    run("encode", recording, "--anchor", "evsegnet", "--window", "10ms,50ms", "--out", "two")
    lines = run("info", "two", "--json").stdout.splitlines()
    assert [json.loads(line)["settings"]["windows"] for line in lines] == [["10ms"], ["50ms"]]
    Path("empty").mkdir()
    assert "no data set" in run("info", "empty").stderr


def test_info_of_a_data_set_says_what_its_tensors_are_and_what_filters_dropped(
    recording: Path,
) -> None:
    run("encode", recording, "--representation", "voxel:5", "--filter", "refractory:5ms")
    text = run("info", "rec.eventseg").stdout
    (entry,) = json.loads(run("info", "rec.eventseg", "--json").stdout)["recordings"]
    assert "tensors   5 x 24 x 32, voxel:5, rows 0-23" in text
    assert "filters   refractory:5ms\n" in text
    assert 0 < entry["dropped"]["refractory"] < 4_000
    assert f"{entry['dropped']['refractory']} refractory dropped" in text


@pytest.mark.slow
def test_view_draws_a_moment(recording: Path) -> None:
    result = run("view", recording)
    assert (result.exit_code, result.stdout) == (0, "rec.png\n")
    result = run("view", recording, "--at", "0.5s", "--window", "10ms", "--out", "moment.png")
    assert (result.exit_code, result.stdout) == (0, "moment.png\n")
    with Image.open("moment.png") as moment, Image.open("rec.png") as middle:
        assert moment.size == middle.size
    assert Path("moment.png").read_bytes() != Path("rec.png").read_bytes()
    result = run("view", recording, "--at", "12s")
    assert result.exit_code == 1
    assert "lasts 0.99" in result.stderr
    assert run("view", recording, "--at", "0s").exit_code == 0
    assert run("view", recording, "--at", "noon").exit_code == 2


def test_commands_leave_the_recording_as_it_is(recording: Path) -> None:
    before = recording.read_bytes()
    for command in (["info"], ["view"], ["encode", "--store", "none"]):
        assert run(*command, recording).exit_code == 0
    assert recording.read_bytes() == before
    assert set(tree(Path("rec.eventseg"))) >= {"manifest.toml", "samples.csv"}


def test_every_command_is_a_click_command() -> None:
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        assert command.help
