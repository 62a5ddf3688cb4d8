"""What the engine needs of a cluster's API beyond `state.api.Api`: who we are, counts, a trace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from state.api import Api, Json, Misconfigured
from state.change import Call, Param


class Contact(Api, Protocol):
    """An API that also knows who we are to it and how far its clock is from ours."""

    @property
    def identity(self) -> str: ...

    @property
    def skew(self) -> float | None: ...


class CountingApi(Contact, Protocol):
    """An API that counts its requests."""

    @property
    def reads(self) -> int: ...

    @property
    def writes(self) -> int: ...


class TracedApi(CountingApi, Protocol):
    """An API that also tells of each request: method, path, seconds, status (0: no answer)."""

    trace: Callable[[str, str, float, int], None] | None


@dataclass(frozen=True, slots=True)
class ClosedApi:
    """The API of a cluster that could not be opened: every call fails with the reason."""

    reason: str
    identity: str = ""
    skew: float | None = None
    reads: int = 0
    writes: int = 0

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        raise Misconfigured(self.reason)

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        raise Misconfigured(self.reason)


@dataclass(frozen=True, slots=True)
class FencedApi:
    """An API whose every write first asks `fence`, which raises Lost when the lock is lost."""

    api: CountingApi
    fence: Callable[[], None]

    @property
    def identity(self) -> str:
        return self.api.identity

    @property
    def skew(self) -> float | None:
        return self.api.skew

    @property
    def reads(self) -> int:
        return self.api.reads

    @property
    def writes(self) -> int:
        return self.api.writes

    def get(self, path: str, params: Mapping[str, Param] | None = None) -> Json:
        return self.api.get(path, params)

    def send(self, call: Call, *, heavy: bool = False) -> Json:
        self.fence()
        return self.api.send(call, heavy=heavy)
