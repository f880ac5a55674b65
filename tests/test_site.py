"""The documentation: pages, links, commands and tutorials, and the site that is built of them."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner

import eventseg
from eventseg.networks import load_network
from eventseg.training.config.config import TrainConfig
from eventseg.training.config.describe import describe_settings
from eventseg_cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ROOT_PAGES = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
PAGES = [*(ROOT / name for name in ROOT_PAGES), *sorted(DOCS.rglob("*.md"))]
TUTORIALS = [
    DOCS / "index.md",
    *sorted((DOCS / "tutorials").glob("*.md")),
    *sorted((DOCS / "reproduction").glob("*.md")),
]
GENERATED = {"command-help.md", "overview.md"}
"""Pages that the build makes."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:    )?(?:\$ )?(?:uv run )?(eventseg [a-z].*)$")
INLINE = re.compile(r"`(eventseg [a-z][^`\n]*)`")


def prose(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"`[^`\n]*`", "code", FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings that GitHub and the site agree on."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = set()
    for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", title).strip().lower()
        github = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        site = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain))
        if github == site:
            found.add(github)
    return found


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_every_page_is_in_the_navigation_once() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r": ([\w./-]+\.md)$", navigation, re.MULTILINE)
    assert len(listed) == len(set(listed))
    there = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert set(listed) == there | GENERATED | set(ROOT_PAGES) - {"README.md"}, (
        "the navigation in mkdocs.yml and the pages in docs/ differ"
    )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        target, _, anchor = link.partition("#")
        if "://" in target or target in GENERATED:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name(page)}: {link}"
        assert path.is_relative_to(ROOT), f"{name(page)}: {link} leaves the repository"
        if anchor:
            assert anchor in anchors(path), f"{name(page)}: {link}"


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command line of eventseg that a page shows."""
    text = re.sub(r"\\\n\s*", " ", page.read_text(encoding="utf-8"))
    shown = [match[2] for match in FENCE.finditer(text) if match[1] in ("console", "sh")]
    for block in (*shown, FENCE.sub("", text)):
        fenced = block is not text and block in shown
        for line in block.splitlines():
            if (fenced or line.startswith("    ")) and (match := COMMAND.match(line)):
                yield shlex.split(match[1], comments=True)[1:]


def mentioned(page: Path) -> Iterator[list[str]]:
    """Yield the words of every command of eventseg that a page names in a sentence or a table."""
    for text in INLINE.findall(FENCE.sub("", page.read_text(encoding="utf-8"))):
        yield shlex.split(text)[1:]


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words begin with, and the words after its name."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]}")
        command, words = found, words[1:]
    return command, words


def check_call(words: list[str], *, complete: bool) -> None:
    """Raise a UsageError for words that the command line refuses before it reads any file.

    Parameters
    ----------
    words : list of str
        Those of a command, without ``eventseg``.
    complete : bool
        Whether a command without arguments is one that runs, and not a command's name.
    """
    words = words[:-1] if words[-1] == "&" else words[: [*words, "|"].index("|")]
    title = words[0]
    command, words = command_of(words)
    if {"--help", "-h", "--version"} & {*words} or isinstance(command, click.Group):
        return
    context = click.Context(command, info_name=command.name)
    given, left, _ = command.make_parser(context).parse_args(list(words))
    if left:
        raise click.UsageError(f"{left} are too many arguments")
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    values = {one.name: given.get(str(one.name)) for one in arguments}
    there = {name: v if isinstance(v, list | tuple) else [v] for name, v in values.items()}
    there = {name: [v for v in held if isinstance(v, str)] for name, held in there.items()}
    if not complete and not any(there.values()):
        return
    for one in arguments:
        if one.required and not there[one.name]:
            raise click.UsageError(f"{one.make_metavar(context)} is missing")
    for option in command.params:
        value = given.get(str(option.name))
        if isinstance(option.type, click.Choice) and isinstance(value, str):
            option.type.convert(value, option, context)
    if title == "evaluate" and len(there["names"]) != 2 - ("predictions" in given):
        raise click.UsageError("RUN DATA, or DATA with --predictions, is needed")
    if title == "audit" and ("truth" in given) == ("against" in given):
        raise click.UsageError("either --truth or --against is needed")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_are_no_usage_errors(page: Path) -> None:
    shown = [(words, True) for words in commands(page)]
    for words, complete in (*shown, *((words, False) for words in mentioned(page))):
        try:
            check_call(words, complete=complete)
        except click.UsageError as error:
            pytest.fail(f"{name(page)}: eventseg {shlex.join(words)}: {error.format_message()}")


@pytest.mark.parametrize(
    "words",
    [
        "nothing rec.hdf5",
        "info",
        "check drives more",
        "evaluate runs/events",
        "evaluate runs/events drives --predictions maps",
        "audit drives --labels own",
        "audit drives --labels own --truth truth --against other",
        "audit drives --truth truth --split some",
        "train drives --sed 1",
        "encode rec.hdf5 --window",
    ],
)
def test_wrong_calls_in_pages_are_found(words: str) -> None:
    with pytest.raises(click.UsageError):
        check_call(words.split(), complete=True)


SETTING = re.compile(r"`([a-z_]+\.[a-z_.]+?)(?:=[^`]*)?`")
FILES = ("csv", "html", "json", "md", "npz", "onnx", "partial", "png", "ppm", "toml")


def unknown_settings(text: str) -> list[str]:
    """Return the names in code such as ``size.resize`` that no setting of a training has."""
    known = {*describe_settings(TrainConfig)}
    tables = {path.rpartition(".")[0] for path in known}
    found = [name for name in SETTING.findall(text) if name.partition(".")[0] in tables]
    return [
        name
        for name in found
        if name.rpartition(".")[2] not in FILES
        and name not in known | tables
        and not name.startswith("network.options.")
        and not hasattr(torch.nn.Module, name.removeprefix("network."))
    ]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_settings_that_pages_name_exist(page: Path) -> None:
    if page.name != "CHANGELOG.md":  # names of earlier versions
        assert unknown_settings(page.read_text(encoding="utf-8")) == []


def test_settings_that_are_none_are_found() -> None:
    text = (
        "`size.height`, `size.resize=[1, 2]`, `loss.focal=2`, `input.scaling`, `split.csv`, `a.b`"
    )
    assert unknown_settings(text) == ["size.height", "loss.focal"]


def result(file: str) -> Any:
    return json.loads((ROOT / "benchmarks" / "results" / f"{file}.json").read_text())


def test_figures_in_sentences_are_those_of_the_results() -> None:
    speed = (DOCS / "speed.md").read_text(encoding="utf-8")
    one, two = (result("floor")["bandwidth_gb_s"][threads] for threads in "12")
    assert (
        f"{one['write']:.1f} GB/s written and {one['read']:.1f} GB/s read on one thread, "
        f"{two['write']:.1f} and {two['read']:.1f} on two" in speed
    )
    bytes_a_second = 1e9 * result("encoding")["bandwidth_gb_s"]["2"]["write"]
    millions = 50_000 / (6 * 4 * 346 * 260 / bytes_a_second) / 1e6
    assert f"{5 * round(millions / 5)} million events a second at 50 ms" in speed
    late = {
        name: result("simulators")[f"{name}, 2 ms"]["median_error_us"]
        for name in ("eventseg", "rule of v2e")
    }
    assert f"are {late['rule of v2e'] / late['eventseg']:.0f} times nearer" in speed
    rows = result("teachers")["cgnet, 346x260"]["rows"]
    before, exact, fast = (
        rows[key]["miou_against_truth"]
        for key in ("exact, the views of before", "exact, one view", "bfloat16, one view")
    )
    assert (
        f"costs this teacher {before - fast:.1f} points ({before - exact:.1f} in `exact`)" in speed
    )
    card = (ROOT / "eventseg" / "networks" / "shipped" / "street-fastscnn.md").read_text()
    parameters = sum(p.numel() for p in load_network("street").network.parameters())
    assert f"({parameters / 1e6:.1f} million parameters" in card


def test_scores_of_the_network_study_are_those_of_its_result() -> None:
    found = result("networks_study")["lines"]
    text = (DOCS / "reproduction/enet.md").read_text(encoding="utf-8")
    rows = {
        "Fast-SCNN": "fastscnn", "CGNet": "cgnet", "ENet": "enet",
        "ENet, all dilations 1": "enet-no-dilation",
        "ENet without regular bottlenecks": "enet-no-regular",
        "ENet without the pooling branch": "enet-no-pooling",
        "ENet, batch 10, rate 5e-4": "enet-batch10-rate0.0005",
        "ENet, batch 10, rate 8e-4": "enet-batch10-rate0.0008",
        "ENet, batch 5, rate 5e-4": "enet-batch5-rate0.0005",
        "ENet, batch 5, rate 8e-4": "enet-batch5-rate0.0008",
    }  # fmt: skip
    assert len(found) == len(rows)
    for row, line in rows.items():
        low, high = found[line]["interval_95"]
        assert len(found[line]["seeds"]) == 3
        assert f"| {row} | {found[line]['miou']:.1f} | {low:.1f} to {high:.1f} |" in text, row


def test_the_page_of_python_has_every_public_name() -> None:
    shown = re.findall(r"^::: eventseg\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert len(shown) == len(set(shown))
    assert set(shown) == set(eventseg.__all__) - {"__version__"}, (
        "docs/api.md and the public names differ"
    )


def test_the_page_of_commands_has_every_command() -> None:
    shown = set(re.findall(r"\| `eventseg (\w+)", (DOCS / "commands.md").read_text()))
    assert shown == set(COMMANDS), "docs/commands.md and the commands differ"


@pytest.fixture
def beside_drives(
    tiny_drive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder as a reader of the tutorials has it: recordings, a data set and a run."""
    for link, target in (
        ("rec.hdf5", "drive.hdf5"), ("rec.truth.h5", "drive.truth.h5"),
        ("drive.hdf5", "drive.hdf5"), ("drive.truth.h5", "drive.truth.h5"),
        ("other.hdf5", "other.hdf5"), ("other.truth.h5", "other.truth.h5"),
    ):  # fmt: skip
        (tmp_path / link).symlink_to(tiny_drive_folder / target)
    shutil.copytree(tiny_drive_folder / "drives", tmp_path / "drives")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "events").symlink_to(tiny_drive_folder / "run")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


@pytest.mark.parametrize("page", TUTORIALS, ids=name)
def test_tutorial_runs_from_top_to_bottom(
    page: Path, beside_drives: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.name == "index.md" and page.parent == DOCS:  # it makes what the others begin with
        beside_drives = beside_drives / "empty"
        beside_drives.mkdir()
        monkeypatch.chdir(beside_drives)
    names: dict[str, object] = {"__name__": "example"}
    steps = 0
    for language, block in FENCE.findall(page.read_text(encoding="utf-8")):
        file = re.match(r"# ([\w.]+\.(?:py|toml|csv))\n", block)
        if file:
            (beside_drives / file[1]).write_text(block, encoding="utf-8")
        elif language == "python":
            exec(compile(block, name(page), "exec"), names)
            steps += 1
        elif language == "console":
            for line in block.splitlines():
                assert line.startswith("$ eventseg "), f"{name(page)}: {line} does not run here"
                words = shlex.split(line, comments=True)[2:]
                result = CliRunner().invoke(main, words, catch_exceptions=False)
                assert result.exit_code == 0, f"{line}\n{result.output}"
                steps += 1
    assert steps > 0


def test_messages_of_errors_are_those_of_the_program(beside_drives: Path) -> None:
    Path("notes.txt").write_text("hello\nworld\n")
    Path("empty.hdf5").touch()
    blocks = FENCE.findall((DOCS / "errors.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 10
    for _, block in blocks:
        line, message = block.splitlines()
        assert line.startswith("$ eventseg ")
        result = CliRunner().invoke(main, shlex.split(line)[2:])
        assert result.exit_code == (1 if message.startswith("error: ") else 2), line
        begin, cut, _ = message.partition(" ...")
        assert begin in (result.output if cut else result.output.splitlines()), line


@pytest.mark.skipif(
    find_spec("mkdocs") is None, reason="needs the group docs: uv run --group docs pytest"
)
def test_the_site_builds_and_asks_no_other_host(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    built = list(tmp_path.rglob("*.html"))
    assert len(built) > len(PAGES) - 4
    loads = re.compile(
        r"<(?:script|img|iframe|source|link)\b[^>]*?(?:src|href)=\"?(https?://[^\"> ]+)"
    )
    for page in built:
        assert not loads.findall(page.read_text(encoding="utf-8")), page
    for style in tmp_path.rglob("*.css"):
        assert not re.findall(r"url\(\"?https?://|@import", style.read_text(encoding="utf-8")), (
            style
        )
