"""What an export asks of the recorder while it packs: a hold, proofs, a signature.

Invariants
1. What the recorder refuses is told in `problems`; it ends no export, for footage without a signature is better
   than none.
2. A hold that was made is let go when the export ends, however it does.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from agent.access.watching import who
from agent.facts import Text
from agent.footage.exporting.manifest import Film
from agent.wire import Refused, WireError, call

_SLOW_S: Final = 30.0
"""The recorder signs within a second or two of being asked; a board under load needs longer."""

_HELD_DAYS: Final = 2
"""If this program is killed its hold ends by itself."""


class Evidence:
    """Asks the recorder for proofs and for a signature; what it refuses is told, and the package goes without."""

    def __init__(self, runtime: Path, subject: str, why: str) -> None:
        self._runtime = runtime
        self._subject = subject
        self._why = why
        self.problems: list[Text] = []
        self._ask("checkpoint", {})  # so that what has just ended is covered, too

    def prove(self, film: Film) -> Mapping[str, Any] | None:
        """The links of a film up to a signed head."""
        numbers = [source.seq for source in film.sources if source.chain]
        whole: dict[str, Any] = {}
        first: int | None = min(numbers)
        while first is not None:
            asked = {"camera": film.uuid, "stream": film.stream, "first_seq": first, "last_seq": max(numbers)}
            answer = self._ask("proof", asked)
            if answer is None:
                return None
            whole = _added(whole, answer)
            following = answer.get("next_seq")
            first = following if isinstance(following, int) and following > first else None
        return whole

    def vouch(self, film: Film, seq: int) -> Mapping[str, Any] | None:
        """The checkpoint that signed what a power cut or a disk left of a segment."""
        asked = {"camera": film.uuid, "stream": film.stream, "first_seq": seq, "last_seq": seq, "loose": True}
        return self._ask("proof", asked)

    def sign(self, digest: str) -> Mapping[str, Any] | None:
        """The signature of the manifest."""
        detail = {"sha256": digest, "who": who(), "why": self._why, "subject": self._subject}
        return self._ask("sign_manifest", detail)

    def _ask(self, verb: str, args: dict[str, Any]) -> dict[str, Any] | None:
        try:
            return call(self._runtime / "record.sock", verb, args, timeout_s=_SLOW_S)
        except Refused as refused:
            problem = refused.text
        except WireError as error:
            problem = Text(str(error), str(error))
        if problem not in self.problems:
            self.problems.append(problem)
        return None


def _added(whole: dict[str, Any], page: Mapping[str, Any]) -> dict[str, Any]:
    """A proof with its next page. Tombstones are told on every page that they touch."""
    if not whole:
        return dict(page)
    known = {stone["first_seq"] for stone in whole.get("tombstones", ())}
    stones = [stone for stone in page.get("tombstones", ()) if stone["first_seq"] not in known]
    return {
        **page,
        "before": whole["before"],
        "links": [*whole.get("links", ()), *page.get("links", ())],
        "deleted": [*whole.get("deleted", ()), *page.get("deleted", ())],
        "tombstones": [*whole.get("tombstones", ()), *stones],
    }


@contextmanager
def held(runtime: Path, films: Sequence[Film], output: Path) -> Iterator[Text | None]:
    """Ask that the footage is not deleted meanwhile; why that is refused, if it is. What goes all the same is a gap of
    the package."""
    first = min(source.start_ns for film in films for source in film.sources)
    last = max(source.end_ns for film in films for source in film.sources)
    wish = {
        "cameras": sorted({film.camera_id for film in films}), "from_ns": first, "to_ns": last, "who": who(),
        "why": f"导出 / export: {output.name}", "days": _HELD_DAYS,
    }  # fmt: skip
    holds: list[str] = []
    refused: Text | None = None
    try:
        answer = call(runtime / "record.sock", "hold", wish, timeout_s=_SLOW_S)
        holds = [str(each["id"]) for each in answer.get("holds", ()) if isinstance(each, dict) and each.get("id")]
    except (WireError, Refused) as error:
        why = error.text if isinstance(error, Refused) else Text(str(error), str(error))
        refused = Text(f"导出期间没有封存：{why.zh}", f"not held while it was exported: {why.en}")
    try:
        yield refused
    finally:
        for each in holds:
            try:
                args = {"id": each, "who": who(), "why": "导出结束 / export ended"}
                call(runtime / "record.sock", "release", args, timeout_s=_SLOW_S)
            except (WireError, Refused):
                continue  # it ends by itself
