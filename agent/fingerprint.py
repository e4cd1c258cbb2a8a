"""PURE. The public key of a facility's device, and the short form of it that people compare.

The fingerprint is what a person reads over the telephone and types into `verify`: the first 128 bits of the sha256
of the raw 32-byte Ed25519 public key, as eight numbers of 16 bits, each written with five decimal digits:
`04821-51234-00017-...`. Digits alone, because they are read and typed without mistakes in every language. To find
another key with the same 128 bits is beyond anybody.
"""

import base64
import binascii
import hashlib
import re
from typing import Final

KEY_BYTES: Final = 32
DIGITS: Final = 40

_SPKI: Final = bytes.fromhex("302a300506032b6570032100")
"""What stands before the raw key in a SubjectPublicKeyInfo of Ed25519 (RFC 8410)."""

_PEM: Final = re.compile(r"-----BEGIN PUBLIC KEY-----(.+?)-----END PUBLIC KEY-----", re.DOTALL)


class NoPublicKey(ValueError):
    """This is no public key of a device."""


def fingerprint(public_key: bytes) -> str:
    """The short form of a raw public key. Raises NoPublicKey for anything but 32 bytes."""
    if len(public_key) != KEY_BYTES:
        raise NoPublicKey(f"{len(public_key)} bytes are no Ed25519 public key")
    hashed = hashlib.sha256(public_key).digest()
    return "-".join(f"{int.from_bytes(hashed[at : at + 2], 'big'):05d}" for at in range(0, 16, 2))


def is_same(typed: str, known: str) -> bool:
    """Whether what a person typed is this fingerprint: only the digits count, and all of them must be there."""
    digits = re.sub(r"[^0-9]", "", typed)
    return len(digits) == DIGITS and digits == known.replace("-", "")


def to_pem(public_key: bytes) -> str:
    """A raw public key as other programs read it (PEM, SubjectPublicKeyInfo)."""
    text = base64.b64encode(_SPKI + public_key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


def from_pem(text: str) -> bytes:
    """The raw public key in a PEM text. Raises NoPublicKey."""
    found = _PEM.search(text)
    try:
        decoded = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error as error:
        raise NoPublicKey(str(error)) from error
    if not decoded.startswith(_SPKI) or len(decoded) != len(_SPKI) + KEY_BYTES:
        raise NoPublicKey("no Ed25519 public key in PEM")
    return decoded[len(_SPKI) :]
