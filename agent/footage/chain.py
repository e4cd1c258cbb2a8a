"""PURE. The chain of evidence: every segment of a camera and stream is bound to all that were recorded before it.

How to compute it with any other program:

- Digest of a file: the hash of its bytes in lower-case hexadecimal; `sm3:` stands before it when it is sm3
  (GB/T 32905), nothing when it is sha256.
- Head of the chain after a segment: the hash of the UTF-8 bytes of this JSON array, without a space, in this order:
  `["yunjian-link-1",before,camera,stream,seq,start_ns,size_bytes,digest]`. `before` is the head before the segment
  ("" before the first of a camera and stream), `camera` its uuid, `stream` is `main` or `sub`; `seq`, `start_ns`
  (UTC nanoseconds) and `size_bytes` are numbers. The head is written like a digest, with `sm3:` before it when
  the array was hashed with sm3.

All of it stands in the file, or can be counted on it: its description carries camera, stream, seq, start_ns and, as
`chain`, the head before it. An index that is built again from files has the same chain.

Invariants
1. A head depends on every value named above of its segment, and through `before` on those of all earlier segments.
2. A digest and a head say which hash made them, so that both may follow one another in one chain.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from hashlib import _Hash

SHA256: Final = "sha256"
SM3: Final = "sm3"
ALGORITHMS: Final = (SHA256, SM3)

FIRST: Final = ""
"""What stands before the first segment of a camera and stream."""

_LINK: Final = "yunjian-link-1"
_SM3_MARK: Final = "sm3:"
_HEX_DIGITS: Final = 64
"""sha256 and sm3 both have 256 bits."""


class UnknownHash(ValueError):
    """This is no digest or head of ours, or names a hash that this machine does not have."""


def available(algorithm: str) -> bool:
    """Whether this Python can compute it. sm3 comes with OpenSSL 1.1.1 and later unless its maker left it out; the
    check of the settings refuses `footage.hash: sm3` without it, so that nothing is recorded unhashed."""
    try:
        new_hash(algorithm)
    except UnknownHash:
        return False
    return True


def new_hash(algorithm: str) -> "_Hash":
    """A fresh hash to be fed the bytes of a file. Raises UnknownHash."""
    if algorithm == SHA256:
        return hashlib.sha256()
    if algorithm != SM3:
        raise UnknownHash(f"no hash {algorithm!r} is used here")
    try:
        return hashlib.new(SM3)
    except ValueError as error:
        raise UnknownHash("this OpenSSL has no sm3") from error


def digest_of(finished: "_Hash") -> str:
    """What a hash of `new_hash` has come to, as a digest."""
    return _marked(finished.name.lower(), finished.hexdigest())


def hash_bytes(algorithm: str, data: bytes) -> str:
    """The digest of `data`. Raises UnknownHash."""
    fed = new_hash(algorithm)
    fed.update(data)
    return digest_of(fed)


def algorithm_of(digest: str) -> str:
    """Which hash made a digest or a head. Raises UnknownHash when it is neither."""
    mark, digits = (SM3, digest[len(_SM3_MARK) :]) if digest.startswith(_SM3_MARK) else (SHA256, digest)
    if len(digits) != _HEX_DIGITS or not all(each in "0123456789abcdef" for each in digits):
        raise UnknownHash(f"not a digest: {digest[:80]!r}")
    return mark


def link(
    algorithm: str, before: str, camera: str, stream: str, seq: int, start_ns: int, size_bytes: int, digest: str
) -> str:
    """The head of the chain after a segment. `before` is the head before it, `FIRST` when there is none; `digest`
    that of the whole file. Raises UnknownHash when `algorithm` is not to be had.
    """
    content = json.dumps(
        [_LINK, before, camera, stream, seq, start_ns, size_bytes, digest], ensure_ascii=False, separators=(",", ":")
    )
    return hash_bytes(algorithm, content.encode())


def _marked(algorithm: str, digits: str) -> str:
    return f"{_SM3_MARK}{digits}" if algorithm == SM3 else digits
