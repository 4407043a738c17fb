"""Who asks: from the bearer of a request to a `Principal`, its roles, and the user it stands for.

| bearer                                   | roles                    | whose views               |
|------------------------------------------|--------------------------|---------------------------|
| `SPKY_AUTH_SECRET`, or the previous one  | client, ssp, admin*      | any: a service states it  |
| `SPKY_CLIENT_SECRET`                     | client                   | any: a service states it  |
| `SPKY_SSP_SECRET`                        | ssp                      | –                         |
| `SPKY_ADMIN_SECRET`                      | client, ssp, admin       | any: a service states it  |
| a JWT with `spky_role`                   | that one                 | as the secret of the role |
| a JWT with `ID`, or `sub`, a record id   | user                     | that user's, no other     |

*Only while there is no `SPKY_ADMIN_SECRET`. Without any secret or key everyone is a service, and `exposure.py` keeps
the server on loopback.

A refusal says nothing of its reason: it is counted. A key decides which algorithms it may be used with, never the
token. Secrets are compared as digests, all of them, whatever matched before.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import jwt
from sp00ky.gateway.config import GatewaySettings
from sp00ky.gateway.endpoint import Role
from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.values.kinds import Value
from sp00ky.proto.viewer import auth_id_of, pack_viewer, viewer_of
from sp00ky.proto.watched import Watched

TOKEN_CHARS_MAX: Final = 8 * 1024
ROLE_CLAIM: Final = "spky_role"
SERVICE: Final = frozenset({Role.CLIENT, Role.SSP})
EVERY_ROLE: Final = SERVICE | {Role.ADMIN}
ROLES_OF: Final[Mapping[str, frozenset[Role]]] = {
    "client": frozenset({Role.CLIENT}),
    "ssp": frozenset({Role.SSP}),
    "admin": EVERY_ROLE,
}
_USER: Final = frozenset({Role.USER})
_SHARED_SECRET_ALGORITHMS: Final = ("HS256", "HS384", "HS512")
# They change whenever a token is renewed, and a view must not: its rules cannot read them.
_OF_THE_TOKEN_ALONE: Final = frozenset({"exp", "iat", "nbf", "jti"})
_REASONS: Final[Sequence[tuple[type[Exception], str]]] = (
    (jwt.ExpiredSignatureError, "expired"),
    (jwt.ImmatureSignatureError, "not_yet"),
    (jwt.InvalidAudienceError, "audience"),
    (jwt.InvalidIssuerError, "issuer"),
    (jwt.InvalidAlgorithmError, "algorithm"),
    (jwt.InvalidSignatureError, "signature"),
    (jwt.MissingRequiredClaimError, "claims"),
)


@dataclass(frozen=True, slots=True)
class Principal:
    """`viewer`: the user whose views it has, of a record user. `expires`: unix seconds, when it is no longer one."""

    name: str
    roles: frozenset[Role]
    viewer: Mapping[str, Value] | None = None
    expires: float | None = None

    @property
    def holds_ssp_secret(self) -> bool:
        """Whether it presented one of the secrets that an SSP may hold: no admin's, and no JWT of that role."""
        return self.expires is None and self.name in {"service", "ssp"}


class Unauthenticated(Fault):
    """The one refusal. `reason` is for the counter alone."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.UNAUTHENTICATED, "bearer token is missing or wrong", "send Authorization: Bearer <token>")
        self.reason = reason


ANYONE: Final = Principal("anyone", EVERY_ROLE)


@dataclass(frozen=True, slots=True)
class _Key:
    """`id`: the `kid` that tokens name it by; empty fits any."""

    id: str
    key: Any
    algorithms: tuple[str, ...]


class Gatekeeper:
    """Decides for one server. Raises Fault INVALID when a key file cannot be used; one that changes is read again."""

    def __init__(self, settings: GatewaySettings) -> None:
        service = SERVICE if settings.admin_secret else EVERY_ROLE
        stated = (
            ("service", settings.auth_secret, service),
            ("service", settings.auth_secret_previous, service),
            ("client", settings.client_secret, ROLES_OF["client"]),
            ("ssp", settings.ssp_secret, ROLES_OF["ssp"]),
            ("admin", settings.admin_secret, ROLES_OF["admin"]),
        )
        self._secrets = [(_digest(secret), Principal(name, roles)) for name, secret, roles in stated if secret]
        self._shared = [_Key("", settings.jwt_secret, _SHARED_SECRET_ALGORITHMS)] if settings.jwt_secret else []
        file = settings.jwt_jwks_file
        self._listed = Watched([file], partial(read_jwks, file)) if file is not None else None
        self._audience, self._issuer = settings.jwt_audience or None, settings.jwt_issuer or None
        self._leeway_s = settings.jwt_leeway_s

    @property
    def asks(self) -> bool:
        """Whether there is anything to present."""
        return bool(self._secrets or self._shared or self._listed)

    def _keys(self) -> Sequence[_Key]:
        return [*self._shared, *self._listed.value()] if self._listed is not None else self._shared

    def principal_of(self, authorization: str) -> Principal:
        """Who presents this `Authorization` header ("" if there is none). Raises Unauthenticated."""
        if not self.asks:
            return ANYONE
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise Unauthenticated("scheme" if authorization else "missing")
        given, found = _digest(token), None
        for digest, principal in self._secrets:
            if hmac.compare_digest(given, digest):
                found = principal
        return found or self._of_token(token)

    def _of_token(self, token: str) -> Principal:
        if not (self._shared or self._listed) or token.count(".") != 2:
            raise Unauthenticated("unknown")
        if len(token) > TOKEN_CHARS_MAX:
            raise Unauthenticated("length")
        try:
            return _principal(self._claims_of(token))
        except Unauthenticated:
            raise
        except Exception as error:  # a token may hold anything, so reading it may raise anything: none is our fault
            reason = next((reason for kind, reason in _REASONS if isinstance(error, kind)), "malformed")
            raise Unauthenticated(reason) from None

    def _claims_of(self, token: str) -> dict[str, Any]:
        """The verified claims."""
        header = jwt.get_unverified_header(token)
        fits = [key for key in self._keys() if header.get("alg") in key.algorithms]
        if not fits:
            raise Unauthenticated("algorithm")
        named = [key for key in fits if not key.id or key.id == header.get("kid", key.id)]
        if not named:
            raise Unauthenticated("key")
        for key in named[:-1]:
            try:
                return self._verified(token, key)
            except jwt.InvalidSignatureError:
                continue
        return self._verified(token, named[-1])

    def _verified(self, token: str, key: _Key) -> dict[str, Any]:
        return jwt.decode(
            token,
            key.key,
            algorithms=list(key.algorithms),
            audience=self._audience,
            issuer=self._issuer,
            leeway=self._leeway_s,
            options={"require": ["exp"]},
        )


def require_role(principal: Principal, roles: frozenset[Role], name: str) -> None:
    """Raises Fault FORBIDDEN unless the principal has one of the roles; an admin may everything."""
    if not principal.roles & (roles | {Role.ADMIN}):
        raise Fault(
            Code.FORBIDDEN, f"{name} is not for this token", f"it is for: {', '.join(sorted(roles)) or 'admin'}"
        )


def read_jwks(file: Path) -> list[_Key]:
    """The keys of a JWKS file. Raises Fault INVALID."""

    def refuse(reason: str) -> NoReturn:
        raise Fault(Code.INVALID, f"key file {file} cannot be used: {reason}", 'it is a JWKS: {"keys": [...]}')

    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        keys = jwt.PyJWKSet.from_dict(document).keys
    except OSError as error:
        refuse((error.strerror or str(error)).lower())
    except (ValueError, AttributeError, TypeError, jwt.PyJWTError) as error:
        refuse(str(error) or type(error).__name__)
    return [_Key(key.key_id or "", key.key, (key.algorithm_name,)) for key in keys]


def _principal(claims: Mapping[str, Any]) -> Principal:
    """Raises Unauthenticated, Fault."""
    expires = float(claims["exp"])
    role = claims.get(ROLE_CLAIM)
    if role is not None:
        if role not in ROLES_OF:
            raise Unauthenticated("role")
        return Principal(str(role), ROLES_OF[role], expires=expires)
    user = claims.get("ID", claims.get("sub"))
    if not isinstance(user, str):
        raise Unauthenticated("claims")
    lasting = {name: value for name, value in claims.items() if name not in _OF_THE_TOKEN_ALONE}
    viewer = viewer_of({"id": user, "access": claims.get("AC"), "claims": lasting})
    pack_viewer(viewer)
    return Principal(auth_id_of(viewer), _USER, viewer, expires)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
