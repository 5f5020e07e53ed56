"""Signatures of inventories: Ed25519, with keys as OpenSSH writes them.

Every machine has such a key already: its SSH host key. What is signed begins with a word of ours,
so that no signature of one protocol is one of the other.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rfc8785

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_DOMAIN = b"cloudsync inventory 1\0"
_LARGEST_KEY_BYTES = 64 * 1024


class KeyProblem(Exception):
    """A key cannot be used; one line, without anything of the key."""


def signed(document: Mapping[str, Any], key_file: Path) -> dict[str, Any]:
    """The document with a signature. Raises `KeyProblem`."""
    key = _private_key(key_file)
    value = base64.b64encode(key.sign(_message(document))).decode()
    return {**document, "signature": {"key": _written(key.public_key()), "value": value}}


def problem_with(document: Mapping[str, Any], trusted: Iterable[str]) -> str | None:
    """Why the document is not from a holder of one of these keys; None if it is. Raises
    `KeyProblem` for a trusted key that cannot be read."""
    from cryptography.exceptions import InvalidSignature

    signature = document.get("signature")
    if not isinstance(signature, dict):
        return "is not signed"
    try:
        value = base64.b64decode(str(signature.get("value")), validate=True)
        message = _message(document)
    except (binascii.Error, ValueError):
        return "has a signature that cannot be read"
    for words in trusted:
        try:
            public_key(words).verify(value, message)
        except InvalidSignature:
            continue
        return None
    return "is signed by a key that is not trusted for this host"


def public_key(words: str) -> Ed25519PublicKey:
    """`ssh-ed25519 AAAA…`, with or without a comment. Raises `KeyProblem`."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_ssh_public_key
    except ImportError:
        raise KeyProblem(_MISSING) from None
    try:
        key = load_ssh_public_key(" ".join(words.split()[:2]).encode())
    except (ValueError, TypeError):
        raise KeyProblem('must be an OpenSSH public key such as "ssh-ed25519 AAAA..."') from None
    except Exception:  # noqa: BLE001 - its errors of unsupported algorithms have no common parent
        raise KeyProblem("must be an Ed25519 key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem("must be an Ed25519 key")
    return key


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_ssh_private_key
    except ImportError:
        raise KeyProblem(_MISSING) from None
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST_KEY_BYTES)
    except OSError as error:
        raise KeyProblem(f"the key {path} cannot be read: {error.strerror}") from None
    try:
        key = load_ssh_private_key(raw, password=None)
    except (ValueError, TypeError):
        raise KeyProblem(f"the key {path} is not an unencrypted OpenSSH key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(f"the key {path} is not an Ed25519 key")
    return key


def _written(key: Ed25519PublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _message(document: Mapping[str, Any]) -> bytes:
    """What is signed: everything but the signature, in the canonical form of RFC 8785. Raises
    `ValueError` for what has no such form."""
    rest = {key: value for key, value in document.items() if key != "signature"}
    try:
        return _DOMAIN + rfc8785.dumps(rest)
    except (rfc8785.CanonicalizationError, RecursionError):
        raise ValueError("no canonical form") from None


_MISSING = "signatures need the package cryptography: install cloudsync-firewall[store]"
