"""Turn labelled images into event recordings: a camera moves in front of each for a moment.

Each image is one shot; the shots of a part (``train``, ``test`` ...) follow one another in one
recording. The sensor settles anew before each, so no event comes from a cut. The frame is exposed
until its readout, 6 ms before the shot ends: a window that ends at a frame sees one image only
where the shot is longer by these 6 ms.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import DatasetError
from eventseg.events import SensorSize
from eventseg.images import picture_size
from eventseg.labels.image_folders import Item
from eventseg.labels.maps import ClassTable, table_of
from eventseg.recordings.ddd17.writer import DDD17Writer, PacketOrder
from eventseg.recordings.progress import Progress, Report, no_report
from eventseg.recordings.truth import TruthWriter
from eventseg.recordings.truth_pair import finished_pair
from eventseg.simulate.depth_files import DepthFiles, depth_files, read_camera, read_depth
from eventseg.simulate.depth_shot import DEPTH_VERSION, at_sensor, film_of_shot
from eventseg.simulate.files import Summary, check_numbers, summary_of, thread_count
from eventseg.simulate.image_film import ImageFilm, Motion, low_passed
from eventseg.simulate.image_layouts import AUTO, find_images, load_pair
from eventseg.simulate.recorder import Recorder
from eventseg.simulate.scene.film import Film
from eventseg.simulate.scene.scenarios import SimulationError
from eventseg.simulate.sensor.aps import ApsModel, frame_ending_at
from eventseg.simulate.sensor.dvs import DvsSensor
from eventseg.simulate.sensor.dvs_model import DvsModel
from eventseg.simulate.street import DAVIS346

START_US = 11_000_000
"""What the sensor's clock shows at the start."""

_APS = ApsModel(exposure_us=6_000, readout_us=6_000, gain=1.0)


def simulate_images(
    folder: str | Path,
    out: str | Path,
    *,
    layout: str = AUTO,
    classes: ClassTable | None = None,
    seed: int = 0,
    shot_us: int = 120_000,
    strength: float = 1.0,
    depth: bool = False,
    limit: int | None = None,
    sensor: SensorSize = DAVIS346,
    dvs: DvsModel | None = None,
    threads: int | None = None,
    step_us: int = 2_000,
    packets: PacketOrder = "sorted",
    progress: Report = no_report,
) -> list[Summary]:
    """Record every labelled image of a folder with a simulated DAVIS in motion.

    Parameters
    ----------
    folder : path
        The images, gray or colour.
    out : path
        Folder for the recordings, one ``PART.hdf5`` with its ``PART.truth.h5`` per part. The
        frame of image ``i`` is frame ``i``; the names are in the truth file's recipe.
    layout : str
        One of :data:`eventseg.simulate.image_layouts.LAYOUTS`; ``auto`` takes the first that the
        folder has.
    classes : ClassTable, optional
        Classes of the labels of the layouts ``own`` and ``pairs``, in place of ``classes.toml``.
    seed : int
        Seeds motion and sensor.
    shot_us : int
        How long each image is looked at; its frame's exposure ends 6 ms before the shot does.
    strength : float
        Size of the motion, above 0 to 3; 1 pans by up to a few tens of pixels per second.
    depth : bool
        Move the camera through the scene instead of before the picture, where the folder has
        disparities and cameras (``own``, ``cityscapes``, ``pairs``): near things move more than far
        ones, and instances move on their own. The view at the time of the frame is the picture.
    limit : int, optional
        Take only so many images of each part, evenly spread.
    packets : {"sorted", "containers"}
        Order of the packets in the files, see :class:`eventseg.recordings.DDD17Writer`.
    sensor, threads, step_us, progress
        As in :func:`eventseg.simulate.street.simulate_street`.
    dvs : DvsModel, optional
        How the sensor behaves.

    Raises
    ------
    SimulationError
        No labelled images, labels or depth that do not fit their images, no depth where it is
        asked for, or numbers out of range.
    OutputError
        The files cannot be written. Nothing half-written is left behind.
    """
    check_numbers(duration_us=shot_us, seed=seed, sensor=sensor, step_us=step_us)
    if shot_us < 30_000:
        raise SimulationError(f"shots of {shot_us} us are too short: give at least 30000 us")
    if not 0.0 < strength <= 3.0:
        raise SimulationError(f"motion strength {strength} is out of range: above 0 to 3")
    if limit is not None and limit < 1:
        raise SimulationError(f"a limit of {limit} leaves no image: give 1 or more")
    images = find_images(Path(folder), layout, classes=classes)
    shots = {part: _spread(items, limit) for part, items in images.parts.items()}
    # All parts are looked through before the first is recorded, which takes minutes.
    depths = {
        part: [depth_files(item, images.layout, root=Path(folder)) for item in chosen]
        if depth
        else []
        for part, chosen in shots.items()
    }
    depth_recipes = {
        part: _depth_recipe(chosen, depths[part]) for part, chosen in shots.items() if depth
    }
    total = sum(map(len, shots.values()))
    summaries: list[Summary] = []
    done = 0

    def shot_done() -> None:
        nonlocal done
        done += 1
        progress(Progress("simulate", done, total, "image"))

    for part, chosen in shots.items():
        summaries.append(
            _simulate_part(
                chosen,
                Path(out) / f"{part}.hdf5",
                classes=images.classes.names,
                recipe={
                    "kind": "images",
                    "layout": images.layout,
                    "part": part,
                    "seed": seed,
                    "strength": strength,
                    "shot_us": shot_us,
                    "step_us": step_us,
                    "names": [item.image.name for item in chosen if item.image],
                    "t0_us": START_US,
                    "t1_us": START_US + shot_us * len(chosen),
                    **({"depth": depth_recipes[part]} if depth else {}),
                    # Colours of a table that comes with the package follow from its names.
                    **(
                        {"class_table": _table_recipe(images.classes)}
                        if images.classes != table_of(images.classes.names)
                        else {}
                    ),
                },
                files=depths[part],
                sensor=sensor,
                dvs=dvs or DvsModel(),
                packets=packets,
                workers=thread_count(threads),
                shot_done=shot_done,
            )
        )
    return summaries


def _spread(items: list[Item], limit: int | None) -> list[Item]:
    """Return the items, or so many of them at equal distances."""
    count = len(items) if limit is None else min(limit, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def _simulate_part(
    items: list[Item],
    target: Path,
    *,
    classes: tuple[str, ...],
    recipe: dict[str, Any],
    files: list[DepthFiles],
    sensor: SensorSize,
    dvs: DvsModel,
    packets: PacketOrder,
    workers: int,
    shot_done: Callable[[], None],
) -> Summary:
    seed, shot_us, step_us = (int(str(recipe[name])) for name in ("seed", "shot_us", "step_us"))
    strength = float(str(recipe["strength"]))
    with finished_pair(target) as (recording, truth_file), ThreadPoolExecutor(workers) as pool:
        truth = TruthWriter(truth_file, sensor=sensor, classes=classes, recipe=recipe)
        try:
            with DDD17Writer(recording, sensor=sensor, packets=packets) as writer:
                recorder = Recorder(
                    writer,
                    truth,
                    dvs=DvsSensor(sensor, dvs, seed=seed),
                    aps=_APS,
                    seed=seed,
                    step_us=step_us,
                    t0_us=START_US,
                    pool=pool,
                    bands=workers,
                )
                for shot, item in enumerate(items):
                    gray, label = load_pair(item)
                    size = (gray.shape[0], gray.shape[1])
                    if min(size) < 16:
                        raise SimulationError(
                            f"{item.image} is {size[1]}x{size[0]}: give images of 16 pixels or more"
                        )
                    start, end = shot * shot_us, (shot + 1) * shot_us
                    film: Film
                    if files:
                        film = _with_depth(
                            truth, recipe, shot, files[shot], gray, label, classes, sensor
                        )
                    else:
                        motion = Motion.draw(seed, shot, size, sensor, strength=strength)
                        smooth = low_passed(gray, scale=motion.scale)
                        film = ImageFilm(smooth, label, motion, sensor, start)
                        truth.add_source(label)
                    recorder.shoot(film, start, end, [frame_ending_at(_APS, end - _APS.readout_us)])
                    shot_done()
        finally:
            truth.close()
    return summary_of(target, recorder.tally, shot_us * len(items), classes)


def _depth_recipe(items: list[Item], files: list[DepthFiles]) -> dict[str, Any]:
    """Return camera and picture size of each shot, and when in a shot its frame ends."""
    sizes = []
    for item in items:
        if item.image is not None:
            try:
                sizes.append(picture_size(item.image))
            except DatasetError as error:
                raise SimulationError(str(error)) from error
    return {
        "version": DEPTH_VERSION,
        "cameras": [read_camera(one).table() for one in files],
        "pictures": [[int(height), int(width)] for height, width in sizes],
        "before_end_us": _APS.readout_us,
    }


def _table_recipe(table: ClassTable) -> dict[str, Any]:
    """Return name and colours of a class table."""
    return {"name": table.name, "colours": [list(colour) for colour in table.colours]}


def _with_depth(
    truth: TruthWriter,
    recipe: dict[str, Any],
    shot: int,
    files: DepthFiles,
    gray: NDArray[np.float32],
    label: NDArray[np.uint8],
    classes: tuple[str, ...],
    sensor: SensorSize,
) -> Film:
    """Return the film of a shot with depth, and keep its maps in the truth."""
    camera, size = read_camera(files), (gray.shape[0], gray.shape[1])
    depth, instance = read_depth(files, camera, size=size)
    light, labels, known, ids = at_sensor(
        gray,
        label,
        depth,
        instance,
        sensor,
        strength=recipe["strength"],
        sky=classes.index("sky") if "sky" in classes else None,
    )
    truth.add_source(labels, depth=known, instance=ids)
    maps = (light, labels, known, ids)
    return film_of_shot(recipe, shot, *maps, classes=classes, sensor=sensor)
