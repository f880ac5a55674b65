"""Modules that a fresh process loads for one job, and the time that quick answers take."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LIGHT_ANSWERS = [
    (["networks"], 0, "fastscnn"),
    (["train", ".", "--network", "fastscn"], 1, "did you mean fastscnn?"),
    (["train", "--recipe", "cgnet-camvid", "--print-config"], 0, "[optimiser]"),
    (["train", "--list-recipes"], 0, "source:"),
    (["train", "--set", "lr=0.1", "--print-config"], 1, "optimiser.learning_rate"),
    (["encod"], 2, "encode"),
]
"""Arguments of the command line, exit code, and words of the answer."""

ROOT = Path(__file__).resolve().parents[1]

NOT_NEEDED = {
    "training.run": (
        "prediction.live",
        "prediction.film",
        "simulate",
        "evaluation",
        "pseudolabel",
    ),
    "training.describe_run": ("prediction.live", "simulate", "evaluation", "pseudolabel"),
    "prediction.predict_into": ("prediction.live", "prediction.film", "simulate", "training"),
    "dataset.writer": ("networks", "prediction", "training", "simulate"),
    "evaluation.evaluate": ("prediction.live", "prediction.film", "simulate", "demo"),
}
"""Beginnings of the names of modules that are of no use to the job of a module."""


def loaded(code: str) -> set[str]:
    """Return the names of the modules that a process has loaded after some code."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return set(ended.stdout.splitlines()[-1].split())


def rooms(modules: set[str]) -> set[str]:
    """Return the rooms of eventseg that modules belong to."""
    return {name.split(".")[1] for name in modules if name.startswith("eventseg.")}


def loaded_by(name: str) -> set[str]:
    """Return the modules of eventseg that a module loads before it is used, read from the code."""
    found, waiting = set[str](), [f"eventseg.{name}"]
    while waiting:
        module = waiting.pop()
        if module in found or (path := file_of(module)) is None:
            continue
        found.add(module)
        waiting.append(module.rpartition(".")[0])
        for node in at_once(ast.parse(path.read_text()).body):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def file_of(module: str) -> Path | None:
    """Return the file of a module of eventseg; None for a name that is none."""
    place = ROOT.joinpath(*module.split("."))
    paths = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in paths if module[:8] == "eventseg" and path.is_file()), None)


def at_once(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is loaded, those of types alone left out."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from at_once(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
            yield from at_once(
                [one for one in ast.iter_child_nodes(node) if isinstance(one, ast.stmt)]
            )


@pytest.mark.parametrize("name", NOT_NEEDED)
def test_a_module_loads_nothing_that_its_job_does_not_need(name: str) -> None:
    modules = loaded_by(name)
    assert len(modules) > 20
    unneeded = tuple(f"eventseg.{beginning}" for beginning in NOT_NEEDED[name])
    assert not [module for module in modules if module.startswith(unneeded)]


def test_the_package_loads_neither_torch_nor_numba() -> None:
    modules = loaded("import eventseg; dir(eventseg)")
    assert not modules & {"torch", "numba", "h5py", "matplotlib", "scipy", "numpy"}
    assert {name for name in modules if name.startswith("eventseg")} == {"eventseg"}


def test_the_data_set_writer_loads_no_simulator() -> None:
    modules = loaded("import eventseg.dataset.writer")
    assert not rooms(modules) & {"simulate", "training", "evaluation", "pseudolabel", "demo"}
    assert "torch" not in modules


def test_the_predictor_loads_no_training_and_no_simulator() -> None:
    modules = loaded("import eventseg.prediction.predictor")
    assert not rooms(modules) & {"simulate", "training", "evaluation", "pseudolabel", "demo"}


def test_checks_and_label_files_do_without_torch() -> None:
    modules = loaded(
        "import eventseg.training.check_path, eventseg.sources.own_labels.importing, "
        "eventseg.sources.own_labels.exporting, eventseg.sources.selection"
    )
    assert "eventseg.sources.leagues.league" in modules
    assert "torch" not in modules


@pytest.mark.parametrize(
    "code",
    [
        "from eventseg.training.config.config import load_config; load_config('cgnet-camvid')",
        "import eventseg; eventseg.load_config(overrides={'network.name': 'pspnet50'})",
        "import eventseg; eventseg.TrainConfig()",
    ],
)
def test_a_training_configuration_loads_little(code: str) -> None:
    modules = loaded(code)
    own = sorted(name for name in modules if name.split(".")[0] == "eventseg")
    assert len(own) <= 22, own
    assert not [name for name in own if "converters" in name]
    assert not modules & {"torch", "numba", "h5py", "matplotlib", "scipy"}


def test_optimisers_do_without_the_compiler_of_torch() -> None:
    modules = loaded("""
import torch
from eventseg.training.config.optimisation import OptimiserSpec
from eventseg.training.optimisers import build_optimiser
for kind in ("adam", "adamw", "sgd", "rmsprop"):
    layer = torch.nn.Linear(2, 2)
    optimiser = build_optimiser(layer, spec=OptimiserSpec(kind=kind))
    layer(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    optimiser.zero_grad()
    optimiser.load_state_dict(optimiser.state_dict())
    assert all(parameter.requires_grad for parameter in layer.parameters())
""")
    assert "torch.optim" in modules
    assert "torch._dynamo" not in modules


@pytest.mark.parametrize(("arguments", "code", "words"), LIGHT_ANSWERS)
def test_quick_answers_take_little(arguments: list[str], code: int, words: str) -> None:
    program = f"""
import sys
from eventseg_cli.main import main
try:
    main({arguments!r})
except SystemExit as ended:
    code = ended.code
print(*sys.modules)
sys.exit(code)
"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=600
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.returncode == code, ended.stderr
    *answer, modules = ended.stdout.splitlines()
    assert words in "\n".join(answer) + ended.stderr
    assert not set(modules.split()) & {"torch", "numba", "h5py"}
    # Processor time, not time on a clock: other work on the machine does not count.
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent_s < 2
