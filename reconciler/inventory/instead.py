"""A dry run against copies of clusters: `--inventory lab=lab.json`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import click

from desired.catalog import Cluster, Simulated
from reconciler.config import Opened, Opening


@dataclass(frozen=True, slots=True)
class Copies:
    """Opens a fleet with simulated copies in place of some clusters: an `Opening`.

    `files` are inventories by the cluster's name; `opening` opens the rest.
    """

    files: Mapping[str, Path]
    opening: Opening

    @contextmanager
    def __call__(self, folder: Path, database: str | None, at: datetime | None) -> Iterator[Opened]:
        """Raises BadParameter for a cluster that the fleet does not have."""
        with self.opening(folder, database, at) as opened:
            clusters = dict(opened.fleet.clusters)
            for name, file in self.files.items():
                if name not in clusters:
                    known = ", ".join(sorted(clusters))
                    raise click.BadParameter(
                        f"--inventory {name}=...: no such cluster; the fleet has {known}"
                    )
                clusters[name] = _copy(clusters[name], file)
            opened.fleet = replace(opened.fleet, clusters=clusters)
            yield opened


def _copy(cluster: Cluster, file: Path) -> Cluster:
    simulated = Simulated(inventory=str(file.absolute()))
    return cluster.model_copy(
        update={"simulated": simulated, "endpoints": (), "token": None, "login": None}
    )


def files_of(given: tuple[str, ...]) -> dict[str, Path]:
    """Read `NAME=FILE` of the command line. Raises BadParameter."""
    found = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not (name and equals and Path(file).is_file()):
            raise click.BadParameter(
                f"--inventory {text}: expected CLUSTER=FILE, a file that is there"
            )
        found[name] = Path(file)
    return found
