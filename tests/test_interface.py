"""Whatever the command line can do, Python can say: by the same word, and with the same default."""

import dataclasses
import inspect

import pytest
import typer

import prensa
from prensa import cli
from prensa.cli import main
from prensa.cli.options import with_options

SOURCE = {field.name: field.default for field in dataclasses.fields(prensa.Source)}
TRIM = {field.name for field in dataclasses.fields(prensa.TrimVocabulary)}

# Options that describe a source are fields of a `Source` in Python; those of one source first.
TEXTS = {"text_column": "text_column", "split": "split", "encoding": "encoding", "calibration_texts": "limit"}
DATA = {
    "data_column": "text_column",
    "label_column": "label_column",
    "data_split": "split",
    "labels": "labels",
    "limit": "limit",
}
ONLY_DATA = {name: name for name in ("text_column", "label_column", "split", "labels", "limit", "encoding")}
FIELDS = {
    "compress": TEXTS | DATA,
    "frontier": TEXTS | DATA,
    "export": TEXTS | DATA,
    "evaluate": ONLY_DATA,
    "inspect": {},
    "predict": {name: name for name in ("text_column", "split", "encoding")},
}
# What only a terminal needs, and what Python has in its place.
PRINTED = {
    "as_json": "the values that are returned",
    "dry_run": "prensa.Compression(…).plan()",
    "report": "prensa.write_report",
}
OF_TRIMMING = {"keep", "languages"}
# What only a program needs.
CALLED = {"progress", "on_trial", "on_point"}


def parameters(function):
    return {name: each.default for name, each in inspect.signature(function).parameters.items()}


@pytest.mark.parametrize("name", FIELDS)
def test_a_command_and_its_function_say_the_same(name):
    options = parameters(getattr(__import__(f"prensa.cli.{name}", fromlist=[name]), name))
    arguments = parameters(getattr(prensa, name))
    for option, default in options.items():
        if option in PRINTED:
            continue
        if option in FIELDS[name]:
            assert SOURCE[FIELDS[name][option]] == default, option
        elif option in OF_TRIMMING:
            assert option in TRIM
        else:
            assert option in arguments, option
            assert arguments[option] == default, option
    for argument in arguments:
        assert argument in options or argument in CALLED, argument


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (prensa.Compression, "compress"),
        (prensa.Comparison, "evaluate"),
        (prensa.Conversion, "export"),
        (prensa.Exploration, "frontier"),
        (prensa.Prediction, "predict"),
    ],
)
def test_a_job_and_its_function_have_the_same_defaults(job, name):
    arguments = parameters(getattr(prensa, name))
    for field in dataclasses.fields(job):
        if field.name in arguments and field.default is not dataclasses.MISSING:
            assert arguments[field.name] == field.default, field.name


def test_messages_name_options_on_the_command_line():
    message = "`max_drop` needs texts: give `data`, or `preset=int8` and `RESULT`"
    assert with_options(message) == "--max-drop needs texts: give --data, or --preset int8 and `RESULT`"
    assert with_options("`results`: expected one") == "RESULT: expected one"


def test_every_parameter_in_a_message_is_an_option():
    """A message that names `max_dorp` would send a user to an option that does not exist."""
    known = set(cli.options.WITHOUT_OPTION) | {"json", "label", "text"}
    for command in typer.main.get_command(main.app).commands.values():
        known |= {parameter.name for parameter in command.params}
    unknown = {}
    for path, name in parameters_in_messages():
        if name not in known:
            unknown.setdefault(name, path)
    assert not unknown


def parameters_in_messages():
    import ast
    from pathlib import Path

    for path in Path(prensa.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                for part in ast.walk(node.exc):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        for match in cli.options.PARAMETER.finditer(part.value):
                            yield path.name, match[1]
