"""The simulated cluster without HTTP: the same calls, the same errors, for laws and cases."""

import threading
from collections.abc import Mapping

from reconciler.pve import errors, form
from reconciler.sim.accounts.access import Identity
from reconciler.sim.api import Simulator
from reconciler.sim.errors import Dropped
from state.api import Json
from state.change import Call, Method, Param


class InProcessApi:
    """`state.api.Api` over a Simulator, as the user or token `identity`. Safe for threads."""

    def __init__(self, simulator: Simulator, identity: str = "root@pam") -> None:
        self.identity = identity
        self.reads = 0
        self.writes = 0
        self._simulator = simulator
        self._who = Identity.parse(identity)
        self._lock = threading.Lock()

    @property
    def skew(self) -> float | None:
        """Seconds that the simulated clock is ahead of the one it was given."""
        return self._simulator.now - self._simulator.clock()

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        return self._call(Method.GET, path, params or {})

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        return self._call(call.method, call.path, call.params)

    def _call(self, method: Method, path: str, params: Mapping[str, Param]) -> Json:
        write = method is not Method.GET
        texts = {name: form.plain(value) for name, value in params.items()}
        raw = {name: one[0] if len(one) == 1 else one for name, one in texts.items() if one}
        with self._lock:
            self.reads, self.writes = self.reads + (not write), self.writes + write
            try:
                answer = self._simulator.call(method, path, raw, self._who)
            except Dropped as dropped:
                raise errors.lost(write, f"the connection broke ({method} {path})") from dropped
        if answer.ok:
            data: Json = answer.data
            return data
        secrets = form.revealed(params)
        keys = {key: form.redact(said, secrets) for key, said in (answer.errors or {}).items()}
        message = form.redact(answer.message or "", secrets)
        reason = form.redact(answer.reason, secrets)
        raise errors.read_answer(write, answer.status, reason, message, keys)
