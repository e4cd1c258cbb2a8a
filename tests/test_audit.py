"""The audit chain holds, and every change of it is found."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.audit import BEGINNING, Deed, Row, first_break, link


def _chain(length: int) -> list[Row]:
    rows: list[Row] = []
    for n in range(1, length + 1):
        deed = Deed(n * 1000, "王芳", "footage.export", f"camera/C{n:02d}", {"from_ns": n, "why": "检查"})
        rows.append(link(n, rows[-1].hash if rows else BEGINNING, deed))
    return rows


def test_an_untouched_chain_holds() -> None:
    assert first_break(_chain(20)) is None
    assert first_break([]) is None


@settings(deadline=None)
@given(st.integers(0, 9), st.sampled_from(["changed", "taken out", "doubled", "swapped", "forged"]))
def test_every_change_is_found(index: int, what: str) -> None:
    rows = _chain(10)
    row = rows[index]
    if what == "changed":
        rows[index] = replace(row, deed=replace(row.deed, who="李娜"))
    elif what == "taken out":
        if index == 9:
            return  # the end may be missing: that is found by comparing with what was sent out
        del rows[index]
    elif what == "doubled":
        rows.insert(index, row)
    elif what == "swapped":
        rows[index], rows[index - 1] = rows[index - 1], rows[index]
    else:
        previous = rows[index - 1].hash if index else BEGINNING
        rows[index] = link(row.n, previous, replace(row.deed, detail={}))
        if index == 9:
            return  # the last row can be written anew by whoever may write: the same holds
    assert first_break(rows) is not None
