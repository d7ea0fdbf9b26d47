"""Rules about the code of chapters: nothing exists twice, nothing comes too early or idle."""

import ast
import builtins
import re
import symtable
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.contract.library import Library, built, fingerprints, public_names
from tests.contract.reading import (
    Cell,
    Definition,
    Notebook,
    definitions,
    names_used,
    texts,
    tree,
    without_solutions,
)

SHOWN = re.compile(r"`([\w.]+)`\n```python\n(.*)\n```", re.DOTALL)


def copies_nothing(notebook: Notebook, library: Library) -> list[str]:
    """No function or class has the code of one in labkit; solutions are exempt."""
    known = {
        mark: f"{module}.{name}"
        for module, source in library.items()
        for mark, name in fingerprints(source)
    }
    return [
        f"{cell.where}: {name} is the code of {known[mark]}: import it, or derive it another way"
        for cell, mark, name in _marks(notebook)
        if mark in known
    ]


def _marks(notebook: Notebook) -> Iterator[tuple[Cell, str, str]]:
    for cell in notebook.code:
        for mark, name in fingerprints(ast.unparse(tree(without_solutions(cell.source)))):
            yield cell, mark, name


def takes_no_public_name(notebook: Notebook, library: Library) -> list[str]:
    """No definition is called like one of labkit's: every name has one meaning."""
    known = public_names(library)
    return [
        f"{cell.where}: {node.name} is the name of {known[node.name]}.{node.name}"
        for cell in notebook.code
        for node in definitions(cell.source)
        if node.name in known
    ]


def definitions_are_used(notebook: Notebook) -> list[str]:
    """Every function and class is used in its own code cell or the next."""
    told = []
    for cell, after in zip(notebook.code, (*notebook.code[1:], None), strict=True):
        body = tree(cell.source).body
        for node in (node for node in body if isinstance(node, Definition)):
            others = [other for other in body if other is not node]
            used = names_used(others) | names_used([tree(after.source)] if after else [])
            if node.name not in used:
                told.append(f"{cell.where}: {node.name} is not used here or in the next code cell")
    return told


def defines_once(notebook: Notebook) -> list[str]:
    """No name is defined as a function or class twice in a chapter."""
    seen: set[str] = set()
    told = []
    for cell in notebook.code:
        for node in definitions(cell.source):
            if node.name in seen:
                told.append(f"{cell.where}: {node.name} is defined a second time")
            seen.add(node.name)
    return told


def nothing_before_it_is_built(notebook: Notebook, library: Library) -> list[str]:
    """What labkit says is built in a later chapter is not used; chapter 00 may use all."""
    if notebook.chapter == "00":
        return []
    chapters = built(library)
    told = []
    for cell, module, name in library_names(notebook, library):
        if name == "*":
            told.append(f"{cell.where}: imports everything from {module}; name what is used")
        chapter = chapters.get((module, name))
        if chapter is not None and chapter > notebook.chapter:
            told.append(f"{cell.where}: {module}.{name} is built in notebook {chapter} only")
    return told


def shows_what_stands(notebook: Notebook, library: Library) -> list[str]:
    """Code of labkit that a chapter stores, as `show` displayed it, is in labkit today."""
    told = []
    for cell in notebook.code:
        for match in filter(None, (SHOWN.fullmatch(text) for _, text in texts(cell))):
            name, code = match.groups()
            modules = [module for module in library if name.startswith(f"{module}.")]
            source = library[max(modules, key=len)] if modules else code
            if code not in source and textwrap.indent(code, "    ") not in source:
                told.append(f"{cell.where}: {name} is no longer what is shown: execute the chapter")
    return told


def library_names(notebook: Notebook, library: Library) -> Iterator[tuple[Cell, str, str]]:
    """(cell, module, name) of everything a chapter takes from labkit, by import or attribute."""
    aliases: dict[str, str] = {}
    for cell in notebook.code:
        for node in ast.walk(tree(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    if full in library:
                        aliases[alias.asname or alias.name] = full
                    elif node.module in library:
                        yield cell, node.module, alias.name
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    aliases[alias.asname or alias.name] = alias.name
        for node in ast.walk(tree(cell.source)):
            if isinstance(node, ast.Attribute):
                owner = ast.unparse(node.value)
                if aliases.get(owner, "") in library:
                    yield cell, aliases[owner], node.attr


def nothing_is_rebound(notebook: Notebook) -> list[str]:
    """A name that an earlier function reads from outside keeps its one value."""
    bound: dict[str, str] = dict.fromkeys(dir(builtins), "")
    readers: dict[str, str] = {}
    told = []
    for cell in notebook.code:
        outside = _globals_read(cell.source)
        for statement in tree(cell.source).body:
            for name, what in _bindings(statement):
                again = name in bound and not (what and bound[name] == what)
                if again and name in readers:
                    told.append(f"{cell.where}: rebinds {name}, which {readers[name]} reads")
                bound[name] = what
            if isinstance(statement, Definition):
                for name in outside.get(statement.name, ()):
                    readers.setdefault(name, statement.name)
    return told


def _globals_read(source: str) -> dict[str, set[str]]:
    """From each top-level definition to the names that it and its inner functions read outside."""
    try:
        table = symtable.symtable(source, "cell", "exec")
    except SyntaxError:
        return {}
    found: dict[str, set[str]] = defaultdict(set)
    for child in table.get_children():
        waiting = [child]
        while waiting:
            scope = waiting.pop()
            waiting += scope.get_children()
            found[child.get_name()] |= {
                symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()
            }
    return found


def _bindings(statement: ast.AST) -> Iterator[tuple[str, str]]:
    """(name, what is imported or "") for each name that a top-level statement binds."""
    if isinstance(statement, Definition):
        yield statement.name, ""
    elif isinstance(statement, ast.Import | ast.ImportFrom):
        source = getattr(statement, "module", None) or ""
        for alias in statement.names:
            yield alias.asname or alias.name.split(".")[0], f"{source}:{alias.name}"
    elif isinstance(statement, ast.Name):
        if not isinstance(statement.ctx, ast.Load):
            yield statement.id, ""
    elif isinstance(statement, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        walrus = [node for node in ast.walk(statement) if isinstance(node, ast.NamedExpr)]
        yield from ((node.target.id, "") for node in walrus)
    elif not isinstance(statement, ast.Lambda):
        for child in ast.iter_child_nodes(statement):
            yield from _bindings(child)


def nothing_twice_in_the_course(notebooks: Sequence[Notebook]) -> list[str]:
    """No two chapters define the same name, or the same code under two names."""
    names: dict[str, str] = {}
    marks: dict[str, str] = {}
    told = []
    for notebook in notebooks:
        for cell in notebook.code:
            for node in definitions(cell.source):
                first = names.setdefault(node.name, notebook.name)
                if first != notebook.name:
                    told.append(f"{notebook.name}: {node.name} is also defined in {first}")
        for _, mark, name in _marks(notebook):
            first = marks.setdefault(mark, notebook.name)
            if first != notebook.name:
                told.append(f"{notebook.name}: {name} has the code of a definition in {first}")
    return told
