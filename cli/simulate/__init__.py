"""``eventseg simulate``: recordings with exact labels, and how like a real one their events are."""

from __future__ import annotations

import click

from ..group import SuggestingGroup
from .fit import fit
from .images import images
from .street import street


@click.group(cls=SuggestingGroup)
def command() -> None:
    """Make recordings in the layout of DDD17 whose every label is known.

    Beside OUT.hdf5 lies OUT.truth.h5 with the class of every pixel and event; encode finds it
    there and imports it.

    \b
    eventseg simulate street drive.hdf5 --duration 10s --seed 7
    eventseg simulate images CamVid camvid-events --layout camvid
    eventseg simulate fit real.aedat4
    """  # noqa: D301


command.add_command(fit)
command.add_command(images)
command.add_command(street)
