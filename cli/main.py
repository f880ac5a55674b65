"""The group of all commands, each loaded only when it is called."""

from __future__ import annotations

import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any

import click

from .group import SuggestingGroup
from .progress import announce_compiling

COMMANDS = {
    "demo": "Run every step on simulated drives: encode, label, train, score, show.",
    "simulate": "Make recordings whose every label is known.",
    "encode": "Turn recordings into a data set of six-channel tensors.",
    "merge": "Complete a folder that the shards of a job array have made.",
    "info": "Show the contents of a recording, data set, run or prediction folder.",
    "convert": "Write recordings in another format.",
    "release": "Write a data set or a league in the layout of EV-SegNet's release.",
    "align": "Measure whether events and frames of a recording are aligned.",
    "check": "Check data sets, leagues, recordings, runs and predictions, and repair them.",
    "labels": "Import label maps into a data set, and export them.",
    "pseudolabel": "Label the frames of a data set by a teacher network.",
    "audit": "Measure a teacher's labels against the truth or against another's.",
    "train": "Train a network on a data set.",
    "evaluate": "Score a trained network beside its baselines.",
    "score": "Score anyone's predictions: label maps, logits, functions, runs.",
    "predict": "Label recordings, data sets or pictures by a trained network.",
    "stream": "Label live events as they come.",
    "bench": "Time a network in each arithmetic of this machine, and choose one.",
    "export": "Write a network as ONNX or a program of torch, with a model card.",
    "compare": "Put runs side by side, and beside published results.",
    "reproduce": "Train a run again and compare its scores.",
    "networks": "Show networks: parameters, cost, output stride, published results.",
    "doctor": "Show versions, processor, GPU, extras and caches of this installation.",
    "view": "Draw a moment of a recording, or samples of a folder: frame, events, six channels.",
}
"""Name and one line of help of every command; its module has the same name."""


MEMORY_SIGNS = ("out of memory", "CUDA_ERROR_OUT_OF_MEMORY", "STATUS_ALLOC_FAILED")
"""Parts of the messages of torch, CUDA, cuBLAS and cuDNN where a GPU's memory does not suffice."""


class LazyGroup(SuggestingGroup):
    """A group that imports a command's module only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002
        cmd_name: str,
    ) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f".{cmd_name}", __package__).command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a known error is one line on stderr and exit 1, Ctrl-C exit 130."""
        from eventseg.device import wait_without_spinning
        from eventseg.errors import EventsegError

        wait_without_spinning()  # before any command loads torch
        announce_compiling()
        for stream in (sys.stdout, sys.stderr):
            # Names of files that are not UTF-8 are shown with escapes.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except EventsegError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(130)
        except Exception as error:
            if not any(sign in str(error) for sign in MEMORY_SIGNS):
                raise
            click.echo(f"error: {self._memory_advice(ctx, error)}", err=True)
            ctx.exit(1)

    def _memory_advice(self, ctx: click.Context, error: Exception) -> str:
        """Return one line about a GPU that is full, with the options that the command has."""
        command = self.get_command(ctx, ctx.invoked_subcommand or "")
        flags = [flag for param in command.params for flag in param.opts] if command else []
        batch = [f"give a smaller {flag}" for flag in flags if flag.startswith("--batch")]
        cpu = ["give --device cpu"] if "--device" in flags else []
        cures = [*batch, "end other programs that use it (nvidia-smi)", *cpu]
        # Torch goes on with how its memory is divided.
        reason = str(error).strip().splitlines()[0].partition(" Including ")[0].rstrip(".")
        return f"the GPU has too little memory ({reason}): {', or '.join(cures)}"


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eventseg", prog_name="eventseg")
def main() -> None:
    """Semantic segmentation from event cameras.

    Results go to stdout, messages and progress to stderr.

    \b
    eventseg demo
    eventseg info rec1487339175.hdf5
    eventseg encode rec1487339175.hdf5 --window 50ms
    eventseg check rec1487339175.eventseg
    """  # noqa: D301
