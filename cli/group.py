"""Group of commands whose error for an unknown name suggests the nearest ones."""

from __future__ import annotations

import click


class SuggestingGroup(click.Group):
    """A group that answers an unknown command with the nearest commands, or with all of them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name.

        Raises
        ------
        click.UsageError
            There is no command of that name.
        """
        known = self.list_commands(ctx)
        name = args[0]
        if name in known or name.startswith("-"):
            return super().resolve_command(ctx, args)
        # Loaded here: most calls name a command that exists.
        from difflib import get_close_matches

        near = get_close_matches(name.lower(), known, 3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise click.UsageError(f"No such command {name!r}: {hint}", ctx)
