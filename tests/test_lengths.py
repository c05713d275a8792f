"""Functions of up to 60 lines and 8 parameters, files of up to 400 lines: what is longer does two things.

The signatures of commands and of public functions stand apart: each of their parameters is an option.
"""

import ast
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src" / "prensa"
LINES_OF_A_FILE = 400
LINES_OF_A_FUNCTION = 60
PARAMETERS = 8


def functions():
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield path.relative_to(SOURCE), node


def body(function):
    """Return the statements of a function without its docstring."""
    first = function.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return function.body[1:] if has_docstring else function.body


def is_public_signature(path, function):
    return path.name == "api.py" or (path.parts[0] in {"cli", "jobs"} and path.stem == function.name)


def test_functions_are_short():
    long = {}
    for path, function in functions():
        statements = body(function)
        if statements:
            lines = statements[-1].end_lineno - statements[0].lineno + 1
            if lines > LINES_OF_A_FUNCTION:
                long[f"{path}:{function.name}"] = lines
    assert not long


def test_functions_take_few_parameters():
    many = {}
    for path, function in functions():
        arguments = function.args
        names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len([name for name in names if name not in {"self", "cls"}])
        if count > PARAMETERS and not is_public_signature(path, function):
            many[f"{path}:{function.name}"] = count
    assert not many


def test_files_are_short():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCE.rglob("*.py")}
    assert not {path.name: lines for path, lines in lengths.items() if lines > LINES_OF_A_FILE}
