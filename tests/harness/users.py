"""The real engine with record users signed in beside the owner: what SurrealDB shows to whom.

Each user is a session of its own in the one embedded engine, signed in by a token made here, so that a test knows the
claims in it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from uuid import uuid4

from sp00ky.proto.values.cbor import decode, encode
from sp00ky.proto.values.kinds import RecordId, Value
from sp00ky.proto.values.text import display

from tests.harness.oracle import Oracle, Refused

ACCESS = "account"
TOKEN_SECONDS = 3600
_KEY = "a key that signs tokens in tests"
DEFINE_ACCESS = f"DEFINE ACCESS {ACCESS} ON DATABASE TYPE RECORD WITH JWT ALGORITHM HS256 KEY '{_KEY}'"


class UserOracle(Oracle):
    """One empty in-memory database; `ask` asks as its owner."""

    def __init__(self) -> None:
        super().__init__()
        self._begin_users("oracle", "oracle")

    def _begin_users(self, namespace: str, database: str) -> None:
        """The database, which is in use and has no access yet, lets record users in; those of another one are gone."""
        self._place = (namespace, database)
        self._sessions: dict[RecordId, str] = {}
        defined = self.ask(DEFINE_ACCESS)
        assert not isinstance(defined, Refused), defined

    def sign_in(self, user: RecordId, **claims: str | int | list[str]) -> dict[str, Value]:
        """Sign the user in, who can be asked as from then on: the claims of the token, as `$token` has them."""
        session = str(uuid4())
        self._call_in(session, "attach")
        self._call_in(session, "use", *self._place)
        payload = claims_of(user, *self._place, **claims)
        reply = self._call_in(session, "authenticate", token_of(payload))
        assert "result" in reply, reply
        self._sessions[user] = session
        return payload

    def ask_as(self, user: RecordId, surql: str, **params: Value) -> Value | Refused:
        """The answer of the last statement, as the user sees it."""
        return self._answers(self._call_in(self._sessions[user], "query", surql, params))[-1]

    def _call_in(self, session: str, method: str, *params: Value) -> dict[str, Value]:
        request = {"id": 1, "method": method, "params": list(params), "session": session}
        reply: dict[str, Value] = decode(self._engine.execute(encode(request)))
        return reply


def claims_of(user: RecordId, namespace: str, database: str, **claims: str | int | list[str]) -> dict[str, Value]:
    """What a token of the user says, as `$token` has it."""
    spaces = {"NS": namespace, "DB": database, "AC": ACCESS}
    return {**spaces, "ID": display(user), "exp": int(time.time()) + TOKEN_SECONDS, **claims}


def token_of(payload: Mapping[str, object]) -> str:
    """A JSON Web Token, HS256, of a database with `DEFINE_ACCESS`."""
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(payload)}"
    return f"{signed}.{_text(hmac.digest(_KEY.encode(), signed.encode(), hashlib.sha256))}"


def _part(content: Mapping[str, object]) -> str:
    return _text(json.dumps(content).encode())


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
