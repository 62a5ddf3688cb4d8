"""How much traffic a VM's price holds, and what of it counts (USE-03)."""

from typing import Literal

from pydantic import Field

from desired.model import Model
from desired.units import Size


class Traffic(Model):
    """The month's allowance of a VM or package: `{allowance: 1TiB, counts: both}`.

    Nothing is slowed or stopped by it: what was used beyond it is told.
    """

    allowance: Size | None = Field(None, description="bytes a calendar month; none: without limit")
    counts: Literal["both", "in", "out", "larger"] = Field(
        "both", description="what is held against it: the sum, one direction, the larger of the two"
    )

    def counted(self, bytes_in: int, bytes_out: int) -> int:
        """The bytes that count."""
        if self.counts == "both":
            return bytes_in + bytes_out
        if self.counts == "larger":
            return max(bytes_in, bytes_out)
        return bytes_in if self.counts == "in" else bytes_out

    def over(self, bytes_in: int, bytes_out: int) -> int:
        """The counted bytes beyond the allowance."""
        if self.allowance is None:
            return 0
        return max(0, self.counted(bytes_in, bytes_out) - self.allowance)
