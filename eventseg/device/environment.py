"""Environment of an installation: versions, processor, GPU, caches and optional packages."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from importlib import metadata, util
from pathlib import Path
from types import MappingProxyType
from typing import Any

REQUIRED = (
    "numpy", "numba", "h5py", "torch", "torchvision", "scipy", "matplotlib", "click", "pillow",
)  # fmt: skip
"""Packages that this library cannot do without, in the order shown."""

PURPOSES = {
    "cuda": "encoding on a GPU",
    "hf": "teachers from Hugging Face",
    "smp": "networks smp:ARCHITECTURE/ENCODER",
    "formats": "AEDAT 4, ROS 1 bags, MCAP, compressed HDF5, DSEC",
    "export": "ONNX files",
    "video": "films as MP4",
    "tensorboard": "train --tensorboard",
    "viewer": "stream --viewer",
    "dv": "stream dv://camera",
    "cluster": "jobs on a Dask cluster",
}
"""What the extras of the package are for."""

REQUIREMENT = re.compile(r"([\w.-]+).*extra\s*==\s*['\"]([\w-]+)")

NO_FOLDERS: Mapping[str, Path] = MappingProxyType({})

VARIABLES = (
    "CUDA_VISIBLE",
    "EVENTSEG_",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "MKL_",
    "NUMBA_",
    "OMP_",
    "SLURM_ARRAY",
    "TORCH_HOME",
)
"""Beginnings of the environment variables that decide something and hold no secret."""

BFLOAT16 = {"amx_bf16": "AMX", "avx512_bf16": "AVX-512", "bf16": "Arm"}
"""Flags of processors with bfloat16 units, and the name of the units."""


def environment(folders: Mapping[str, Path] = NO_FOLDERS) -> dict[str, Any]:
    """Return the facts that a report of a fault needs: versions, machine, GPU, caches and extras.

    Parameters
    ----------
    folders : mapping of str to Path
        Further folders that the package writes besides results, by name.

    Returns
    -------
    dict
        Ready for JSON. ``problems`` lists parts that will not work, each with its cure.
    """
    problems: list[str] = []
    versions = {name: version_of(name) for name in REQUIRED}
    problems += [
        f"{name} is not installed: install eventseg again"
        for name, version in versions.items()
        if version is None
    ]
    return {
        "eventseg": version_of("eventseg"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": _processor(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
        "versions": versions,
        "extras": {
            name: {
                "for": PURPOSES.get(name, ""),
                "packages": {package: version_of(package) for package in packages},
            }
            for name, packages in extras().items()
        },
        "caches": _caches(folders, problems),
        "variables": {
            name: value for name, value in sorted(os.environ.items()) if name.startswith(VARIABLES)
        },
        "problems": problems,
    }


def environment_lines(found: dict[str, Any]) -> list[str]:
    """Return an environment as lines for people.

    Parameters
    ----------
    found : dict
        Result of :func:`environment`.
    """
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    processor, gpu = found["processor"], found["gpu"]
    memory = "" if found["memory_gib"] is None else f", {found['memory_gib']:.1f} GiB of memory"
    units = f", bfloat16 ({processor['bfloat16']})" if processor["bfloat16"] else ""
    lines = [
        f"eventseg {found['eventseg']}, Python {found['python']}, {found['platform']}",
        f"processor   {processor['model']}, {processor['count']} usable{units}{memory}",
        f"threads     {processor['threads']} of torch",
        f"GPU         {gpu['name'] or 'none'}; encoding on {gpu['encoder']}",
        f"packages    {versions}",
    ]
    for name, extra in found["extras"].items():
        missing = [package for package, version in extra["packages"].items() if version is None]
        has = ", ".join(f"{p} {v}" for p, v in extra["packages"].items() if v is not None)
        state = f"{', '.join(missing)} missing: pip install 'eventseg[{name}]'" if missing else has
        lines.append(f"extra {name:<13} {extra['for']}: {state}")
    for name, cache in found["caches"].items():
        state = "can be written" if cache["writable"] else "cannot be written"
        lines.append(f"cache {name:<13} {cache['path']}, {state}, {cache['free_gib']:.0f} GiB free")
    lines += [f"variable    {name}={value}" for name, value in found["variables"].items()]
    lines += [f"problem     {problem}" for problem in found["problems"]]
    return [*lines, "nothing is wrong"] if not found["problems"] else lines


def extras() -> dict[str, list[str]]:
    """Return the packages of each extra, as the metadata of the installed package lists them."""
    found: dict[str, list[str]] = {}
    for requirement in metadata.requires("eventseg") or ():
        match = REQUIREMENT.match(requirement)
        if match and match[1] not in REQUIRED:
            found.setdefault(match[2], []).append(match[1])
    return found


def version_of(package: str) -> str | None:
    """Return the version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def processor_model() -> str:
    """Return the name of the processor."""
    named = [line for line in _cpuinfo() if line.startswith("model name")]
    if named:
        return named[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()


def bfloat16_units() -> tuple[str, ...]:
    """Return the names of the processor's units for bfloat16 products; none where it has none."""
    flags = next((line for line in _cpuinfo() if line.startswith(("flags", "Features"))), "")
    return tuple(unit for flag, unit in BFLOAT16.items() if flag in flags.split())


def _cpuinfo() -> list[str]:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return []
    return info.read_text(encoding="utf-8", errors="replace").splitlines()


def _processor() -> dict[str, Any]:
    import torch

    from eventseg.device.choice import processors

    return {
        "model": processor_model(),
        "count": processors(),
        "threads": torch.get_num_threads(),
        "bfloat16": ", ".join(bfloat16_units()),
    }


def _memory_gib() -> float | None:
    import torch

    from eventseg.device.memory import free_memory

    free = free_memory(torch.device("cpu"))
    return None if free is None else round(free / 2**30, 1)


def _gpu() -> dict[str, Any]:
    import torch

    from eventseg.device.choice import choose_encoder

    there = torch.cuda.is_available()
    return {
        "name": torch.cuda.get_device_name() if there else None,
        "cuda": torch.version.cuda,
        "encoder": str(choose_encoder("auto")),
    }


def _caches(folders: Mapping[str, Path], problems: list[str]) -> dict[str, Any]:
    """Return the folders that are written besides results, and add those that cannot be."""
    import torch

    compiled = os.environ.get("NUMBA_CACHE_DIR") or _package_folder()
    caches = {}
    for name, path in {
        "of Numba": Path(compiled),
        **folders,
        "of torch": Path(torch.hub.get_dir()),
        "Hugging Face": _hugging_face_folder(),
        "temporary": Path(tempfile.gettempdir()),
    }.items():
        writable = os.access(_existing(path), os.W_OK)
        caches[name] = {
            "path": str(path),
            "writable": writable,
            "free_gib": round(shutil.disk_usage(_existing(path)).free / 2**30, 1),
        }
        if name == "temporary" and not writable:
            problems.append(f"{path} cannot be written: set TMPDIR to a folder that can")
    return caches


def _hugging_face_folder() -> Path:
    """Return the folder of Hugging Face's downloads, without its package, which may be missing."""
    above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{above}/huggingface").expanduser()


def _package_folder() -> str:
    spec = util.find_spec("eventseg")
    return str(Path(spec.origin).parent) if spec and spec.origin else sys.prefix


def _existing(path: Path) -> Path:
    """Return the path, or the nearest folder above it that is there."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
