"""A tree for the eye: an indented dump, one node a line, for `explain`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass

from sp00ky.proto.surrealql.ast import Literal, Node
from sp00ky.proto.surrealql.spelling import print_constant


def print_tree(node: Node) -> str:
    """An indented dump, one node a line, for `explain`; what is not set is left out."""
    lines: list[str] = []
    _dump(node, "", 0, lines)
    return "\n".join(lines)


def _dump(node: object, label: str, depth: int, lines: list[str]) -> None:
    indent = "  " * depth + (f"{label}: " if label else "")
    if isinstance(node, Literal):
        lines.append(f"{indent}Literal {print_constant(node.value)}")
    elif isinstance(node, tuple):
        if all(isinstance(item, str) for item in node):
            lines.append(f"{indent}{', '.join(map(str, node)) or '(none)'}")
            return
        lines.append(indent.rstrip())
        for item in node:
            _dump(item, "", depth + 1, lines)
    elif is_dataclass(node):
        plain: list[str] = []
        nested: list[tuple[str, object]] = []
        for attribute in fields(node):
            value = getattr(node, attribute.name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                plain.extend([str(value)] if value != "" else [])
            elif value is True:
                plain.append(attribute.name)
            elif value is not None and value is not False and (value != () or attribute.name == "group"):
                nested.append((attribute.name, value))
        lines.append(" ".join([f"{indent}{type(node).__name__}", *plain]))
        for name, value in nested:
            _dump(value, name, depth + 1, lines)
    else:
        lines.append(f"{indent}{node}")
