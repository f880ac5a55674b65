"""``eventseg doctor``: installed versions, and parts that would not work."""

from __future__ import annotations

import click

from .options import json_option
from .printing import print_json


@click.command(
    "doctor",
    epilog="""\b
Examples:
  eventseg doctor
  eventseg doctor --json > environment.json
""",
)
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """Show versions, processor, GPU, extras and caches: the facts that a report of a fault needs.

    Exits with 1 where something will not work.
    """
    from eventseg.device import environment, environment_lines
    from eventseg.recordings.index_cache import cache_folder

    try:
        found = environment({"of indexes": cache_folder()})
    except OSError as error:
        found = environment()
        found["problems"].append(str(error))
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(environment_lines(found)))
    ctx.exit(1 if found["problems"] else 0)
