"""The project itself: dependencies, direction of imports, packages built, README examples."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted([*ROOT.glob("eventseg/**/*.py"), *ROOT.glob("cli/**/*.py")])

# Rooms from the bottom up: a module imports from its own room and from those before it.
ROOMS = (
    "errors", "files", "splits", "events", "windows", "html", "images", "kernels", "device",
    "encoding", "labels", "metrics", "networks", "recordings", "filters", "dataset", "simulate",
    "augmentation", "sources", "plots", "prediction", "training", "pseudolabel", "evaluation",
    "demo",
)  # fmt: skip
# A simulated recording is an input like any other: nothing but the demo makes one.
ABOVE_SIMULATE = {"simulate", "demo"}
ONLY_IN = {
    "h5py": ("eventseg/recordings/", "eventseg/simulate/"),
    "numba": ("eventseg/kernels/", "eventseg/simulate/", "eventseg/recordings/ddd17/decode.py"),
    "matplotlib": ("eventseg/plots/",),
}


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the modules a file imports at run time, whole names."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def module_name(path: Path) -> str:
    """Return the dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room(module: str) -> str:
    """Return the room of ``eventseg.ROOM...``."""
    return module.split(".")[1]


def test_required_dependencies_are_the_users_list_and_what_replaces_our_own_code():
    names = [re.split(r"[<>=]", line)[0] for line in PYPROJECT["project"]["dependencies"]]
    users = ["numpy", "numba", "h5py", "torch", "torchvision", "scipy", "matplotlib", "click"]
    assert names == [*users, "pillow", "tomli-w", "tqdm", "lazy-loader"]


def test_torch_and_torchvision_import_together():
    # A mismatched pair fails only when torchvision registers its operators.
    import torch
    import torchvision

    assert len(torchvision.ops.nms(torch.rand(2, 4), torch.rand(2), 0.5)) > 0


def test_imports_point_one_way():
    assert len(SOURCES) > 500
    for path in SOURCES:  # one test: 700 of them would take as long as a training
        check_imports(path)


def check_imports(path):
    place = path.relative_to(ROOT).as_posix()
    used = imports(path)
    for package, allowed in ONLY_IN.items():
        if any(name.split(".")[0] == package for name in used):
            assert place.startswith(allowed), f"{place} imports {package}"
    if place.startswith("cli/"):
        return
    assert not any(name.startswith("eventseg_cli") for name in used)
    own = module_name(path)
    if own == "eventseg":
        return
    for name in used:
        if name.startswith("eventseg.") and room(name) in ROOMS:
            assert ROOMS.index(room(name)) <= ROOMS.index(room(own)), f"{place} imports {name}"
            assert room(name) != "simulate" or room(own) in ABOVE_SIMULATE, f"{place}: {name}"


def test_rooms_are_what_lies_in_the_package():
    names = {path.stem for path in (ROOT / "eventseg").iterdir() if path.suffix == ".py"}
    names |= {path.parent.name for path in (ROOT / "eventseg").glob("*/__init__.py")}
    assert names - {"__init__"} == set(ROOMS)
    assert len([p for p in (ROOT / "eventseg").iterdir() if p.name != "__pycache__"]) <= 28


def test_no_circle_of_imports_within_a_room():
    names = {module_name(path): path for path in SOURCES if path.parts[-2] != "cli"}
    uses = {name: {used for used in imports(path) if used in names} for name, path in names.items()}
    # A package is a name for what is inside it; only its modules can stand in a circle.
    packages = {module_name(path) for path in SOURCES if path.name == "__init__.py"}
    waiting = {name: used - packages - {name} for name, used in uses.items()}
    while waiting:
        free = {name for name, used in waiting.items() if not used & waiting.keys()}
        assert free, f"a circle among {', '.join(sorted(waiting))}"
        waiting = {name: used for name, used in waiting.items() if name not in free}


def test_architecture_draws_the_tree_that_is_there():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    block = text.partition("## The layout")[2].partition("    eventseg/\n")[2]
    drawn: dict[str, None] = {}
    at = {4: ""}
    for line in block.splitlines():
        depth = len(line) - len(line.lstrip())
        if depth <= 4:
            break
        first, inside = line.split()[0], max(d for d in at if d < depth)
        if first.endswith("/"):
            at = {d: folder for d, folder in at.items() if d < depth}
            at[depth] = f"{at[inside]}{first}"
            drawn[at[depth].rstrip("/")] = None
        elif depth == 6 and first.endswith(".py"):
            drawn[first] = None
    here = ROOT / "eventseg"
    folders = {path.parent.relative_to(here).as_posix() for path in here.glob("**/*.py")} - {"."}
    modules = {path.name for path in here.glob("*.py")} - {"__init__.py"}
    assert drawn.keys() == folders | modules
    assert [name.removesuffix(".py") for name in drawn if "/" not in name] == list(ROOMS)


def test_every_arrow_is_a_public_name():
    import eventseg

    flow = (ROOT / "ARCHITECTURE.md").read_text().partition("## The layout")[0]
    arrows = re.findall(r"--(\w+)-->", flow)
    assert len(arrows) >= 19
    assert set(arrows) <= set(dir(eventseg))
    for name in arrows:
        assert callable(getattr(eventseg, name)), name


def test_every_package_on_disk_is_packaged():
    folders = {
        ".".join(path.parent.relative_to(ROOT).parts).replace("cli", "eventseg_cli")
        for path in SOURCES
    }
    assert folders == set(PYPROJECT["tool"]["setuptools"]["packages"])


def test_this_environment_runs_the_checkout():
    import eventseg
    import eventseg_cli

    assert Path(eventseg.__file__).parent == ROOT / "eventseg"
    assert Path(eventseg_cli.__file__).parent == ROOT / "cli"
    assert metadata.version("eventseg") == PYPROJECT["project"]["version"] == eventseg.__version__


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the sdist, and the wheel from the sdist, of a copy of the tree."""
    copy = tmp_path_factory.mktemp("build") / "eventseg"
    ignored = shutil.ignore_patterns(".*", "*.egg-info", "build", "dist", "__pycache__")
    shutil.copytree(ROOT, copy, ignore=ignored)
    command = [sys.executable, "-m", "build", "--no-isolation", str(copy)]
    subprocess.run(command, check=True, timeout=300, capture_output=True)
    (sdist,) = (copy / "dist").glob("*.tar.gz")
    (wheel,) = (copy / "dist").glob("*.whl")
    return sdist, wheel


def test_wheel_holds_every_module_and_runs(built, tmp_path):
    _, wheel = built
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path)
    for path in SOURCES:
        place = path.relative_to(ROOT).as_posix()
        assert (
            place.replace("cli/", "eventseg_cli/", 1) in names
            if place[0] == "c"
            else place in names
        )
    assert "eventseg/py.typed" in names
    assert not any(name.startswith(("tests/", "benchmarks/", "cli/")) for name in names)
    entry = next(tmp_path.glob("*.dist-info")) / "entry_points.txt"
    assert "eventseg = eventseg_cli.main:main" in entry.read_text()
    # -I keeps the checkout off the path, so that the wheel's own files run.
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r});"
        "import eventseg, eventseg_cli.main as m;"
        f"assert eventseg.__file__.startswith({str(tmp_path)!r}), eventseg.__file__;"
        "sys.argv = ['eventseg', '--version']; m.main()"
    )
    shown = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    assert PYPROJECT["project"]["version"] in shown.stdout


def test_sdist_holds_the_sources_and_the_licence(built):
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "cli/main.py", "eventseg/events.py"} <= names


def test_readme_begins_with_the_two_commands():
    text = (ROOT / "README.md").read_text()
    assert "pip install uv && uv run eventseg demo" in text
    assert "pip install uv && uv run pytest" in text


def test_the_root_holds_nothing_that_a_command_left() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no checkout: a source distribution holds fewer files")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    assert {name.partition("/")[0] for name in listed.stdout.splitlines()} == {
        ".ci", ".github", ".gitignore", "ARCHITECTURE.md", "CHANGELOG.md",
        "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "benchmarks",
        "cli", "docs", "eventseg", "mkdocs.yml", "pyproject.toml", "tests",
    }  # fmt: skip
