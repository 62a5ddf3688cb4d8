"""What of the thresholds is used up: VMs destroyed and restarted in the last 24 h (design 4)."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from reconciler.drain import Drain
from state.change import Effect
from state.memory import Binding
from state.store import Store


def machine_of(key: str, binding: Binding | None) -> str:
    """The name under which a destroy is counted: a key may have several machines in a day."""
    return f"{key} {binding.uuid}" if binding and binding.uuid else key


@dataclass(slots=True)
class Spent:
    """The VMs that met an effect, by key (destroyed machines by `machine_of`); and those that this
    run lets meet it.

    One for all clusters of a run, which are looked at side by side: who checks and adds holds
    `lock` for both. What was let pass stays counted until the run ends, sent or not. `drain` is
    what restarts are at work.
    """

    keys: Mapping[Effect, set[str]] = field(
        default_factory=lambda: {Effect.DESTROY: set(), Effect.STOP_START: set()}
    )
    lock: threading.RLock = field(default_factory=threading.RLock)
    drain: Drain = field(default_factory=Drain)

    def learn(self, effect: Effect, keys: Iterable[str]) -> None:
        """Count what the journal tells too."""
        with self.lock:
            self.keys[effect].update(keys)

    def has_room(self, effect: Effect, key: str, most: float) -> bool:
        """Whether a VM may meet the effect; one that is counted already takes no more room."""
        spent = self.keys[effect]
        return key in spent or len(spent) + 1 <= most

    def keep_drain(self, store: Store) -> None:
        """Write down what restarts are at work, for who comes after a crash."""
        with self.lock:
            self.drain.keep(store)
