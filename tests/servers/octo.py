"""An octoDNS provider of the tests: octoDNS's own YAML files, behind a token."""

from octodns.provider import ProviderException
from octodns.provider.yaml import YamlProvider


class GuardedClientUnauthorized(ProviderException):  # type: ignore[misc]
    """What providers of octoDNS raise for a wrong token."""


class GuardedYaml(YamlProvider):  # type: ignore[misc]
    """Refuses any token but that of its folder's `token` file, and any file once `down` is there.

    Its limit of one rrset whose name begins with `refused` stands for what a real one may refuse.
    """

    def __init__(self, id, directory, token, **options):  # type: ignore[no-untyped-def]
        super().__init__(id, directory, enforce_order=False, escaped_semicolons=False, **options)
        self._token = token

    def populate(self, zone, target=False, lenient=False):  # type: ignore[no-untyped-def]
        with open(f"{self.directory}/token") as file:
            expected = file.read()
        if expected == "down":
            raise ConnectionRefusedError(111, "Connection refused")
        if expected != self._token:
            raise GuardedClientUnauthorized(f"unauthorized: {self._token}")
        return super().populate(zone, target, lenient)

    def _apply(self, plan):  # type: ignore[no-untyped-def]
        for change in plan.changes:
            if change.record.name.startswith("refused"):
                raise ProviderException(f"refused: {change.record.fqdn}")
        super()._apply(plan)


class Faltering(GuardedYaml):
    """Writes all that it is given, and then fails."""

    def _apply(self, plan):  # type: ignore[no-untyped-def]
        super()._apply(plan)  # type: ignore[no-untyped-call]
        raise ProviderException("the last step failed")


class OnlyA(GuardedYaml):
    """Has records of one type."""

    SUPPORTS = frozenset({"A"})


class FailingClientForbidden(ProviderException):  # type: ignore[misc]
    """What a provider raises for a missing right."""


class FailingClientNotFound(ProviderException):  # type: ignore[misc]
    """What a provider raises for a missing zone."""


class _Response:
    """What the errors of `requests` carry."""

    def __init__(self, status: int) -> None:
        self.status_code = status


class _HTTPError(OSError):
    def __init__(self, status: int, token: str) -> None:
        super().__init__(f"{status} for token {token}")
        self.response = _Response(status)


class Failing(GuardedYaml):
    """Fails as the file `fails` in its folder says."""

    def populate(self, zone, target=False, lenient=False):  # type: ignore[no-untyped-def]
        with open(f"{self.directory}/fails") as file:
            name = file.read()
        if name.startswith("status-"):
            raise _HTTPError(int(name.removeprefix("status-")), self._token)
        kinds = {
            "forbidden": FailingClientForbidden,
            "notfound": FailingClientNotFound,
            "timeout": TimeoutError,
        }
        raise kinds.get(name, ProviderException)(f"with {self._token}")
