"""``eventseg simulate images``: recordings of a camera that moves in front of labelled images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .. import callbacks
from ..group import TitledCommand, option_group
from ..progress import Messages
from .options import (
    machine_options,
    output_options,
    print_summaries,
    refuse_existing,
    sensor_option,
)


@click.command("images", cls=TitledCommand, short_help="Move a camera in front of labelled images.")
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER"
)
@click.argument("out", type=click.Path(path_type=Path), metavar="OUT")
@option_group(
    "Images",
    click.option(
        "--layout",
        type=click.Choice(["auto", "own", "camvid", "cityscapes", "pairs"]),
        default="auto",
        show_default=True,
        help="How FOLDER is laid out. own: images/[train|val|test/]NAME.*, labels/... and "
        "classes.toml; pairs: images/NAME.* and labels/NAME.png; auto: the first that it has.",
    ),
    click.option(
        "--classes",
        metavar="TABLE",
        help="Classes of the labels of own and pairs: a class table by name or a .toml file.  "
        "[default: FOLDER/classes.toml; without it the classes of pairs are numbered]",
    ),
    click.option("--limit", type=click.IntRange(min=1), help="Take so many images of each part."),
)
@option_group(
    "Camera",
    click.option("--seed", type=int, default=0, show_default=True, help="Seeds motion and sensor."),
    click.option(
        "--shot",
        "shot_us",
        callback=callbacks.duration,
        default="120ms",
        show_default=True,
        metavar="LENGTH",
        help="How long each image is looked at: the longest window and 6 ms, or more, for windows "
        "of one image only.",
    ),
    click.option(
        "--strength",
        type=float,
        default=1.0,
        show_default=True,
        help="Size of the motion, up to 3.",
    ),
    click.option(
        "--depth",
        is_flag=True,
        help="Drive through the scene where FOLDER has disparities and cameras (own, cityscapes, "
        "pairs): near things move more than far ones, and instances on their own.",
    ),
    sensor_option,
)
@output_options
@machine_options
def images(
    folder: Path,
    out: Path,
    layout: str,
    classes: str | None,
    overwrite: bool,
    as_json: bool,
    messages: Messages,
    **settings: Any,
) -> None:
    """Turn labelled images into recordings: a camera pans, zooms, turns and shakes before each.

    OUT gets one recording for each part of FOLDER, such as train.hdf5 and test.hdf5.

    \b
    eventseg simulate images CamVid camvid-events --layout camvid
    eventseg simulate images mine events --shot 300ms --limit 20
    eventseg simulate images pairs events --classes my.toml
    eventseg simulate images cityscapes events --layout cityscapes --depth
    """  # noqa: D301
    from eventseg.labels.image_folders import left_out_note
    from eventseg.labels.tables import PAGE, load_class_table
    from eventseg.recordings.truth import truth_path
    from eventseg.simulate.image_layouts import find_images
    from eventseg.simulate.images import simulate_images

    table = None if classes is None else load_class_table(classes)
    images = find_images(folder, layout, classes=table)
    recordings = [out / f"{part}.hdf5" for part in images.parts]
    targets = [path for rec in recordings for path in (rec, truth_path(rec))]
    refuse_existing(targets, overwrite=overwrite)
    for note in left_out_note(images.left_out):
        messages.note(f"{folder}: {note}")
    if not images.named:
        messages.warn(
            f"the {len(images.classes)} classes of {folder} have no names: give --classes TABLE, "
            f"or write {folder}/classes.toml ({PAGE})"
        )
    with messages.bar() as bar:
        summaries = simulate_images(
            folder, out, layout=images.layout, classes=table, progress=bar.update, **settings
        )
    print_summaries(summaries, as_json=as_json)
