"""Groups that suggest the nearest command, and commands whose options stand under titles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])
Decorator = Callable[[Function], Function]

OTHER = "Other options"
"""Title of options that are in no group."""


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


class TitledCommand(click.Command):
    """A command whose help lists the options of each :func:`option_group` under its title."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group in the order of the code."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(title_of(param), []).append(record)
        sections[OTHER] = sections.pop(OTHER, [])  # last
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


def title_of(param: click.Parameter) -> str:
    """Return the title that the help lists an option under."""
    return str(vars(param).get("title", OTHER))


def option_group(title: str, *options: Decorator[Any]) -> Decorator[Any]:
    """Return a decorator that adds options to a :class:`TitledCommand` under one title.

    Parameters
    ----------
    title : str
        Such as ``Input``.
    *options : decorator
        As :func:`click.option` makes them, in the order of the help.
    """

    def decorate(function: Any) -> Any:
        before = len(getattr(function, "__click_params__", ()))
        for option in reversed(options):
            function = option(function)
        for param in function.__click_params__[before:]:
            vars(param)["title"] = title
        return function

    return decorate
