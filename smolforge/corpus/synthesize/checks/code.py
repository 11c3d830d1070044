"""Executed code: the solution passes its tests, and the tests would not pass anything.

Input: a candidate with ``solution`` and ``tests``. Output: a finding with the failing assertion. The tests must hold
``assert`` statements, and must fail where every function of the solution returns nothing.
"""

from __future__ import annotations

import ast
import re

from smolforge.corpus.synthesize.candidate import Candidate, Finding
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.synthesize.sandbox import run_python

_BLOCK = re.compile(r"```[ \t]*(?:python|py|python3)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)


def python_of(reply: str) -> str:
    """Return the code of a reply: its fenced blocks, or all of it where there are none."""
    blocks = _BLOCK.findall(reply)
    return "\n".join(blocks) if blocks else reply


def executed_code(candidate: Candidate, limits: Limits) -> Finding:
    """The solution runs, its tests pass, and they fail for a solution that does nothing."""
    solution, tests = (python_of(str(candidate.values[name])) for name in ("solution", "tests"))
    trees = {}
    for name, code in (("solution", solution), ("tests", tests)):
        try:
            trees[name] = ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return Finding(
                f"the {name} are no Python: {error}"[:200] if name == "tests" else f"no Python: {error}"[:200]
            )
    functions = [node for node in trees["solution"].body if isinstance(node, ast.FunctionDef)]
    if not functions:
        return Finding("the solution defines no function")
    asserts = sum(isinstance(node, ast.Assert) for node in ast.walk(trees["tests"]))
    measures = {"tests": asserts}
    if asserts < limits.tests:
        return Finding(f"{asserts} assert statements, fewer than {limits.tests}", measures)
    bounds = {"seconds": limits.seconds, "memory_mib": limits.memory_mib}
    failure = run_python([solution, tests], **bounds)  # type: ignore[arg-type]
    if failure is not None:
        return Finding(f"the tests do not pass: {failure}", measures)
    nothing = "\n".join(f"def {function.name}(*args, **kwargs): return None" for function in functions)
    if run_python([solution, nothing, tests], **bounds) is None:  # type: ignore[arg-type]
        return Finding("the tests pass although every function returns nothing", measures)
    return Finding(measures=measures)
