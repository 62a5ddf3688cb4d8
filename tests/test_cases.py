"""Runs the case files: for each handler, what its diff yields of one spec and one sight of a VM."""

from pathlib import Path

import pytest

from handlers.handler import Handler, is_config_call
from reconciler.registry import ending_handlers, restoring_handlers, vm_handlers
from tests.casefile import compared, read_case, shown_change, shown_note

FOLDER = Path(__file__).parent / "cases"
HANDLERS: dict[str, Handler] = {
    handler.name: handler for handler in (*vm_handlers(), *ending_handlers(), *restoring_handlers())
}
ALSO = {"terminate": ("power",), "restore": ("power",)}
"""Whose steps a handler takes over, beside its own: the stop before a destroy, or a restore."""

CASES = sorted(path for name in HANDLERS for path in (FOLDER / name).glob("*.yaml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_diff_yields_what_its_case_says(path: Path) -> None:
    case = read_case(path)
    changes, notes = compared(HANDLERS[case.handler], case.spec, case.seen)
    assert [shown_change(change) for change in changes] == case.changes
    assert [shown_note(note) for note in notes] == case.notes
    signed = {(one.subject, one.handler) for found in (changes, notes) for one in found}
    names = (case.handler, *ALSO.get(case.handler, ()))
    assert signed <= {("web-1", name) for name in names}


@pytest.mark.parametrize("name", sorted(HANDLERS))
def test_every_handler_has_cases_and_one_in_which_nothing_is_done(name: str) -> None:
    cases = [read_case(path) for path in CASES if path.parent.name == name]
    assert any(case.changes or case.notes for case in cases)
    assert any(not case.changes and not case.notes for case in cases)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_changes_of_one_config_key_carry_one_value(path: Path) -> None:
    case = read_case(path)
    values: dict[str, object] = {}
    for change in compared(HANDLERS[case.handler], case.spec, case.seen)[0]:
        for call in filter(is_config_call, change.calls):
            for key, value in call.params.items():
                assert key == "delete" or values.setdefault(key, value) == value
