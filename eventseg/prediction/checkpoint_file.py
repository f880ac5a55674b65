"""Checkpoint that a text names: of a run folder, a file, a published or a shipped network."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from eventseg.dataset.layout import MANIFEST
from eventseg.dataset.manifest import Manifest
from eventseg.encoding.settings import Encoding
from eventseg.errors import CheckpointError
from eventseg.files.digests import digest_of
from eventseg.files.texts import read_text
from eventseg.images import PICTURES
from eventseg.networks import InputSpec
from eventseg.networks.named import NamedCheckpoint, parse_named
from eventseg.networks.shipped import SHIPPED, shipped_file
from eventseg.prediction.layout import BEST, CONFIG, RUN, SPLIT
from eventseg.recordings.formats import FORMATS


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """Checkpoint or exported network that predicts.

    Parameters
    ----------
    path : Path
    name : str
        Name of the run folder, or of the file where it is in none.
    data : Path, optional
        Data that the network was trained on, where the run folder tells.
    named : NamedCheckpoint, optional
        Network and path of a published checkpoint; None for a file of eventseg.
    """

    path: Path
    name: str
    data: Path | None = None
    named: NamedCheckpoint | None = None

    @property
    def split_file(self) -> Path | None:
        """Split of its run, where it is not that of the data."""
        path = self.path.with_name(SPLIT)
        of_run = self.named is None and self.path.with_name(RUN).is_file()
        return path.resolve() if of_run and path.is_file() else None

    @property
    def absolute(self) -> CheckpointFile:
        """The same file by its absolute path, for processes with another working folder."""
        named = self.named
        return replace(
            self,
            path=self.path.absolute(),
            data=None if self.data is None else self.data.absolute(),
            named=None if named is None else named._replace(path=named.path.absolute()),
        )

    @property
    def sha256(self) -> str:
        """Digest of the file."""
        return digest_of(self.path)


def find_checkpoint(spec: str | Path, *, checkpoint: str = BEST) -> CheckpointFile:
    """Return the checkpoint that a text names, without reading it.

    Parameters
    ----------
    spec : str or Path
        Run folder, checkpoint of eventseg, exported ``.onnx`` file, name of a shipped network, or
        ``NETWORK:PATH`` for a published checkpoint.
    checkpoint : str
        Name of the checkpoint in a run folder.

    Raises
    ------
    CheckpointError
        None of these, or a run folder without that checkpoint.
    """
    shipped = shipped_file(spec)
    if shipped is not None:
        return CheckpointFile(shipped, shipped.stem)
    path = Path(spec)
    named = None if path.exists() else parse_named(str(spec))
    if named is not None:
        if not named.file.is_file():
            raise CheckpointError(f"there is no checkpoint {str(named.path)!r}")
        return CheckpointFile(named.file, named.folder_name, named=named)
    if path.is_file():
        if path.suffix.lower() in (*FORMATS, *PICTURES):
            raise CheckpointError(
                f"{path} is a recording or a picture and no checkpoint; the run comes first: "
                "eventseg predict RUN INPUT"
            )
        beside = path.parent / RUN
        return CheckpointFile(
            path,
            path.resolve().parent.name if beside.is_file() else path.stem,
            _data_of(path.parent),
        )
    if not path.is_dir():
        raise CheckpointError(
            f"there is no run folder or checkpoint {str(spec)!r}; give a folder that eventseg "
            "train made, one of its .pt files, an exported .onnx file, NETWORK:PATH for a "
            f"published checkpoint, or a shipped network: {', '.join(SHIPPED)}"
        )
    if (path / checkpoint).is_file():
        return CheckpointFile(path / checkpoint, path.resolve().name, _data_of(path))
    if (path / MANIFEST).is_file():
        raise CheckpointError(
            f"{path} is a data set and no run folder; the run comes first: eventseg predict RUN "
            "INPUT"
        )
    there = sorted(file.name for file in path.glob("*.pt"))
    if there or any((path / name).is_file() for name in (RUN, CONFIG)):
        others = f"it has {', '.join(there)}: name one with --checkpoint" if there else ""
        raise CheckpointError(
            f"{path} has no {checkpoint}; {others or 'its training has not ended an epoch'}"
        )
    raise CheckpointError(f"{path} is no run folder: it has no {checkpoint} and no {RUN}")


def data_encoding(data: Path | None, inputs: InputSpec) -> Encoding | None:
    """Return the encoding of the data set that a network was trained on, None where it is gone.

    Parameters
    ----------
    data : Path or None
        Data of the training.
    inputs : InputSpec
        Input of the network, whose normalisation holds where it sees events.
    """
    if data is None or not (data / MANIFEST).is_file():
        return None
    stored = Manifest.read(data / MANIFEST).settings.encoding
    sees_events = inputs.kind in ("events", "both")
    return stored.normalised(inputs.normalise) if sees_events else stored


def _data_of(folder: Path) -> Path | None:
    """Return the data that the ``run.json`` of a folder names."""
    try:
        named = json.loads(read_text(folder / RUN))["data"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Path(named) if isinstance(named, str) else None
