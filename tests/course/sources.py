"""The source text of a function with all that it needs, as a student could have handed it in."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any


def whole_source(function: Callable[..., Any], name: str) -> str:
    """Return plain Python that defines `name` as this function, with the module's own helpers.

    The function may be a lambda; what it names and its module imports is imported, and what its
    module defines is defined, without any `Exercise`.
    """
    module = sys.modules[function.__module__]
    tree = ast.parse(inspect.getsource(module))
    definitions = {bound: node for node in tree.body for bound in _binds(node)}
    wanted: list[str] = []
    waiting = [*_names(function.__code__)]
    if function.__code__.co_name != "<lambda>":
        waiting.append(function.__code__.co_name)
    while waiting:
        used = waiting.pop()
        if used in definitions and used not in wanted:
            wanted.append(used)
            waiting += [n.id for n in ast.walk(definitions[used]) if isinstance(n, ast.Name)]
    kept = [node for node in tree.body if {*_binds(node)} & {*wanted}]
    text = ast.unparse(ast.Module(kept, []))
    found = _lambda(tree, function) if function.__code__.co_name == "<lambda>" else None
    last = ast.unparse(found) if found else function.__code__.co_name
    return f"{text}\n\n\n{name} = {last}\n"


def _binds(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("Exercise("):
        bound = (name for target in node.targets for name in ast.walk(target))
        yield from (name.id for name in bound if isinstance(name, ast.Name))
    elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        yield node.target.id


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _lambda(tree: ast.Module, function: Callable[..., Any]) -> ast.Lambda:
    """Find the lambda that a function was made from, by where its body stands."""
    lines = {place[0:1] + place[2:3] for place in function.__code__.co_positions() if place[2]}
    for node in ast.walk(tree):
        if isinstance(node, ast.Lambda):
            begins = {(n.lineno, n.col_offset) for n in ast.walk(node) if isinstance(n, ast.expr)}
            names = tuple(argument.arg for argument in node.args.args)
            first = node.lineno == function.__code__.co_firstlineno
            if first and lines <= begins and names == function.__code__.co_varnames[: len(names)]:
                return node
    raise LookupError(f"{function} is no lambda of its module")
