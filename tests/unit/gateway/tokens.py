"""JWTs and key files for tests: made as an issuer makes them, and as an attacker does."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

SHARED = "s" * 64  # as long as the longest of its algorithms wants


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def strange_rsa_key() -> rsa.RSAPrivateKey:
    """A key that is in no file."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def rsa_public_pem() -> bytes:
    public = rsa_key().public_key()
    return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def write_jwks(file: Path) -> Path:
    """The public halves of both keys, named `r1` and `e1`."""
    rsa_part = json.loads(RSAAlgorithm.to_jwk(rsa_key().public_key())) | {"kid": "r1", "alg": "RS256", "use": "sig"}
    ec_part = json.loads(ECAlgorithm.to_jwk(ec_key().public_key())) | {"kid": "e1", "alg": "ES256", "use": "sig"}
    file.write_text(json.dumps({"keys": [rsa_part, ec_part]}))
    return file


def token(key: Any = SHARED, algorithm: str = "HS256", kid: str = "", *, lasts_s: float = 60.0, **claims: Any) -> str:
    """`lasts_s` from now; a claim that is None is left out."""
    stated = {"exp": int(time.time() + lasts_s), "ID": "user:ada", **claims}
    kept = {name: value for name, value in stated.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers={"kid": kid} if kid else None)


def unsigned(header: dict[str, Any], claims: dict[str, Any], signature: bytes = b"") -> str:
    """Whatever the parts say."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
