"""When the HA manager holds its next round: within 10 s of any change, else not at all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.sim.cluster.tasks import Step
from reconciler.sim.ha.book import ROOM, book
from reconciler.sim.watch import watching

if TYPE_CHECKING:
    from reconciler.sim.world import World

ROUND = 10.0
"""Seconds between two rounds."""


@watching
def wake(world: World) -> None:
    """Something changes: see to it that a round is due."""
    if ROOM not in world.rooms:
        return
    held = book(world)
    if held.resting or held.next_round or not (held.resources or held.services or held.orders):
        return
    period = ROUND / world.speed
    # A hair before the round is the round: the clock cannot tell the two apart.
    passed = math.floor((world.now - world.booted) / period + 1e-3) + 1
    held.next_round = world.booted + passed * period
    wait = (held.next_round - world.now) * world.speed
    world.tasks.later(next(iter(world.nodes)), [Step("ha.round", {}, wait)])
