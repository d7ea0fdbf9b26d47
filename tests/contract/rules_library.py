"""Rules about the packages: small, importing one way, quiet, honest about chapters."""

import ast
from collections.abc import Iterator, Mapping

from tests.contract.library import PACKAGES, Library, built, imported

LEVELS: tuple[tuple[str, ...], ...] = (
    ("cache", "chromium", "files", "model", "notebook", "plain"),
    ("corpora",),
    ("datasets", "functional", "ngram", "recorded", "tinyworld", "tokenizers"),
    ("gpt",),
    ("parts",),
    ("checkpoints", "generation", "metrics", "training"),
    ("checks", "export", "finetune", "shipped", "tasks", "viewers"),
    ("preferences",),
    ("viz",),
    ("course",),
    ("classroom",),
    ("workbench", "workbench.doctor", "workbench.lab", "workbench.machine", "workbench.reader"),
    ("workbench.command",),
    ("__main__",),
)
"""Parts of the packages from the bottom up: each may import from its own level and from those above
it in this list, in no circle."""
NEED_TORCH = {
    "cache",
    "checkpoints",
    "export",
    "finetune",
    "functional",
    "generation",
    "gpt",
    "metrics",
    "model",
    "ngram",
    "parts",
    "preferences",
    "shipped",
    "tasks",
    "training",
}
MAY_PRINT = {"checks", "notebook", "workbench.command", "workbench.doctor"}
MOST_LINES = {
    "labkit": 6000,
    "labkit.course": 1800,
    "classroom": 1800,
    "corpora": 1000,
    "tinyworld": 1800,
    "viewers": 1200,
    "workbench": 1000,
}
MOST_LINES_OF_MODULE, MOST_LINES_OF_FUNCTION = 350, 40
FORBIDDEN_CALLS = {"eval", "exec"}
RUNS_ANSWERS = "labkit.course.inside"
"""The one module that runs what it is given: it does so inside a sandbox."""
FORBIDDEN_IMPORTS = {"dill", "marshal", "pickle", "shelve"}


def part(module: str) -> str:
    """The part that a module belongs to, without labkit's name but with workbench's.

    tinyworld is one part, and `labkit.tinyworld`, which passes it on, belongs to it; classroom,
    corpora and viewers are one part each.

    >>> part("labkit.datasets.shards"), part("workbench.doctor"), part("labkit")
    ('datasets', 'workbench.doctor', '')
    >>> part("tinyworld.judge"), part("labkit.tinyworld")
    ('tinyworld', 'tinyworld')
    """
    name = ".".join(module.split(".")[:2]).removeprefix("labkit").removeprefix(".")
    whole = name.split(".")[0]
    return whole if whole in ("classroom", "corpora", "tinyworld", "viewers") else name


def is_light(module: str) -> bool:
    """Whether a module has to do without torch; exercises need what their notebook needs.

    >>> is_light("labkit.checks"), is_light("labkit.checks.ch33"), is_light("labkit.gpt")
    (True, False, False)
    """
    of_notebook = module.startswith(("labkit.checks.ch", "labkit.checks.ps"))
    return not of_notebook and part(module) not in NEED_TORCH | {"__main__"}


def dependencies(library: Library) -> dict[str, set[str]]:
    """From each part to the other parts it imports, anywhere in its code."""
    found: dict[str, set[str]] = {}
    for module, source in library.items():
        package = f"{module}." if any(name.startswith(f"{module}.") for name in library) else module
        names = imported(source, package)
        others = {part(name) for name in names if name.split(".")[0] in PACKAGES}
        found.setdefault(part(module), set()).update(others - {part(module), ""})
    return found


def imports_point_down(library: Library) -> list[str]:
    """No part imports from a higher level."""
    level = {name: height for height, names in enumerate(LEVELS) for name in names}
    told = [f"{name} has no level yet" for name in dependencies(library).keys() - level - {""}]
    return told + [
        f"{name} imports {other}, which is above it"
        for name, others in dependencies(library).items()
        for other in others
        if name in level and level.get(other, 0) > level[name]
    ]


def imports_in_no_circle(library: Library) -> list[str]:
    """No part needs itself by way of others."""
    direct = dependencies(library)
    told = []
    for start in direct:
        reached, waiting = set[str](), list(direct[start])
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += direct.get(name, ())
        if start in reached:
            told.append(f"{start} imports itself by way of others")
    return told


def nearly_empty_package(library: Library) -> list[str]:
    """`import labkit` and `import workbench` load nothing: every name says where it lives."""
    return [
        f"{package}/__init__.py imports {name}"
        for package in ("labkit", "workbench")
        for name in imported(library[package])
    ]


def modules_are_small(library: Library) -> list[str]:
    """Each package under its bound, without labkit's checks; 350 lines a module."""
    lines = {module: len(source.splitlines()) for module, source in library.items()}
    told = [f"{m}: {n} lines" for m, n in lines.items() if n > MOST_LINES_OF_MODULE]
    totals = dict.fromkeys(MOST_LINES, 0)
    for module, n in lines.items():
        package = "labkit.course" if part(module) == "course" else module.split(".")[0]
        totals[package] += n if part(module) != "checks" else 0
    return told + [f"{p}: {n} lines together" for p, n in totals.items() if n >= MOST_LINES[p]]


def functions_are_short(library: Library) -> list[str]:
    """No function over 40 lines, its docstring included."""
    return [
        f"{module}.{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for module, node in _nodes(library)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno >= MOST_LINES_OF_FUNCTION
    ]


def _nodes(library: Library) -> Iterator[tuple[str, ast.AST]]:
    for module, source in library.items():
        for node in ast.walk(ast.parse(source)):
            yield module, node


def quiet_and_safe(library: Library) -> list[str]:
    """Prints only where a person asked; runs no text as code, unpickles nothing, hides no error."""
    told = []
    for module, node in _nodes(library):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            forbidden = name in FORBIDDEN_CALLS and module != RUNS_ANSWERS
            if forbidden or (name == "print" and part(module) not in MAY_PRINT):
                told.append(f"{module}:{node.lineno} calls {name}()")
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            told.append(f"{module}:{node.lineno} has a bare except")
        if isinstance(node, ast.Global):
            told.append(f"{module}:{node.lineno} rebinds a global")
    return told + [
        f"{module} imports {name}"
        for module, source in library.items()
        for name in imported(source, module)
        if name.split(".")[0] in FORBIDDEN_IMPORTS
    ]


def says_where_it_is_built(library: Library) -> list[str]:
    """Each public function and class of the modules that chapters build names its chapter."""
    told: Mapping[tuple[str, str], str | None] = built(library)
    return [
        f"{module}.{name} lacks “Built in notebook NN.”"
        for (module, name), chapter in told.items()
        if chapter is None
    ]
