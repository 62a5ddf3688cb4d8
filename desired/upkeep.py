"""How a fleet's runs are kept alive and watched: `locks` and `metrics` of fleet.yaml."""

from pydantic import Field

from desired.model import Model
from desired.units import Duration


class Locks(Model):
    """When a run that gives no sign of life is given up (LOCK-02)."""

    timeout: Duration = Field(
        600.0,
        ge=1,
        description="a lock whose holder stands still for so long is taken over by another run",
    )


class Metrics(Model):
    """Figures for Prometheus: `{textfile: /var/lib/prometheus/node-exporter/reconcile.prom}`."""

    textfile: str | None = Field(
        None, min_length=1, description="file that each run writes; relative to the fleet's folder"
    )
