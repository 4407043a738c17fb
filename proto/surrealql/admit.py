"""The one gate through which the text of a view passes.

Admitted is one SELECT whose result depends on the database and the parameters alone. Refused, with the clause and its
place named: writes, several statements, random values, the clock, the session, and functions that may do anything. A
text that SurrealDB would refuse as well is a syntax error. What only the tree cannot hold is admitted *opaque*
(`select` None) and kept by re-running; nothing is dropped silently, and nothing harmless is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sp00ky.proto.faults import Code, Fault
from sp00ky.proto.surrealql.ast import Select
from sp00ky.proto.surrealql.cursor import Sight, Sighting
from sp00ky.proto.surrealql.errors import ParseError, Refused, error_at
from sp00ky.proto.surrealql.expressions import REFUSED, WRITES
from sp00ky.proto.surrealql.lexer import scan
from sp00ky.proto.surrealql.parser import read_select
from sp00ky.proto.surrealql.tables import tables_read
from sp00ky.proto.surrealql.tokens import Token, TokenKind

TEXT_BYTES_MAX: Final = 64 * 1024

NO_WRITE: Final = "a view only reads: write with SurrealDB, the view follows"
NO_RANDOM: Final = "choose the value once and pass it as a parameter: the same view must give the same result"
NO_CLOCK: Final = "pass the time as a parameter, such as $now, and register again when it must move"
NO_SESSION: Final = "pass the value as a parameter"
NO_FOREIGN: Final = "write the expression itself into the query: what a function does cannot be seen from outside"
NO_OUTSIDE: Final = "a view depends on the database alone"

_STATEMENTS = """
ACCESS ALTER BEGIN BREAK CANCEL COMMIT CONTINUE CREATE DEFINE DELETE EXPLAIN FOR IF INFO INSERT KILL LET LIVE OPTION
REBUILD RELATE REMOVE RETURN SHOW SLEEP THROW UPDATE UPSERT USE
"""
STATEMENTS: Final = frozenset(_STATEMENTS.split())

# The first that fits decides. A path ending in :: stands for all below it
REFUSED_CALLS: Final = MappingProxyType(
    {
        "rand": NO_RANDOM,
        "rand::": NO_RANDOM,
        "array::shuffle": NO_RANDOM,
        "crypto::argon2::generate": NO_RANDOM,
        "crypto::bcrypt::generate": NO_RANDOM,
        "crypto::pbkdf2::generate": NO_RANDOM,
        "crypto::scrypt::generate": NO_RANDOM,
        "time::now": NO_CLOCK,
        "session::": NO_SESSION,
        "sleep": NO_OUTSIDE,
        "http::": NO_OUTSIDE,
        "api::": NO_FOREIGN,
        "file::": NO_OUTSIDE,
        "eval::": NO_FOREIGN,
        "fn::": NO_FOREIGN,
        "sequence::": NO_WRITE,
    }
)
REFUSED_METHODS: Final = MappingProxyType({"shuffle": NO_RANDOM})
REFUSED_PARAMS: Final = frozenset({"auth", "session", "access", "token", "scope"})
USER_PARAMS: Final = frozenset({"auth", "access", "token"})
REFUSED_CLAUSES: Final = MappingProxyType(
    {
        "ORDER BY RAND()": NO_RANDOM,
        "VERSION": "a view follows the present: leave VERSION out",
        "EXPLAIN": "ask for the plan with `spky view explain`",
    }
)


@dataclass(frozen=True, slots=True)
class Admitted:
    """`select` None: opaque, `aside` says what the tree does not hold. `tables` None: it may read any table."""

    text: str
    select: Select | None
    tables: frozenset[str] | None
    aside: str = ""


def admit(text: str, as_user: bool = False) -> Admitted:
    """`as_user`: the parameters of a user are known. Raises Fault TOO_LARGE, INVALID (no SurrealQL; `details` line,
    column, excerpt) or UNSUPPORTED_QUERY."""
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > TEXT_BYTES_MAX:
        raise Fault(
            Code.TOO_LARGE,
            f"view query has {size} bytes, the limit is {TEXT_BYTES_MAX}",
            "pass long lists as a parameter",
        )
    try:
        _check_single_select(text, scan(text)[0])
        reading = read_select(text)
    except Refused as refusal:
        raise _unsupported(refusal.message, refusal, refusal.hint or _refused_hint(refusal.message)) from None
    except ParseError as error:
        raise _invalid(error) from None
    for sighting in sorted(reading.sightings, key=lambda sighting: sighting.start):
        hint = "" if as_user and sighting.sight is Sight.PARAM and sighting.name in USER_PARAMS else _refusal(sighting)
        if hint:
            raise _unsupported(_named(sighting), error_at(text, sighting.start, ""), hint)
    if reading.aside is not None:
        return Admitted(text, None, None, reading.aside.message)
    return Admitted(text, reading.select, tables_read(reading.select))


def _refused_hint(name: str) -> str:
    if name in WRITES:
        return NO_WRITE
    return NO_OUTSIDE if name in REFUSED else NO_FOREIGN


def _refusal(sighting: Sighting) -> str:
    """Why a sighting cannot be in a view, as a hint; empty if it can."""
    match sighting.sight:
        case Sight.CALL:
            return _refused_call(sighting)
        case Sight.METHOD:
            return REFUSED_METHODS.get(sighting.name, "")
        case Sight.PARAM:
            return NO_SESSION if sighting.name in REFUSED_PARAMS else ""
        case Sight.CLAUSE:
            return REFUSED_CLAUSES.get(sighting.name, "")
        case Sight.NEW_KEY | Sight.MOCK:
            return NO_RANDOM


def _refused_call(sighting: Sighting) -> str:
    if sighting.name.startswith("time::") and sighting.arguments == 0:
        return NO_CLOCK  # time::day() and its like read the clock when they are given nothing
    for path, hint in REFUSED_CALLS.items():
        if sighting.name == path or (path.endswith("::") and sighting.name.startswith(path)):
            return hint
    return ""


NAMED: Final[MappingProxyType[Sight, Callable[[str], str]]] = MappingProxyType(
    {
        Sight.CALL: "{}()".format,
        Sight.METHOD: ".{}()".format,
        Sight.PARAM: "${}".format,
        Sight.CLAUSE: "{}".format,
        Sight.NEW_KEY: ":{}()".format,
        Sight.MOCK: "|{}:n|".format,
    }
)


def _named(sighting: Sighting) -> str:
    return NAMED[sighting.sight](sighting.name)


def _check_single_select(text: str, tokens: list[Token]) -> None:
    """Exactly one statement, and its first word is SELECT. Statements part at a `;` outside all brackets."""
    first = next((index for index, token in enumerate(tokens) if token.text != ";"), 0)
    token = tokens[first]
    if token.kind is TokenKind.END and not text.strip(" \t\r\n;"):
        raise Fault(Code.INVALID, "view query is empty", "write one SELECT")
    if token.keyword in STATEMENTS:
        raise _unsupported(token.keyword, error_at(text, token.start, ""), "a view is one SELECT")
    depth = 0
    for index in range(first, len(tokens) - 1):
        token = tokens[index]
        if token.kind is TokenKind.SIGN:
            depth += (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))
        if token.text == ";" and token.kind is TokenKind.SIGN and depth == 0:
            following = next(after for after in tokens[index:] if after.text != ";")
            if following.kind is not TokenKind.END:
                raise _unsupported("a second statement", error_at(text, following.start, ""), "a view is one SELECT")


def _unsupported(clause: str, at: ParseError, hint: str) -> Fault:
    return Fault(
        Code.UNSUPPORTED_QUERY,
        f"view query uses an unsupported clause: {clause} at {at.position}",
        hint,
        {"line": str(at.line), "column": str(at.column), "excerpt": at.excerpt},
    )


def _invalid(error: ParseError) -> Fault:
    return Fault(
        Code.INVALID,
        f"view query has a syntax error: {error.message} at {error.position}",
        error.hint,
        {"line": str(error.line), "column": str(error.column), "excerpt": error.excerpt},
    )


__all__ = ["TEXT_BYTES_MAX", "Admitted", "admit"]
