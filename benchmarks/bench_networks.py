"""How fast the networks are and what memory they take, and how torchvision's and smp's fare beside.

    uv run python benchmarks/bench_networks.py                  # CPU
    uv run python benchmarks/bench_networks.py --device cuda    # also bfloat16
    uv run python benchmarks/bench_networks.py --device cuda --compiled
    uv run python benchmarks/bench_networks.py --quick --only fastscnn,cgnet

Inputs have six channels and 256x352 pixels, there are six classes. A forward pass is in evaluation
mode without gradients; a training step is forward, cross-entropy, backward and a step of SGD with
momentum. Competitors take turns, round after round; figures are medians, ratios medians of paired
rounds. Quick runs and runs of some networks only are printed and not saved, unless ``--save`` says
under which name. ``--compiled`` needs minutes a network on the first run.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from paired import machine, ratio, rounds, save
from torch import nn
from torch.nn import functional

from eventseg.networks import SegmentationNetwork, build_network, cost, parameter_count

CHANNELS, CLASSES, HEIGHT, WIDTH = 6, 6, 256, 352
BATCH = {"cpu": 2, "cuda": 8}  # torchvision and smp cannot train on one
ROUNDS = {"cpu": 7, "cuda": 30}
QUICK_ROUNDS = 2
AIM = 1.05
"""How many times as long as a library's equivalent ours may take."""

NETWORKS = (
    "evsegnet", "pspnet101", "deeplabv3_resnet50", "deeplabv3plus_resnet50", "unet",
    "denseaspp121", "enet", "segnet", "cgnet", "fastscnn",
)  # fmt: skip


class LibrarysOwn(SegmentationNetwork):
    """A library's network, so that its cost can be counted as ours are."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(CHANNELS, CLASSES)
        self.network = network

    def heads(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return its logits."""
        made = self.network(x)
        return [made["out"] if isinstance(made, dict) else made]


def torchvision_deeplabv3() -> nn.Module:
    from torchvision.models.segmentation import deeplabv3_resnet50

    made = deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES)
    made.backbone.conv1 = nn.Conv2d(CHANNELS, 64, 7, stride=2, padding=3, bias=False)
    return made


def smp_deeplabv3() -> nn.Module:
    from segmentation_models_pytorch import DeepLabV3

    return DeepLabV3(
        "resnet50", encoder_weights=None, encoder_output_stride=8, in_channels=CHANNELS,
        classes=CLASSES,
    )  # fmt: skip


def smp_deeplabv3plus() -> nn.Module:
    # With separable convolutions in the pyramid, and in the decoder whatever is asked for: fewer
    # multiplications than ours, as the counts beside the ratio show.
    from segmentation_models_pytorch import DeepLabV3Plus

    return DeepLabV3Plus(
        "resnet50", encoder_weights=None, encoder_output_stride=16, in_channels=CHANNELS,
        classes=CLASSES, decoder_atrous_rates=(6, 12, 18), decoder_aspp_separable=False,
    )  # fmt: skip


PEERS: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "torchvision deeplabv3_resnet50": ("deeplabv3_resnet50", torchvision_deeplabv3),
    "smp DeepLabV3/resnet50": ("deeplabv3_resnet50", smp_deeplabv3),
    "smp DeepLabV3Plus/resnet50": ("deeplabv3plus_resnet50", smp_deeplabv3plus),
}
"""Equivalents in libraries, by the name of ours; the other networks have none."""


def make(name: str, device: str) -> SegmentationNetwork:
    torch.manual_seed(0)
    with torch.device(device):
        if name in PEERS:
            return LibrarysOwn(PEERS[name][1]())
        return build_network(name, in_channels=CHANNELS, classes=CLASSES)


class Runner:
    """Forward passes and training steps of one network."""

    def __init__(
        self, network: SegmentationNetwork, device: str, *, bf16: bool, compiled: bool
    ) -> None:
        batch = BATCH[device]
        self.network, self.device = network, device
        self.call = torch.compile(network, fullgraph=True) if compiled else network
        self.x = torch.randn(batch, CHANNELS, HEIGHT, WIDTH, device=device)
        self.truth = torch.randint(CLASSES, (batch, HEIGHT, WIDTH), device=device)
        self.optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
        self.precision = torch.autocast(device, torch.bfloat16, enabled=bf16)

    def forward(self) -> None:
        """Make logits, in evaluation mode."""
        # Each call sets the mode: passes and steps of one network take turns.
        self.network.eval()
        with torch.inference_mode(), self.precision:
            self.call(self.x)
        self._wait()

    def train(self) -> None:
        """Make one step of training."""
        self.network.train()
        with self.precision:
            loss = functional.cross_entropy(self.call(self.x), self.truth)
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self._wait()

    def _wait(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


def peak_mb() -> float:
    """Return the most memory that this process has ever held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("the kernel does not say VmHWM")


def memory_of(name: str, device: str, mode: str) -> float:
    """Return what a network takes in MB, weights included, beyond what torch takes."""
    if device == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        before = peak_mb()
    runner = Runner(make(name, device), device, bf16=False, compiled=False)
    for _ in range(2):
        getattr(runner, mode)()
    after = torch.cuda.max_memory_allocated() if device == "cuda" else peak_mb()
    return (after - before) / (2**20 if device == "cuda" else 1)


def memory_apart(name: str, device: str) -> dict[str, float]:
    """Return the memory of a forward pass and of a training step, each in a process of its own."""
    found = {}
    for mode in ("forward", "train"):
        ended = subprocess.run(
            [sys.executable, __file__, "--device", device, "--memory", mode, "--only", name],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found[mode] = round(json.loads(ended.stdout), 1)
    return found


def describe(name: str) -> dict[str, float]:
    network = make(name, "meta")
    gmac = cost(network, height=HEIGHT, width=WIDTH).gmac
    return {"parameters": parameter_count(network), "gmac": round(gmac, 2)}


def timed(
    names: list[str], device: str, *, count: int, bf16: bool, compiled: bool
) -> dict[str, dict[str, np.ndarray]]:
    """Return seconds by mode, network and round, the networks taking turns."""
    made = {
        name: Runner(make(name, device), device, bf16=bf16, compiled=compiled) for name in names
    }
    found = {
        mode: rounds({name: getattr(runner, mode) for name, runner in made.items()}, count=count)
        for mode in ("forward", "train")
    }
    del made
    gc.collect()
    return found


def timed_all(
    names: list[str], device: str, *, count: int, bf16: bool, compiled: bool
) -> Iterator[dict[str, dict[str, np.ndarray]]]:
    """Yield what :func:`timed` returns; compiled networks take turns with their equivalents only.

    All share one ``forward``, and torch compiles a function for a few modules only.
    """
    if not compiled:
        yield timed(names, device, count=count, bf16=bf16, compiled=False)
        return
    for name in names:
        if name in PEERS:
            continue
        torch.compiler.reset()
        group = [name, *(peer for peer in names if peer in PEERS and PEERS[peer][0] == name)]
        yield timed(group, device, count=count, bf16=bf16, compiled=True)


def settings_of(device: str, *, compiled: bool) -> dict[str, dict[str, bool]]:
    kinds = {"float32": False} if device == "cpu" else {"float32": False, "bfloat16": True}
    return {
        f"{kind}, compiled" if compiled else kind: {"bf16": bf16, "compiled": compiled}
        for kind, bf16 in kinds.items()
    }


def bench(
    names: list[str],
    device: str,
    *,
    count: int,
    compiled: bool,
    keep: Callable[[dict[str, object]], object] = lambda _result: None,
) -> dict[str, object]:
    """Measure networks and what they are compared with; ``keep`` is called with what there is."""
    peers = [peer for peer, (ours, _) in PEERS.items() if ours in names]
    networks = {name: {**describe(name), "seconds": {}} for name in [*names, *peers]}
    ratios: dict[str, dict[str, dict[str, float]]] = {}
    result: dict[str, object] = {"networks": networks, "ours_to_library": ratios}
    for kind, settings in settings_of(device, compiled=compiled).items():
        for seconds in timed_all([*names, *peers], device, count=count, **settings):
            for name in seconds["forward"]:
                networks[name]["seconds"][kind] = {
                    mode: float(np.median(of_mode[name])) for mode, of_mode in seconds.items()
                }
            for peer in [each for each in peers if each in seconds["forward"]]:
                ratios.setdefault(peer, {})[kind] = {
                    mode: ratio(of_mode, PEERS[peer][0], peer) for mode, of_mode in seconds.items()
                }
            keep(result)
    # Last: two new processes for each network take longer than all its steps.
    for name, row in networks.items():
        row["memory_mb"] = memory_apart(name, device)
        keep(result)
    return result


def show(result: dict[str, object]) -> None:
    head = f"{'network':<32}{'parameters':>12}{'GMAC':>8}{'MB':>8}{'MB train':>10}"
    print(f"{head}  setting{'':<14}{'ms':>9}{'ms train':>10}")
    for name, row in result["networks"].items():
        memory = row["memory_mb"]
        begin = f"{name:<32}{row['parameters']:>12,}{row['gmac']:>8.2f}"
        begin += f"{memory['forward']:>8.0f}{memory['train']:>10.0f}"
        for kind, seconds in row["seconds"].items():
            forward, train = (1e3 * seconds[mode] for mode in ("forward", "train"))
            print(f"{begin}  {kind:<21}{forward:>9.1f}{train:>10.1f}")
    for peer, kinds in result["ours_to_library"].items():
        for kind, modes in kinds.items():
            for mode, value in modes.items():
                missed = "" if value <= AIM else f", above {AIM}"
                print(f"{PEERS[peer][0]} / {peer}, {kind}, {mode}: {value:.3f}{missed}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=BATCH, default="cpu")
    parser.add_argument("--only", default="", metavar="NAME,NAME", help="some networks")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds")
    parser.add_argument("--rounds", type=int, help="how many rounds are counted")
    parser.add_argument("--compiled", action="store_true", help="by torch.compile")
    parser.add_argument("--save", metavar="NAME", help="name of the result")
    parser.add_argument("--memory", choices=("forward", "train"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    names = asked.only.split(",") if asked.only else list(NETWORKS)
    if asked.memory:
        print(memory_of(names[0], asked.device, asked.memory))
        return
    count = asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS[asked.device])
    whole = not (asked.only or asked.quick or asked.rounds)
    saved_as = asked.save or f"networks_{asked.device}" + ("_compiled" if asked.compiled else "")
    circumstances: dict[str, object] = {
        "machine": machine(),
        "device": torch.cuda.get_device_name() if asked.device == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "input": [BATCH[asked.device], CHANNELS, HEIGHT, WIDTH],
        "classes": CLASSES,
        "rounds": count,
    }

    def keep(result: dict[str, object]) -> None:
        # As they come: a limit of time ends the rest.
        if whole or asked.save:
            save(saved_as, {**circumstances, **result})

    show(bench(names, asked.device, count=count, compiled=asked.compiled, keep=keep))


if __name__ == "__main__":
    main()
