"""Many streets of one setting, a recording a seed: by processes, a cluster or a job array."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventseg.dataset.jobs.job import TRIES
from eventseg.dataset.jobs.shard import SHARDS, Shard, read_shards, remove_shards, was_merged
from eventseg.dataset.jobs.workers import Workers, open_workers
from eventseg.device import thread_count
from eventseg.errors import DatasetError, OutputError
from eventseg.files.locks import locked
from eventseg.files.texts import counted
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.simulate.files import MOST_THREADS, Summary
from eventseg.simulate.street_job import StreetJob, StreetSetting, make_street
from eventseg.simulate.streets_folder import StreetsFolder, difference, read_streets, street_file

KIND = "streets"
"""Word for streets in the records of shards."""


@dataclass(frozen=True, slots=True)
class StreetsSummary:
    """Result of simulating several streets.

    Parameters
    ----------
    path : Path
        The folder.
    streets : int
        Number of streets that were asked for.
    made : tuple of Summary
        Those that this call simulated, in the order of the seeds; the others were there.
    shard : Shard, optional
        Shard of a job array; None for all seeds.
    """

    path: Path
    streets: int
    made: tuple[Summary, ...]
    shard: Shard | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON holds it."""
        return {
            "streets": str(self.path),
            "shard": None if self.shard is None else str(self.shard),
            "recordings": self.streets,
            "simulated": len(self.made),
            "events": sum(one.n_events for one in self.made),
            "frames": sum(one.n_frames for one in self.made),
        }

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        what = "" if self.shard is None else f"shard {self.shard} done, "
        lines = [f"{self.path}: {what}{counted(self.streets, 'street')}"]
        if self.made:
            events = sum(one.n_events for one in self.made)
            frames = sum(one.n_frames for one in self.made)
            seconds = sum(one.duration_us for one in self.made) / 1e6
            lines.append(
                f"  {seconds:g} s simulated, {counted(events, 'event')}, {counted(frames, 'frame')}"
            )
        if len(self.made) < self.streets:
            lines.append(f"  {self.streets - len(self.made):,} of them were there before")
        if self.shard is not None:
            lines.append(f"  when all {self.shard.of} are done: eventseg merge {self.path}")
        return lines


def simulate_streets(
    out: str | Path,
    seeds: Sequence[int],
    *,
    duration_us: int,
    overwrite: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
    tries: int = TRIES,
    threads: int | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> StreetsSummary:
    """Simulate a street for each seed into a folder, or finish a stopped run.

    The folder gets ``street-SEED.hdf5`` with its truth and, when all are there, ``streets.toml``.
    Each has the bytes that :func:`eventseg.simulate_street` gives it. More seeds of the same
    settings can be added by a later call.

    Parameters
    ----------
    out : path
        Folder to make.
    seeds : sequence of int
        Different seeds, such as ``range(100)``.
    duration_us : int
        Length of each drive in microseconds, at least 10 ms.
    overwrite : bool
        Simulate all seeds again, and replace streets of other settings.
    jobs : int
        Processes; a script that asks for more than one needs ``if __name__ == "__main__":``.
    scheduler : str, optional
        Dask cluster that simulates in place of processes of this machine: address of its
        scheduler, path of its scheduler file, or ``local`` for one of so many ``jobs`` here.
    tries : int
        Times that a street is tried whose process is lost or fails in an unknown way.
    threads : int, optional
        Threads of all processes together, by default the processors, 16 at most for each; with a
        scheduler those of each worker, by default one.
    progress : callable
        Called with the simulated seconds of all streets; the note is the rate of events of those
        that are done.
    **settings
        Parameters of :func:`eventseg.simulate_street`: ``scenario``, ``sensor``, ``rare``,
        ``step_us``, ``tolerance``, ``packets``, ``version``, ``mounting``, ``settings``.

    Raises
    ------
    SimulationError
        Settings of which no street can be made, no seed or equal ones.
    OutputError
        The folder cannot be written, or holds something else.
    JobsError, MissingExtraError, ClusterError
        Some streets could not be simulated, the others are; Dask or its cluster cannot be used.

    Examples
    --------
    >>> made = simulate_streets(
    ...     "streets", range(2), duration_us=20_000, sensor=SensorSize(24, 32), threads=1
    ... )
    >>> [path.name for path in sorted(made.path.glob("*.hdf5"))]
    ['street-000000.hdf5', 'street-000001.hdf5']
    """
    setting = StreetSetting(duration_us, **settings)
    setting.check(seeds)
    root = _made_folder(Path(out))
    with ExitStack() as stack:
        stack.enter_context(locked(root, doing="simulating"))
        folder = StreetsFolder(root, setting.to_dict(), seeds, overwrite=overwrite)
        folder.begin()
        made = _simulate(
            folder,
            setting,
            seeds,
            pool=stack.enter_context(
                open_workers(workers=jobs, scheduler=scheduler, tries=tries, folder=root.absolute())
            ),
            threads=threads,
            cluster=scheduler is not None,
            progress=progress,
        )
        folder.finish()
    return StreetsSummary(root, len(seeds), made)


def simulate_streets_shard(
    out: str | Path,
    seeds: Sequence[int],
    *,
    shard: Shard | str,
    duration_us: int,
    jobs: int = 1,
    tries: int = TRIES,
    threads: int | None = None,
    progress: Report = no_report,
    **settings: Any,
) -> StreetsSummary:
    """Simulate one shard of a job array: about ``1/N`` of the seeds.

    Every shard gets the same seeds and settings. :func:`merge_streets` completes the folder.

    Parameters
    ----------
    out, seeds, duration_us, jobs, tries, threads, progress, **settings
        As for :func:`simulate_streets`.
    shard : Shard or str
        ``2/5`` for the second of five, or ``slurm`` for that of the environment.

    Raises
    ------
    EventsegError
        As :func:`simulate_streets`.
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
    setting = StreetSetting(duration_us, **settings)
    setting.check(seeds)
    root = _made_folder(Path(out))
    mine = [seed for _, lo, hi in shard.parts([len(seeds)]) for seed in seeds[lo:hi]]
    with ExitStack() as stack:
        stack.enter_context(locked(root, doing="simulating", shared=True))
        shard.check_array(root)
        folder = StreetsFolder(root, setting.to_dict(), mine, shared=True)
        folder.begin()
        pool = stack.enter_context(open_workers(workers=jobs, tries=tries))
        made = _simulate(
            folder, setting, mine, pool=pool, threads=threads, cluster=False, progress=progress
        )
        table = {"kind": KIND, "seeds": list(seeds), "done": mine, "settings": setting.to_dict()}
        shard.write(root, table)
    return StreetsSummary(root, len(mine), made, shard)


def merge_streets(root: Path) -> StreetsSummary:
    """Complete a folder of streets that the shards of a job array have simulated.

    Raises
    ------
    DatasetError
        Shards that are missing, contradict each other or lack recordings; the message names those
        to run again.
    OutputError
        The folder cannot be written, or a shard is still running.
    """
    with locked(root, doing="simulating"):
        if was_merged(root):
            remove_shards(root)
            streets = read_streets(root)
            return StreetsSummary(root, 0 if streets is None else len(streets[1]), ())
        shards = read_shards(root, kind=KIND)
        place, first = shards[0]
        done: set[int] = set()
        try:
            seeds = [int(seed) for seed in first["seeds"]]
            settings = dict(first["settings"])
            for path, table in shards:
                differs = difference(settings, table["settings"])
                if list(table["seeds"]) != seeds:
                    differs = f"seeds were {_shown(seeds)}, now {_shown(table['seeds'])}"
                if differs is not None:
                    raise DatasetError(
                        f"shards {place.name} and {path.name} differ: {differs}; run one of them "
                        "again"
                    )
                done |= {int(seed) for seed in table["done"]}
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(
                f"{root / SHARDS} contradicts itself ({error}); remove it and run all shards again"
            ) from error
        folder = StreetsFolder(root, settings, seeds, shared=True)
        lacking = [seed for seed in seeds if seed not in done or not folder.is_done(seed)]
        if lacking:
            raise DatasetError(
                f"{root} lacks {len(lacking)} streets of its shards, such as "
                f"{street_file(root, lacking[0]).name}; run the shards again that made them"
            )
        folder.finish()
        remove_shards(root)
    return StreetsSummary(root, len(seeds), ())


def _simulate(
    folder: StreetsFolder,
    setting: StreetSetting,
    seeds: Sequence[int],
    *,
    pool: Workers,
    threads: int | None,
    cluster: bool,
    progress: Report,
) -> tuple[Summary, ...]:
    """Simulate the streets that are not there, and return their summaries."""
    missing = [seed for seed in seeds if not folder.is_done(seed)]
    share = (threads or 1) if cluster else thread_count(threads) // pool.slots
    share = min(MOST_THREADS, max(1, share))
    # A cluster has the folder under the same absolute path.
    root = folder.root.absolute()
    jobs = [StreetJob(street_file(root, seed), seed, setting, share) for seed in missing]
    total_s = len(missing) * setting.duration_us / 1e6
    made: dict[int, Summary] = {}
    begin_s = time.monotonic()

    def report(done_s: float) -> None:
        spent_s = time.monotonic() - begin_s
        events = sum(one.n_events for one in made.values())
        rate = f", {events / spent_s / 1e6:.2f} M events/s" if events and spent_s > 0.5 else ""
        note = f"{len(made)} of {len(jobs)} streets{rate}"
        progress(Progress("simulate", done_s, total_s, "s", note))

    pool.run(
        make_street,
        jobs,
        progress=report,
        finished=made.__setitem__,
        title=lambda index: f"seed {missing[index]}",
    )
    return tuple(made[index] for index in range(len(jobs)))


def _made_folder(root: Path) -> Path:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {root}: {error.strerror or error}") from error
    return root


def _shown(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:5])) + (", ..." if len(seeds) > 5 else "")
