"""The program that holds the private key while it signs: `python -m agent.footage.custody.signer VERB FILE`.

A child of the record process, because the library for it would keep ten megabytes there for one signature an hour;
and so the key is in no memory that also holds what cameras send. Nothing imports this module.

`make` writes a new key to FILE (PKCS8 PEM, mode 0600, fsynced, never over an old one) and prints the public key,
`public` prints the public key of FILE, `sign` prints the public key and behind it the signature of what stands on its
input. All in base64, one line. Ends with 2 when FILE is not there, 3 when it is no key, 4 when the disk refuses, and
the reason on stderr.
"""

import base64
import os
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

GONE, DAMAGED, REFUSED = 2, 3, 4


def main(verb: str, path: Path) -> int:
    """Carry out one verb; the exit status. Never prints anything of the private key."""
    try:
        match verb:
            case "make":
                answer = _public(_make(path))
            case "public":
                answer = _public(_load(path))
            case "sign":
                key = _load(path)
                answer = _public(key) + key.sign(sys.stdin.buffer.read())
            case _:
                raise SystemExit(f"no verb {verb!r}")
    except FileNotFoundError as error:
        return _say(GONE, error)
    except (ValueError, TypeError) as error:
        # What the library says of a damaged key names no part of it; its class is enough all the same.
        return _say(DAMAGED, type(error).__name__)
    except OSError as error:
        return _say(REFUSED, error)
    sys.stdout.write(base64.b64encode(answer).decode() + "\n")
    return 0


def _make(path: Path) -> Ed25519PrivateKey:
    if path.exists():
        raise FileExistsError(f"{path} is there already")
    key = Ed25519PrivateKey.generate()
    staged = path.with_name(f"{path.name}.new")
    staged.unlink(missing_ok=True)
    number = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(number, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    staged.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return key


def _load(path: Path) -> Ed25519PrivateKey:
    key = load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("no Ed25519 key")
    return key


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _say(status: int, reason: object) -> int:
    sys.stderr.write(f"{reason}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
