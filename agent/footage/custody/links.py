"""PURE. Links of the chain as `verify` counts them anew, and what it says where one does not fit."""

from agent.facts import Text
from agent.footage.chain import UnknownHash, algorithm_of, link
from agent.footage.custody.evidence import Finding, FindingKind, Gone, Recorded, Unbound, Walk


def unlike_bound(walk: Walk, last: Recorded | Unbound, n: int, after: Text) -> Finding:
    """The segment before is not what what follows was bound to."""
    detail = Text(f"后面的{after.zh}记载的是另一内容", f"the {after.en} after it was bound to something else")
    return Finding(FindingKind.ALTERED, walk.camera, walk.stream, last.seq, n, last.start_ns, last.path, detail)


def link_of(walk: Walk, head: str | None, item: Recorded) -> str | None:
    """The head after a segment, when `head` is the one before it; None when that is not known."""
    if head is None:
        return None
    try:
        algorithm = algorithm_of(item.chain)
        return link(algorithm, head, walk.camera, walk.stream, item.seq, item.start_ns, item.size_bytes, item.digest)
    except UnknownHash:
        return None


def link_gone(walk: Walk, head: str | None, gone: Gone, after: str) -> str | None:
    """The same after one that was deleted: what was never readable has no link."""
    if head is None or not gone.digest:
        return head
    try:
        return link(
            algorithm_of(after), head, walk.camera, walk.stream, gone.seq, gone.start_ns, gone.size_bytes, gone.digest
        )
    except UnknownHash:
        return None
