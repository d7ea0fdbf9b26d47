"""What runs inside a sandbox: the cells that an answer needs, then its function on every case.

Run as a script by a Python that finds only a stage: libraries, a copy of labkit without the answers
and this file. It gets a request on stdin and writes lines to the descriptor that its argument
names. Whoever answers may forge those lines, and gains nothing: a line holds a value, and only the
right value earns points.
"""

import json
import os
import sys
import traceback
import types
from typing import Any

if not __package__:  # as a script it stands beside values.py, with nothing of labkit around it
    from values import decode, encode  # type: ignore[import-not-found,unused-ignore]
else:
    from labkit.course.values import decode, encode


class Anything:
    """Stands for IPython, whose commands do nothing here, and for the checks, which pass all."""

    def __getattr__(self, name: str) -> Any:
        """Return a function that gives back what it gets first."""
        return lambda *given, **options: given[0] if given else None


def run_cells(cells: list[str], names: dict[str, Any]) -> None:
    """Run the cells one after another, as a notebook would; show what they raise and go on."""
    names |= {"get_ipython": Anything, "display": print, "check": Anything()}
    for number, source in enumerate(cells, start=1):
        try:
            exec(compile(source, f"<cell {number}>", "exec"), names)
        except BaseException:  # a cell may raise SystemExit too, and the next one still counts
            traceback.print_exc(limit=-3)


def try_case(function: Any, line: str) -> dict[str, Any]:
    """Return the value of one case, or what was raised."""
    try:
        return {"value": json.loads(encode(function(*decode(line, inside=True))))}
    except NotImplementedError as error:
        return {"error": str(error)[:500] or "not written yet"}
    except BaseException as error:
        traceback.print_exc(limit=-3)
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def main() -> None:
    """Answer the request on stdin."""
    request = json.load(sys.stdin)
    lines = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", errors="backslashreplace")
    lines.write('{"ready": true}\n')
    lines.flush()
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    names = vars(module)
    run_cells(request["cells"], names)
    function = names.get(request["name"])
    for number, case in enumerate(request["cases"]):
        answer = try_case(function, case) if function else {"error": "no such function"}
        lines.write(json.dumps({"case": number, **answer}) + "\n")
        lines.flush()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # threads that an answer left behind are not waited for
