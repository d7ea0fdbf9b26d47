"""The source of a cell, looked at without running it: what it binds, what it needs.

The text may be hostile, so every look at it is bounded.
"""

import ast
import re
import symtable
from collections.abc import Collection, Iterator

LARGEST_ANSWER = 20_000
"""Characters; no longer source is parsed, because Python's parser is quadratic in some of it."""
MOST_COMMANDS = 20
"""How many commands are taken out of a cell."""
NOT_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
COMMAND = re.compile(r"\s*([%!?]|[\w.]+\s*=\s*[%!])")


def defined(source: str) -> list[str]:
    """Return the names that a cell binds at its top level, in order; none if it is not Python.

    >>> defined("import numpy as np\\nfor i in range(3):\\n    x = i\\ndef f(): y = 1")
    ['np', 'i', 'x', 'f']
    """
    try:
        return list(dict.fromkeys(name for node in _parse(source).body for name in _bound(node)))
    except NOT_PYTHON:
        return []


def _parse(source: str) -> ast.Module:
    if len(source) > LARGEST_ANSWER:
        raise ValueError("too long to be looked at")
    return ast.parse(source)


def _bound(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.Lambda | ast.comprehension):
            yield from _bound(child)


def used(source: str) -> set[str]:
    """Return the names that a cell reads and does not bind itself; none if it is not Python.

    >>> sorted(used("def f(x):\\n    y = scale * x\\n    return y + len(z)\\nz = f(w)"))
    ['len', 'scale', 'w']
    """
    try:
        _parse(source)
        waiting = [symtable.symtable(source, "cell", "exec")]
    except NOT_PYTHON:
        return set()
    names = set[str]()
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        top = table.get_type() == "module"
        names |= {s.get_name() for s in table.get_symbols() if s.is_global() or top}
    return names - {*defined(source)}


def plain(source: str) -> str:
    """Return a cell without the commands of IPython; a cell under %%time is that cell.

    Only lines at which Python stops are taken for commands, so that no line of a text is.

    >>> plain("%%time\\nx = 5\\nif x:\\n    !ls\\ny = (7\\n  % 4)")
    'x = 5\\nif x:\\n    pass\\ny = (7\\n  % 4)'
    """
    if len(source) > LARGEST_ANSWER:
        return source
    source = re.sub(r"\A(\s*%%.*\n)+", "", re.sub(r"\r\n?", "\n", source))
    lines = source.split("\n")
    for _ in range(MOST_COMMANDS):
        try:
            _parse("\n".join(lines))
            break
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            line = lines[at] if 0 <= at < len(lines) else ""
            if not (COMMAND.match(line) or line.rstrip().endswith("?")):
                return source
            lines[at] = line[: -len(line.lstrip())] + "pass"
        except NOT_PYTHON:
            return source
    return "\n".join(lines)


def without_idle_imports(source: str, needed: Collection[str]) -> str:
    """Return a cell without the imports that neither it nor what follows needs: torch is slow.

    >>> without_idle_imports("import numpy as np, torch\\nx = 1", {"np"})
    'import numpy as np'
    >>> without_idle_imports("import numpy as np, torch\\nx = torch.ones(1)", {"x"})
    'import torch\\nx = torch.ones(1)'
    """
    try:
        body = ast.parse(source).body
    except SyntaxError:
        return source
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [node for node in body if node not in imports]
    if not any(name in needed for node in rest for name in _bound(node)):
        rest = []
    wanted = {*needed, *used(ast.unparse(ast.Module(rest, [])))}
    for node in imports:
        node.names = [
            alias for alias in node.names if (alias.asname or alias.name.split(".")[0]) in wanted
        ]
    kept = [node for node in imports if node.names]
    return ast.unparse(ast.Module([*kept, *rest], []))
