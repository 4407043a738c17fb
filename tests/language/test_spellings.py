"""Other ways to write the same, errors, refusals, and the stages as text: command files, rewritten by REWRITE=1."""

from __future__ import annotations

from pathlib import Path

from sp00ky.proto.faults import Fault
from sp00ky.proto.surrealql.admit import admit
from sp00ky.proto.surrealql.errors import NoNode, ParseError
from sp00ky.proto.surrealql.lexer import print_tokens, tokenize
from sp00ky.proto.surrealql.outline import print_tree
from sp00ky.proto.surrealql.parser import parse_expr, parse_select
from sp00ky.proto.surrealql.printer import print_node
from sp00ky.proto.surrealql.tables import tables_read

from tests.language.commands import check_commands
from tests.language.engine_parser import EngineParser

HERE = Path(__file__).parent


def run(command: str, body: str) -> str:
    try:
        match command:
            case "canonical":
                return print_node(parse_expr(body))
            case "select":
                return print_node(parse_select(body))
            case "tokens":
                return print_tokens(tokenize(body))
            case "tree":
                return print_tree(parse_select(body))
            case "tables":
                tables = tables_read(parse_select(body))
                return "any" if tables is None else " ".join(sorted(tables)) or "none"
            case "admit":
                return admitted(body)
        raise AssertionError(f"unknown command {command}")
    except NoNode as error:
        return f"no node: {error.message} at {error.position}"
    except ParseError as error:
        return str(error)


def admitted(body: str) -> str:
    try:
        admission = admit(body)
    except Fault as fault:
        return f"{fault.code}: {fault.message}" + (f"\nhint: {fault.hint}" if fault.hint else "")
    return "admitted" if admission.select is not None else f"admitted opaque: {admission.aside}"


def test_spellings() -> None:
    check_commands(HERE / "spellings.txt", run)


def test_errors() -> None:
    check_commands(HERE / "errors.txt", run)


def test_refusals() -> None:
    check_commands(HERE / "refusals.txt", run)


def test_stages() -> None:
    check_commands(HERE / "stages.txt", run)


def test_tables() -> None:
    check_commands(HERE / "tables.txt", run)


def test_the_engine_agrees_on_errors(engine_parser: EngineParser) -> None:
    """What is an error here is one there: no text that SurrealDB runs is called a syntax error."""
    from tests.language.commands import commands_of

    for command in commands_of(HERE / "errors.txt"):
        assert engine_parser.canonical(command.body) is None, command.body
