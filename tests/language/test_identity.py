"""Every line of `queries.surql` is its own canonical text, and SurrealDB reads it as the same query."""

from __future__ import annotations

from sp00ky.proto.surrealql.lexer import tokenize
from sp00ky.proto.surrealql.parser import parse_select
from sp00ky.proto.surrealql.printer import print_node

from tests.language.engine_parser import EngineParser


def test_the_corpus_is_large_and_has_no_repetition(corpus: list[str]) -> None:
    assert len(corpus) >= 200
    assert len(set(corpus)) == len(corpus)


def test_canonical_text_is_a_fixed_point(corpus: list[str]) -> None:
    for text in corpus:
        assert print_node(parse_select(text)) == text


def test_tokens_cover_the_text(corpus: list[str]) -> None:
    for text in corpus:
        tokens = tokenize(text)
        assert "".join(token.text for token in tokens).replace(" ", "") == text.replace(" ", "")
        assert all(text[token.start : token.end] == token.text for token in tokens)


def test_the_engine_accepts_the_corpus(corpus: list[str], engine_parser: EngineParser) -> None:
    refused = [text for text in corpus if engine_parser.canonical(text) is None]
    assert refused == []


def test_the_engines_own_text_stays_the_same_query(corpus: list[str], engine_parser: EngineParser) -> None:
    """What SurrealDB prints for a query, read and printed here, is to SurrealDB the query."""
    for text in corpus:
        canonical = engine_parser.canonical(text)
        assert canonical is not None
        reprinted = print_node(parse_select(canonical.removeprefix("(").removesuffix(")")))
        assert engine_parser.canonical(reprinted) == canonical, text
