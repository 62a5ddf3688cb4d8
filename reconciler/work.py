"""Send what the guard let pass: what VMs share as one, then each VM's own, side by side (C-24)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from handlers.wishes import RESTORE
from reconciler.clock import Workers
from reconciler.guard import Guarded
from reconciler.reckon import Reckoner
from reconciler.safeguard.carry import carry_out
from reconciler.turn import Turn
from state.change import Change


@dataclass(slots=True)
class Work:
    """The executing half of a look at one cluster; nothing is begun when the time is out."""

    reckoner: Reckoner
    workers: Workers
    out_of_time: Callable[[], bool]

    def send(self, ready: list[tuple[Turn, Guarded]]) -> None:
        """Carry out what is ready; each failure is its own VM's."""
        self.workers.map(lambda item: self._execute(*item), self._grouped(ready))

    def _grouped(
        self, ready: list[tuple[Turn, Guarded]]
    ) -> list[tuple[Turn, Guarded, tuple[Change, ...]]]:
        """Apply what several VMs share as one (a pool's members); return each VM's own rest."""
        groups: dict[tuple[str, str], list[tuple[Turn, Change]]] = {}
        rest: list[tuple[Turn, Guarded, tuple[Change, ...]]] = []
        for turn, guarded in ready:
            own = tuple(c for c in guarded.allowed if c.group in ("", c.subject))
            for change in guarded.allowed:
                if change not in own:
                    groups.setdefault((change.handler, change.group), []).append((turn, change))
            rest.append((turn, guarded, own))
        for (handler, _), members in groups.items():
            if self.out_of_time():
                break
            self._execute_group(handler, members)
        return [item for item in rest if item[2] or not item[1].allowed]

    def _execute_group(self, handler: str, members: Sequence[tuple[Turn, Change]]) -> None:
        try:
            shared = [(turn.key, change) for turn, change in members]
            done = self.reckoner.site.executor.run_group(handler, shared)
        except Exception as error:
            for turn, _ in members:
                self.reckoner.broke(turn, error)
            return
        for turn, change in members:
            turn.wrote = True
            self.reckoner.account(turn, done, (change,), self.reckoner.clock.now())

    def _execute(self, turn: Turn, guarded: Guarded, own: tuple[Change, ...]) -> None:
        """Send what one VM may have; nothing is begun when the time is out (C-24)."""
        seen, here = guarded.plan.seen, self.reckoner
        if self.out_of_time():
            return
        try:
            turn.wrote = True
            restores = any(change.handler == RESTORE for change in own)
            if turn.spec.state == "absent" and not restores:
                self._end(turn, guarded, own)
                return
            done = carry_out(here.store, here.site, here.clock, turn.spec, guarded, own)
            here.account(turn, done, own, here.clock.now())
            here.narrator.changed(turn, seen, done, own)
        except Exception as error:
            self.reckoner.broke(turn, error)

    def _end(self, turn: Turn, guarded: Guarded, own: tuple[Change, ...]) -> None:
        """Make the next step of a VM's end."""
        here = self.reckoner
        done = here.ending.carry(turn, guarded, own)
        if done is not None:
            here.account(turn, done, own, here.clock.now())
            here.narrator.changed(turn, guarded.plan.seen, done, own)
