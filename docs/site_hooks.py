"""Additions of ``mkdocs.yml`` to the site: pages from outside ``docs/`` and the help of commands.

Links in Markdown are written for the repository, where they can be followed as they stand. On the
site, files outside ``docs/`` have other addresses, to which links are changed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from posixpath import relpath
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
ROOT_PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""Pages at the root of the repository that stand in the navigation."""

SOURCE = "source"
"""Folder of the site with the other linked files of the repository."""

HELP = "command-help.md"
README = "overview.md"
"""The name of the README on the site, where a README would be the start page of its folder."""

LINK = re.compile(r"(!?\[[^\]]*\])\(([^)\s#]+)(#[^)\s]*)?\)")
ROLE = re.compile(r":\w+:<code>~?([\w.]+)</code>")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages at the root, the files that pages link to, and the help of commands."""
    places = [ROOT / name for name in ("README.md", *ROOT_PAGES)]
    waiting = [*places, *sorted(DOCS.rglob("*.md"))]
    known = set(waiting)
    while waiting:
        page = waiting.pop()
        for target in linked(page):
            if target not in known and not target.is_relative_to(DOCS) and target.is_file():
                known.add(target)
                places.append(target)
                if target.suffix == ".md":
                    waiting.append(target)
    for place in places:
        files.append(File.generated(config, site_path(place), content=place.read_bytes()))
    files.append(File.generated(config, HELP, content=command_help()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Change links to files outside ``docs/`` to their address on the site."""
    place = repository_path(page.file.src_uri)
    here = str(PurePosixPath(page.file.src_uri).parent)

    def changed(match: re.Match[str]) -> str:
        text, target, anchor = match.groups()
        path = (place.parent / target).resolve()
        if "://" in target or not path.exists() or not path.is_relative_to(ROOT):
            return match[0]
        return f"{text}({relpath(site_path(path), here)}{anchor or ''})"

    parts = CODE.split(markdown)
    # Every second part is code.
    return "".join(part if i % 2 else LINK.sub(changed, part) for i, part in enumerate(parts))


def on_page_content(html: str, **_: Any) -> str:
    """Show references of docstrings, such as :class:`Recording`, as code alone."""
    return ROLE.sub(lambda match: f"<code>{match[1].rpartition('.')[2]}</code>", html)


def linked(page: Path) -> Iterator[Path]:
    """Yield the files of the repository that a page links to."""
    for part in CODE.split(page.read_text(encoding="utf-8"))[::2]:
        for _, target, _ in LINK.findall(part):
            path = (page.parent / target).resolve()
            if "://" not in target and path.is_relative_to(ROOT):
                yield path


def site_path(path: Path) -> str:
    """Return the address on the site, as a source file, of a file of the repository."""
    if path == ROOT / "README.md":
        return README
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    inside = path.relative_to(ROOT).as_posix()
    return inside if inside in ROOT_PAGES else f"{SOURCE}/{inside}"


def repository_path(src_uri: str) -> Path:
    """Return the file of the repository that stands at an address on the site."""
    if src_uri == README:
        return ROOT / "README.md"
    if src_uri in ROOT_PAGES:
        return ROOT / src_uri
    first, _, rest = src_uri.partition("/")
    return ROOT / rest if first == SOURCE else DOCS / src_uri


def command_help() -> str:
    """Return a page with the help of every command, as ``--help`` prints it."""
    from eventseg_cli.main import COMMANDS, main

    parts = [
        "# Help of the commands\n\nAs `eventseg COMMAND --help` prints it. "
        "The [list by purpose](commands.md) says which command does what.\n"
    ]
    root = click.Context(main, info_name="eventseg")
    for name in COMMANDS:
        command = main.get_command(root, name)
        assert command is not None
        parts += _helps(command, root, name)
    return "\n".join(parts)


def _helps(command: click.Command, parent: click.Context, name: str) -> Iterable[str]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=90)
    yield f"## {context.command_path.removeprefix('eventseg ')}\n"
    yield f"```text\n{command.get_help(context).rstrip()}\n```\n"
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from _helps(one, context, inner)
