"""Whether VMs whose spec has gone are destroyed, and how long after (design 4)."""

from pydantic import Field, model_validator

from desired.model import Bool, Model
from desired.units import Duration

DAY = 86400.0


class Prune(Model):
    """`prune: true`, `prune: false` or `prune: {grace: 7d}`, which turns it on; off without any.

    `grace` is the time from the first run that missed a spec to the end of its VM.
    """

    enabled: Bool = False
    grace: Duration = Field(DAY, description="from the first run that misses a spec")

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        if isinstance(value, bool):
            return {"enabled": value}
        return {"enabled": True, **value} if value and isinstance(value, dict) else value
