"""Agreement of the processes of one training on the folder, the settings and the samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eventseg.errors import TrainingError
from eventseg.sources.source import Source
from eventseg.training.config.config import TrainConfig, to_toml
from eventseg.training.distributed import gathered
from eventseg.training.layout import LAST
from eventseg.training.run_record import ids_digest


def sees_run(root: Path) -> bool:
    """Return whether the folder holds a run that goes on.

    Raises
    ------
    TrainingError
        Some processes see it and others do not.
    """
    seen = gathered((root / LAST).is_file())
    if len(set(seen)) > 1:
        blind = [str(k) for k, sees in enumerate(seen) if not sees]
        raise TrainingError(
            f"processes {', '.join(blind)} of {len(seen)} see no {root / LAST}, which others see: "
            "give a run folder on storage that all machines share"
        )
    return seen[0]


def check_alike(
    source: Source, parts: Mapping[str, NDArray[np.int64]], config: TrainConfig
) -> None:
    """Check that all processes train on the same samples with the same settings.

    Parameters
    ----------
    source : Source
    parts : mapping
        Samples of each part.
    config : TrainConfig

    Raises
    ------
    TrainingError
        Names the processes that differ from the first one.
    """
    digests = gathered(
        {
            "settings": to_toml(replace(config, workers=0)),
            "samples": ids_digest([source.ids[i] for part in parts.values() for i in part]),
        }
    )
    for name, first in digests[0].items():
        others = [str(k) for k, digest in enumerate(digests) if digest[name] != first]
        if others:
            raise TrainingError(
                f"processes {', '.join(others)} have other {name} than the first one: give all "
                "of them the same command and the same data"
            )
