"""Signs records for a channel that demands it. docs/events.md describes the signature."""

import base64
import hashlib
import hmac


def sign(signing_key, channel, key, headers, value):
    """The value of the header `causeway-signature`. `signing_key` is an id, a colon and the secret in base64url."""
    key_id, _, secret = signing_key.partition(":")
    signed = sorted((name, text) for name, text in headers.items() if name == "content-type" or name.startswith("ce_"))
    parts = [_part(b"causeway-record-v1"), _part(channel.encode()), _part(key), _number(len(signed))]
    parts += [_part(name.encode()) + _part(text.encode()) for name, text in signed]
    parts += [b"\0" if value is None else b"\1" + _part(value)]
    secret = base64.urlsafe_b64decode(secret + "=" * (-len(secret) % 4))
    digest = hmac.digest(secret, b"".join(parts), hashlib.sha256)
    return f"{key_id}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def _part(data):
    return _number(len(data)) + data


def _number(number):
    return number.to_bytes(8, "big")
