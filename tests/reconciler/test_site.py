"""What a site makes of what preflight learned."""

import pytest

from reconciler.execute import Executor
from reconciler.neighbours import Neighbours
from reconciler.site import Site
from state.observe import Observer
from state.store import Store
from tests.engine import AT, DEMO, Answers, HandClock


@pytest.mark.parametrize(
    ("version", "release"),
    [("8.4.1", (8, 4)), ("9.0", (9, 0)), ("8", None), ("", None), ("8.beta", None)],
)
def test_the_release_is_told_by_its_first_two_numbers(
    version: str, release: tuple[int, int] | None
) -> None:
    api, clock = Answers({}), HandClock()
    with Store.temporary(at=AT) as store:
        observer = Observer("demo", api, store, clock.now)
        executor = Executor(api, store, {}, clock.now, "demo")
        site = Site("demo", DEMO, api, observer, executor, Neighbours(store, {}))
        site.facts = {"version": version}
    assert site.release == release
