"""Damaged files of every kind: each must give a result or one error of this package.

    uv run python benchmarks/fuzz.py --minutes 1
    uv run python benchmarks/fuzz.py --only evt3 --only manifest --seed 7 --out findings
    uv run --with atheris python benchmarks/fuzz.py --minutes 10

Sound files are written by the generators of the tests and damaged at random: flipped bits, numbers
at the limits of their types, cuts, insertions, pieces copied over others, several at once. Where
atheris is installed it chooses the damage by the lines of the package that are reached. An input
that ends otherwise than in a result or an EventsegError, takes more than 20 s of the processor,
60 s of the clock (a child that repacks HDF5 has 30) or 8 GiB, or ends the process is a finding: its
bytes and the traceback are kept, one for each place in the code. Exit code 1 says that there are
some. ``--replay FILE --only KIND`` reads one again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from fuzz_kinds import Kind, kinds

HANG_PROCESSOR_S, HANG_CLOCK_S = 20, 60
MEMORY_BYTES = 8 << 30
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1,
         2**63, 2**64 - 1)  # fmt: skip
WORDS = (b"nan", b"-1", b"0", b"1e999", b"9" * 30, b'""', b"[]", b"{}", b"true", b"../x", b"/",
         b"\x00", b"\xff", b"\n", b"0.5", b"2147483648", b"-9223372036854775809")  # fmt: skip

VALUE = re.compile(rb"""-?\b\d[\d.e+-]*|"[^"\n]*"|\btrue\b|\bfalse\b""")


class HangError(BaseException):
    """An input took too long."""


def damaged(content: bytes, chance: random.Random, *, text: bool) -> bytes:
    """Return content with one to six kinds of damage; text mostly keeps its syntax."""
    made = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        if text and chance.random() < 0.7:
            damage_word(made, chance)
        else:
            damage_bytes(made, chance)
    return bytes(made)


def damage_word(made: bytearray, chance: random.Random) -> None:
    """Exchange a value of text, or leave out, repeat or move a line."""
    values = list(VALUE.finditer(made))
    if values and chance.random() < 0.7:
        one = chance.choice(values)
        other = chance.choice((*WORDS, chance.choice(values).group()))
        made[slice(*one.span())] = other
        return
    lines = made.splitlines(keepends=True)
    if lines:
        at, line = chance.randrange(len(lines)), chance.choice(lines)
        lines[at : at + chance.choice((0, 1))] = [line] * chance.choice((0, 1, 2))
        made[:] = b"".join(lines)


def damage_bytes(made: bytearray, chance: random.Random) -> None:
    """Change, cut, insert or copy bytes, in half of the cases near the begin."""
    at = chance.randrange(len(made) + 1)
    if chance.random() < 0.5:  # headers decide most
        at = chance.randrange(1 + min(len(made), 512))
    length = chance.choice((1, 2, 4, 8, 64, 1 + len(made) // 4))
    match chance.randrange(7):
        case 0 if at < len(made):
            made[at] ^= 1 << chance.randrange(8)
        case 1 if at < len(made):
            made[at] = chance.randrange(256)
        case 2:
            size = chance.choice((1, 2, 4, 8))
            value = chance.choice(EDGES) & (2 ** (8 * size) - 1)
            made[at : at + size] = value.to_bytes(size, chance.choice(("little", "big")))
        case 3:
            del made[at:]
        case 4:
            del made[at : at + length]
        case 5:
            made[at:at] = chance.choice((chance.randbytes(length), *WORDS))
        case _:
            begin = chance.randrange(len(made) + 1)
            made[at : at + length] = made[begin : begin + length]


class Reading:
    """Reads damaged files in one place, and keeps what ends wrongly."""

    def __init__(self, kind: Kind, folder: Path, out: Path) -> None:
        self.kind, self.out = kind, out
        self.path = kind.make(folder)
        self.content = self.path.read_bytes()
        self.counts = {"inputs": 0, "results": 0, "errors": 0, "findings": 0}
        self._places: set[str] = set()
        self._saved_s = 0.0

    def read(self, content: bytes) -> None:
        """Read one input and count its outcome."""
        from eventseg.errors import EventsegError

        # A new file each time: digests and indexes of files are kept by path, size and time.
        self.path.unlink(missing_ok=True)
        self.path.write_bytes(content)
        self.counts["inputs"] += 1
        try:
            with alarm(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.kind.read(self.path)
            self.counts["results"] += 1
        except EventsegError:
            self.counts["errors"] += 1
        except (Exception, HangError) as error:
            self.keep(content, error)
        if time.monotonic() - self._saved_s > 1:
            self.save()

    def keep(self, content: bytes, error: BaseException) -> None:
        """Keep an input that ended wrongly, the first of its place in the code."""
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "eventseg/" in f.filename]
        place = f"{Path(frames[-1].filename).stem}-{frames[-1].lineno}" if frames else "unknown"
        name = f"{type(error).__name__}-{place}"
        if name not in self._places:
            self._places.add(name)
            self.counts["findings"] += 1
            folder = self.out / self.kind.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}{self.path.suffix}").write_bytes(content)
            (folder / f"{name}.txt").write_text("".join(traceback.format_exception(error)))

    def save(self) -> None:
        """Write the counts, which the process that started this one reads."""
        self._saved_s = time.monotonic()
        folder = self.out / self.kind.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "counts.json").write_text(json.dumps(self.counts))


@contextlib.contextmanager
def alarm() -> Iterator[None]:
    """Raise a HangError in what takes too long."""

    def ring(number: int, _frame: Any) -> None:
        by_clock = number == signal.SIGALRM
        seconds = f"{HANG_CLOCK_S} s" if by_clock else f"{HANG_PROCESSOR_S} s of the processor"
        raise HangError(f"more than {seconds}")

    timers = (
        (signal.ITIMER_REAL, signal.SIGALRM, HANG_CLOCK_S),
        (signal.ITIMER_PROF, signal.SIGPROF, HANG_PROCESSOR_S),
    )
    for timer, number, seconds in timers:
        signal.signal(number, ring)
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for timer, _, _ in timers:
            signal.setitimer(timer, 0)


def compiled_modules() -> list[str]:
    """Return the modules with compiled functions, which Numba cannot compile when instrumented."""
    root = Path(__file__).resolve().parents[1]
    return [
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in sorted((root / "eventseg").rglob("*.py"))
        if re.search(r"^@compiled|njit", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def fuzz_kind(kind: Kind, folder: Path, out: Path, *, minutes: float, seed: int) -> None:
    """Read damaged files of a kind in this process for so many minutes of processor time."""
    if importlib.util.find_spec("atheris"):
        import atheris

        with atheris.instrument_imports(include=["eventseg"], exclude=compiled_modules()):
            reading = Reading(kind, folder, out)
            kind.read(reading.path)
        corpus = out / kind.name / "corpus"
        corpus.mkdir(parents=True, exist_ok=True)
        (corpus / "sound").write_bytes(reading.content)
        words = [f"-max_total_time={round(60 * minutes)}", f"-seed={seed + 1}", "-verbosity=0"]
        words += [
            f"-max_len={2 * len(reading.content) + 64}",
            f"-rss_limit_mb={MEMORY_BYTES >> 20}",
        ]
        atheris.Setup([sys.argv[0], *words, str(corpus)], reading.read)
        atheris.Fuzz()
        return
    reading = Reading(kind, folder, out)
    kind.read(reading.path)  # The sound file; kernels are compiled before memory is bounded.
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    chance = random.Random(f"{kind.name} {seed}")
    end_s = time.process_time() + 60 * minutes
    while time.process_time() < end_s:
        reading.read(damaged(reading.content, chance, text=kind.text))
    reading.save()


def run_kind(name: str, out: Path, *, minutes: float, seed: int) -> dict[str, int]:
    """Fuzz a kind in a process of its own, whose end is a finding too; return its counts."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["--inside", folder, "--only", name, "--minutes", minutes, "--seed", seed]
        environment = {**os.environ, "EVENTSEG_CACHE": f"{folder}/cache"}
        for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment[variable] = "1"
        log = out / name / "log.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as file:
            ended = subprocess.run(
                [sys.executable, __file__, *map(str, words), "--out", out],
                env=environment, stdout=file, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        counts_file = out / name / "counts.json"
        if not counts_file.exists():
            raise click.ClickException(f"{name} did not begin: {log.read_text()[-2_000:]}")
        counts: dict[str, int] = json.loads(counts_file.read_text())
        if ended.returncode:
            counts["findings"] += 1
            place = out / name / f"ended-{ended.returncode}"
            shutil.copytree(folder, place, dirs_exist_ok=True)
    return counts


# Click keeps the lines of a paragraph that a backspace begins.
@click.command(help=__doc__.replace("\n\n    ", "\n\n\b\n    "))
@click.option(
    "--minutes",
    type=float,
    default=1.0,
    show_default=True,
    help="Minutes a kind, of the processor; with atheris, of the clock.",
)
@click.option("--only", multiple=True, metavar="KIND", help="Only this kind; may be repeated.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the damage.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("fuzz"), show_default=True)
@click.option("--replay", type=click.Path(exists=True, path_type=Path), help="Read this input.")
@click.option("--inside", type=click.Path(path_type=Path), hidden=True)
def command(
    minutes: float,
    only: tuple[str, ...],
    seed: int,
    out: Path,
    replay: Path | None,
    inside: Path | None,
) -> None:
    """Fuzz kinds of files one after the other and print a row for each."""
    every = kinds()
    for name in only:
        if name not in every:
            raise click.BadParameter(f"{name!r} is none of {', '.join(every)}")
    chosen = only or tuple(every)
    if inside is not None:
        fuzz_kind(every[chosen[0]], inside, out, minutes=minutes, seed=seed)
        return
    if replay is not None:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["EVENTSEG_CACHE"] = f"{folder}/cache"
            path = every[chosen[0]].make(Path(folder))
            path.unlink()
            shutil.copyfile(replay, path)
            click.echo(every[chosen[0]].read(path))
        return
    guided = importlib.util.find_spec("atheris") is not None
    click.echo("atheris, guided by coverage" if guided else "random damage; no atheris here")
    click.echo("| kind | inputs | results | errors | findings |\n|---|---|---|---|---|")
    total = 0
    for name in chosen:
        counts = run_kind(name, out.absolute(), minutes=minutes, seed=seed)
        total += counts["findings"]
        click.echo("| " + " | ".join([name, *(f"{n:,}" for n in counts.values())]) + " |")
    click.echo(f"{total} findings" + (f", kept in {out}" if total else ""))
    sys.exit(1 if total else 0)


if __name__ == "__main__":
    command()
