"""Text to tokens, in one pass, without looking at structure.

Two characters mean different things in different places. `/` begins a regex where a value may begin and divides where
one has just ended: the scanner guesses by the last token, and the parser, which knows, has it `rescan`ned if need be. A
number is taken with every letter that sticks to it (`1h30m`, `10dec`, `1abc`): only the parser knows whether it reads a
value or the key of a record id. `<-` before a digit is no step along an edge but the negative kind of a cast, `<-1>a`.

Source: SurrealQL of SurrealDB 3.2; identifiers are ASCII, `--`, `#`, `//` and `/* */` are comments.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final

from sp00ky.proto.surrealql.errors import ParseError, error_at
from sp00ky.proto.surrealql.tokens import Token, TokenKind

SIGNS: Final = (
    *("<->", "...", "+?="),
    *("..", "->", "<-", "<~", "<|", "<=", ">=", "==", "!=", "?=", "*=", "?:", "??", "**", "&&", "||", "::", "+=", "-="),
    *"…∋∌∈∉⊇⊃⊅⊆⊂⊄×÷",
    *"()[]{}<>.,:;=!?@+-*/%|$",
)
SPACE: Final = re.compile(r"(?:\s+|--[^\n]*|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
TOKEN: Final = re.compile(
    r"""
    (?P<string>[sdurbf]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9][0-9_]*)?[A-Za-z0-9_µ]*)
  | (?P<param>\$(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`|⟨(?:[^⟩\\]|\\.)*⟩))
  | (?P<quoted>`(?:[^`\\]|\\.)*`|⟨(?:[^⟩\\]|\\.)*⟩)
  | (?P<sign>"""
    + "|".join(re.escape(sign) + "(?![0-9])" * (sign == "<-") for sign in SIGNS)
    + ")",
    re.DOTALL | re.VERBOSE,
)
REGEX: Final = re.compile(r"/(?!\*)(?:[^/\\\n]|\\.)+/")
ESCAPE: Final = re.compile(r"\\(u\{[0-9A-Fa-f]{1,6}\}|u[0-9A-Fa-f]{4}|.)", re.DOTALL)
ESCAPED: Final = MappingProxyType(
    {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"', "`": "`"}
)

# A word after which a value begins, so that `/` there opens a regex
_VALUE_FOLLOWS = """
SELECT VALUE WHERE AND OR IS NOT IN INSIDE NOTINSIDE CONTAINS CONTAINSNOT CONTAINSALL CONTAINSANY CONTAINSNONE
ALLINSIDE ANYINSIDE NONEINSIDE OUTSIDE INTERSECTS THEN ELSE IF RETURN FROM LIMIT START TIMEOUT VERSION BY AT OMIT
"""
VALUE_FOLLOWS: Final = frozenset(_VALUE_FOLLOWS.split())


def tokenize(source: str) -> list[Token]:
    """All tokens, the last one `END`. Raises `ParseError` at an open quote or comment and at a foreign character."""
    tokens, error = scan(source)
    if error is not None:
        raise error
    return tokens


def scan(source: str, before: tuple[Token, ...] = ()) -> tuple[list[Token], ParseError | None]:
    """The tokens after `before`, up to the first place that is no token; there the `END` and the error."""
    tokens = list(before)
    offset = tokens[-1].end if tokens else 0
    error: ParseError | None = None
    while error is None:
        space = SPACE.match(source, offset)
        offset = space.end() if space else offset
        if offset == len(source):
            break
        try:
            token = _regex_after(source, offset, tokens) or _token_at(source, offset)
        except ParseError as found:
            error = found
        else:
            tokens.append(token)
            offset = token.end
    tokens.append(Token(TokenKind.END, "", "", offset, offset))
    return tokens, error


def rescan(source: str, tokens: list[Token], index: int) -> tuple[list[Token], ParseError | None] | None:
    """The tokens again, the `/` at `index` taken the other way: as regex or as sign; None if it can be no regex."""
    token = tokens[index]
    other: Token | None = Token(TokenKind.SIGN, "/", "/", token.start, token.start + 1)
    if token.kind is TokenKind.SIGN:
        other = _regex_at(source, token.start)
    return None if other is None else scan(source, (*tokens[:index], other))


def _regex_after(source: str, offset: int, before: list[Token]) -> Token | None:
    return None if before and _ends_value(before) else _regex_at(source, offset)


def _regex_at(source: str, offset: int) -> Token | None:
    match = REGEX.match(source, offset)
    if match is None:
        return None
    text = match.group()
    return Token(TokenKind.REGEX, text, text[1:-1].replace("\\/", "/"), offset, match.end())


def _ends_value(before: list[Token]) -> bool:
    last = before[-1]
    if last.kind is TokenKind.SIGN:
        return last.text in (")", "]", "}", "…", "...")
    after_dot = len(before) > 1 and before[-2].text == "."
    return after_dot or last.keyword not in VALUE_FOLLOWS


def _token_at(source: str, offset: int) -> Token:
    match = TOKEN.match(source, offset)
    if match is None:
        raise _no_token(source, offset)
    kind = TokenKind(match.lastgroup or "sign")
    text = match.group()
    if kind is TokenKind.SIGN and text == "/" and source.startswith("/*", offset):
        raise error_at(source, offset, "a comment is not closed", "end it with */")
    value = text
    if kind is TokenKind.STRING:
        quoted = text[1:] if text[0] not in "'\"" else text
        value = _unescape(source, offset, quoted[1:-1])
    elif kind is TokenKind.QUOTED:
        value = _unescape(source, offset, text[1:-1])
    elif kind is TokenKind.PARAM:
        value = text[1:] if text[1] not in "`⟨" else _unescape(source, offset, text[2:-1])
    return Token(kind, text, value, offset, match.end())


def _no_token(source: str, offset: int) -> ParseError:
    char = source[offset]
    if char in "'\"":
        return error_at(source, offset, "a string is not closed", f"end it with {char}")
    if char in "`⟨":
        closing = "`" if char == "`" else "⟩"
        return error_at(source, offset, "a quoted identifier is not closed", f"end it with {closing}")
    hint = "quote identifiers that are not plain ASCII: ⟨name⟩" if char.isalnum() else ""
    return error_at(source, offset, f"unexpected character {char!r}", hint)


def _unescape(source: str, offset: int, body: str) -> str:
    if "\\" not in body:
        return body

    def replacement(match: re.Match[str]) -> str:
        code = match.group(1)
        if code in ESCAPED:
            return ESCAPED[code]
        if code[0] == "u" and len(code) > 1:
            point = int(code[1:].strip("{}"), 16)
            if point <= 0x10FFFF and not 0xD800 <= point <= 0xDFFF:
                return chr(point)
        known = "\\\\ \\' \\\" \\` \\n \\r \\t \\b \\f \\0 \\u{…}"
        raise error_at(source, offset, f"unknown escape \\{code} in a quoted text", f"escapes are {known}")

    return ESCAPE.sub(replacement, body)


def print_tokens(tokens: list[Token]) -> str:
    """One token a line: offset, kind, text; for `explain`."""
    return "\n".join(f"{token.start:>5}  {token.kind:<7} {token.text}".rstrip() for token in tokens)
