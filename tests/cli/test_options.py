"""Shared options, titled help, and help and page of settings made from the settings themselves."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from recording_fixtures import write_recording

from eventseg.evaluation.settings import EvaluationRequest
from eventseg.pseudolabel.recipes import LabelRecipe
from eventseg.simulate.street import DAVIS346
from eventseg.training.config.config import TrainConfig
from eventseg.training.config.describe import describe_settings, parameter_entries
from eventseg_cli import callbacks, printing
from eventseg_cli.group import OTHER, TitledCommand
from eventseg_cli.main import COMMANDS, main
from eventseg_cli.paths import RecordingPath

ROOT = Path(__file__).resolve().parents[2]


def commands() -> dict[str, click.Command]:
    """Return every command, those of a group by ``GROUP NAME``."""
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": one for inner, one in command.commands.items()}
        else:
            found[name] = command
    return found


EVERY = commands()
ON_ENGINES = {"convert", "encode", "evaluate", "predict", "pseudolabel", "simulate street"}
"""Commands whose work processes, clusters and shards of job arrays share."""
COMPUTE = {
    "check", "compare", "demo", "encode", "evaluate", "predict", "pseudolabel", "score",
    "simulate fit", "simulate images", "simulate street", "stream", "train",
}  # fmt: skip
LONG = {
    "align", "audit", "bench", "convert", "demo", "encode", "evaluate", "labels export",
    "labels import", "merge", "predict", "pseudolabel", "release", "reproduce", "score",
    "simulate fit", "simulate images", "simulate street", "stream", "train", "view",
}  # fmt: skip
WITH_DEVICE = {
    "bench", "encode", "evaluate", "predict", "pseudolabel", "score", "stream", "train", "view",
}  # fmt: skip
GROUPED = {
    "align", "audit", "convert", "encode", "evaluate", "predict", "pseudolabel", "release", "score",
    "stream", "train", "view", *(n for n in EVERY if " " in n),
}  # fmt: skip
READ_RECORDINGS = {
    "align", "bench", "check", "convert", "encode", "info", "predict", "simulate fit", "stream",
    "view",
}  # fmt: skip
OUT = set(EVERY) - {
    "doctor",
    "bench",
    "check",
    "info",
    "labels export",
    "labels import",
    "merge",
    "networks",
    "release",
    "simulate street",
    "simulate images",
    "simulate fit",
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def option(command: click.Command, flag: str) -> click.Option | None:
    for param in command.params:
        if isinstance(param, click.Option) and flag in param.opts:
            return param
    return None


@pytest.mark.parametrize(
    ("flag", "where"),
    [
        ("--threads", COMPUTE),
        ("--device", WITH_DEVICE),
        ("--workers", {"encode", "evaluate", "score", "train"}),
        ("--scheduler", ON_ENGINES),
        ("--shard", ON_ENGINES),
        ("--json", set(EVERY)),
        ("--quiet", LONG),
        ("-q", LONG),
        ("--progress", LONG),
        ("--out", OUT),
        ("--camera", READ_RECORDINGS),
        ("--time-unit", READ_RECORDINGS),
        ("--rotate180", {"convert", "encode", "info", "predict", "view"}),  # as docs/errors.md says
        ("--from", {"convert", "view"}),
        ("--until", {"convert", "view"}),
        (
            "--window",
            {
                "align",
                "bench",
                "encode",
                "evaluate",
                "predict",
                "release",
                "score",
                "stream",
                "train",
                "view",
            },
        ),
    ],
)
def test_a_shared_option_is_where_it_makes_sense(flag: str, where: set[str]) -> None:
    assert {name for name, command in EVERY.items() if option(command, flag)} == where


def test_commands_that_read_recordings_take_the_size_of_the_sensor() -> None:
    shared = {
        (option(EVERY[name], "--sensor") or click.Option(["-x"])).help for name in READ_RECORDINGS
    }
    assert shared == {"Size of the sensor, such as 640x480, where the file does not tell."}


@pytest.mark.parametrize("flag", ["--threads", "--device", "--json", "--quiet", "--progress"])
def test_a_shared_option_has_one_meaning(flag: str) -> None:
    found = [one for command in EVERY.values() if (one := option(command, flag)) is not None]
    # The default may differ, and what is said of it.
    assert len({(one.help or "").partition("  [default")[0].split(".")[0] for one in found}) == 1
    assert len({tuple(one.opts) for one in found}) == 1
    assert len({repr(one.type) for one in found}) == 1


def test_widths_may_be_none() -> None:
    # Help of score: "empty for none".
    for text, expected in ((None, None), ("", ()), ("1,4", (1, 4))):
        assert callbacks.widths(None, None, text) == expected  # type: ignore[arg-type]
    with pytest.raises(click.BadParameter, match="must be pixels from 1 to"):
        callbacks.widths(None, None, "0")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", EVERY)
def test_help_has_examples_and_long_helps_have_titles(name: str) -> None:
    text = run(*name.split(), "--help").stdout
    assert f"  eventseg {name}" in text
    assert isinstance(EVERY[name], TitledCommand) == (name in GROUPED)
    if name in GROUPED:
        titles = [line[:-1] for line in text.splitlines() if line[:1].isupper() and line[-1] == ":"]
        assert titles[-1] == OTHER
        assert len(titles) >= 3
        assert "Output" in titles
        shown = text.partition(f"\n{OTHER}:\n")[2].partition("\n\n")[0]
        assert len(shown.splitlines()) == 1  # --help alone
    assert all(
        one.help for one in EVERY[name].params if isinstance(one, click.Option) and not one.hidden
    )


def test_help_and_page_come_from_the_settings() -> None:
    spec = spec_from_file_location("make_settings", ROOT / "docs/make_settings.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.page() == (ROOT / "docs/settings.md").read_text(encoding="utf-8"), (
        "docs/settings.md is not current: uv run docs/make_settings.py"
    )


@pytest.mark.parametrize("kind", [TrainConfig, LabelRecipe, EvaluationRequest])
def test_every_setting_is_a_sentence_with_its_default(kind: type) -> None:
    described = describe_settings(kind)
    assert len(described) >= 9
    for path, setting in described.items():
        assert setting.text[:1].isupper(), path
        assert setting.text.endswith("."), path
        assert setting.type_text, path
        value: Any = kind()
        for name in path.split("."):
            value = getattr(value, name)
        assert setting.default == value, path


def test_no_default_is_typed_twice() -> None:
    for name in ("train", "evaluate", "pseudolabel"):
        source = (ROOT / f"cli/{name}.py").read_text()
        assert "[default: 50ms]" not in source
        assert "best.pt" not in source.replace('best.pt"', "").replace("{root}/best.pt", "")
    text = " ".join(run("train", "--help").stdout.split())
    described = describe_settings(TrainConfig)
    for path in ("batch_size", "optimiser.learning_rate", "network.name", "workers", "seed"):
        assert f"[default: {described[path].default_text}]" in text
    sensor = option(EVERY["simulate street"], "--sensor")
    assert sensor is not None
    assert sensor.default == f"{DAVIS346.width}x{DAVIS346.height}"


def test_entries_of_a_docstring_are_read_up_to_its_next_section() -> None:
    text = """Summary.

    Parameters
    ----------
    a, b : int
        Both of them. See :func:`some.where.function` and ``code``.
    c
        Goes on
        over lines.

    Raises
    ------
    d : float
        No parameter.
    """
    both = ("int", "Both of them. See function and code.")
    cleaned = "\n".join(line.removeprefix("    ") for line in text.splitlines())
    assert parameter_entries(cleaned) == {"a": both, "b": both, "c": ("", "Goes on over lines.")}


def test_json_is_all_that_stdout_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_recording(tmp_path / "rec.hdf5")
    encoded = json.loads(run("encode", "rec.hdf5", "--json").stdout)
    assert (encoded["data"], encoded["samples"], encoded["already"]) == ("rec.eventseg", 10, False)
    assert encoded["splits"] == {"gap": 1, "train": 8, "val": 1}
    whole = run("check", "rec.eventseg", "--json")
    assert json.loads(whole.stdout) == {
        "data": "rec.eventseg", "kind": "data set", "whole": True, "problems": [], "warnings": [],
        "repaired": [],
    }  # fmt: skip
    next(Path("rec.eventseg/frames").iterdir()).unlink()
    broken = run("check", "rec.eventseg", "--json")
    assert broken.exit_code == 1
    assert len(json.loads(broken.stdout)["problems"]) == 1
    shown = json.loads(run("networks", "fastscnn", "--json").stdout)
    assert shown["networks"][0]["name"] == "fastscnn"
    assert shown["networks"][0]["parameters"] > 1_000_000
    simulated = run(
        *("simulate", "street", "a.hdf5", "--duration", "30ms", "--sensor", "32x24", "--json")
    )
    assert json.loads(simulated.stdout)["recording"] == "a.hdf5"


def test_json_has_no_number_that_json_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    printing.print_json({"a": [math.nan, 1.5, (math.inf,)], "b": np.float64(2), "c": Path("x")})
    assert json.loads(capsys.readouterr().out) == {"a": [None, 1.5, [None]], "b": 2.0, "c": "x"}


def test_commands_wait_without_spinning_unless_the_user_says_otherwise() -> None:
    code = """
import os, sys
from eventseg_cli.main import main
try:
    main(["networks", "fastscnn"])
except SystemExit:
    pass
print(os.environ["OMP_WAIT_POLICY"], os.environ["KMP_BLOCKTIME"], "torch" in sys.modules)
"""
    for given, expected in (({}, "PASSIVE 0 False"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE 0")):
        environment = {"PATH": "", **given}
        ended = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert ended.stdout.splitlines()[-1].startswith(expected), ended.stderr


def takes_file(kind: click.ParamType) -> bool:
    return isinstance(kind, RecordingPath) or (isinstance(kind, click.Path) and not kind.dir_okay)


def test_quiet_and_progress_exclude_each_other_everywhere(tmp_path: Path) -> None:
    for name in sorted(LONG):
        # What each argument may be: a file, or else a folder.
        arguments = [
            __file__ if takes_file(p.type) else tmp_path
            for p in EVERY[name].params
            if isinstance(p, click.Argument)
        ]
        if name == "convert":
            arguments = [__file__, tmp_path / "out.raw"]
        result = run(*name.split(), *arguments, "--quiet", "--progress")
        assert result.exit_code == 2, name
        assert "--quiet and --progress exclude each other" in result.stderr, name
