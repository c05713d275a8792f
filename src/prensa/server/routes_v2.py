"""The Open Inference Protocol (KServe v2): strings go in, tensors of numbers and strings come out, in JSON.

The model reads ``text``, and with it ``text_pair`` where two are read together; a model that answers
questions reads ``question`` and ``context``. All are ``BYTES``, one string for each text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from prensa.server.body import Body, choice, described, read_body, required, word
from prensa.server.front import Front
from prensa.server.predictions import entity
from prensa.server.refused import unhealthy, wrong
from prensa.server.replies import Json, reply
from prensa.server.unsupported import check_supported, of_texts
from prensa.serving.answers import Answer
from prensa.version import VERSION

Tensor = dict[str, object]

_FIRST = {"text": "text_pair", "question": "context"}
"""The tensor that is read, and the one that is read with it."""


async def server(_: Request) -> Response:
    """Answer ``/v2``: what this is."""
    return Json({"name": "prensa", "version": VERSION, "extensions": []})


async def live(_: Request) -> Response:
    """Answer ``/v2/health/live``: that there is a server."""
    return Json({"live": True})


async def ready(_: Request, front: Front) -> Response:
    """Answer ``/v2/health/ready`` and ``/v2/models/NAME/ready``: whether the model answers."""
    if not front.is_healthy:
        raise unhealthy("not ready")
    return Json({"name": front.name, "ready": True})


async def model(_: Request, front: Front) -> Response:
    """Answer ``/v2/models/NAME``: the tensors that go in and come out."""
    first, second = _inputs(front)
    inputs = [{"name": name, "datatype": "BYTES", "shape": [-1]} for name in (first, second)]
    outputs = []
    for name, datatype, width in _outputs(front):
        shape = [-1] if width is None else [-1, width]
        outputs.append({"name": name, "datatype": datatype, "shape": shape})
    content = {
        "name": front.name,
        "versions": [],
        "platform": f"prensa_{front.served.record.runtime}",
        "inputs": inputs,
        "outputs": outputs,
    }
    return Json(content)


async def infer(request: Request, front: Front) -> Response:
    """Answer ``/v2/models/NAME/infer``."""
    body = await read_body(request, front.limits.body)
    identity = word(body, "id")
    parameters = body.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise wrong("parameters", f"expected an object, found {described(parameters)}")
    check_supported(parameters, of_texts(front))
    texts, field = _texts(front, required(body, "inputs"))
    wanted = _wanted(front, body)
    told = await front.answer(
        request, texts, lambda index: f"{field}[{index}]", truncate=choice(parameters, "truncate")
    )
    outputs = []
    for name, datatype, _ in _outputs(front):
        if wanted and name not in wanted:
            continue
        rows = [_FILLED[name](front, answer) for answer in told.answers]
        outputs.append(_tensor(name, datatype, rows))
    content: dict[str, object] = {"model_name": front.name, "outputs": outputs}
    if identity is not None:
        content["id"] = identity
    return reply(request, told, content)


def _inputs(front: Front) -> tuple[str, str]:
    if front.does == "finds answers":
        return "question", "context"
    return "text", "text_pair"


def _outputs(front: Front) -> list[tuple[str, str, int | None]]:
    """List what comes out: name, type, and how many for each text, None for one."""
    labels = len(front.labels)
    if front.does == "classifies":
        return [("label", "BYTES", None), ("scores", "FP32", labels), ("logits", "FP32", labels)]
    if front.does == "scores":
        return [("logits", "FP32", labels)]
    if front.does == "embeds":
        return [("embedding", "FP32", -1)]
    if front.does == "finds words":
        return [("entities", "BYTES", None)]
    return [("answer", "BYTES", None), ("score", "FP32", None), ("start", "INT64", None)]


def _in_order(front: Front, answer: Answer) -> list[float]:
    # In the order of the labels' ids, which /info lists.
    return [answer.scores[label] for label in front.labels]


def _entities(_: Front, answer: Answer) -> str:
    return json.dumps([entity(span) for span in answer.spans])


def _text_found(_: Front, answer: Answer) -> str:
    return answer.spans[0].text if answer.spans else ""


def _score_found(_: Front, answer: Answer) -> float:
    return answer.spans[0].score if answer.spans else 0.0


def _start_found(_: Front, answer: Answer) -> int:
    return answer.spans[0].start if answer.spans else 0


_FILLED: Mapping[str, Callable[[Front, Answer], object]] = {
    "label": lambda _, answer: answer.label,
    "scores": _in_order,
    "logits": lambda _, answer: answer.output.tolist(),
    "embedding": lambda _, answer: answer.output.tolist(),
    "entities": _entities,
    "answer": _text_found,
    "score": _score_found,
    "start": _start_found,
}
"""What each output has for a text: a value, or a row of them."""


def _tensor(name: str, datatype: str, rows: Sequence[object]) -> Tensor:
    """Return a tensor with its data in one row, as the protocol has it."""
    shape = [len(rows)]
    data: list[object] = []
    for row in rows:
        if isinstance(row, list):
            data += row
        else:
            data.append(row)
    if isinstance(rows[0], list):
        shape.append(len(rows[0]))
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}


def _texts(front: Front, inputs: object) -> tuple[list[object], str]:
    """Read the tensors that go in, and return the texts with the name of the field that they were in."""
    if not isinstance(inputs, list) or not inputs:
        raise wrong("inputs", f"expected an array of tensors, found {described(inputs)}")
    first, second = _inputs(front)
    read: dict[str, list[str]] = {}
    fields: dict[str, str] = {}
    for index, tensor in enumerate(inputs):
        field = f"inputs[{index}]"
        if not isinstance(tensor, Mapping):
            raise wrong(field, f"expected a tensor, found {described(tensor)}")
        name = tensor.get("name")
        # A client that sends one tensor may call it as it likes.
        if len(inputs) == 1 and first == "text":
            name = first
        if not isinstance(name, str) or name not in {first, second} or name in read:
            raise wrong(f"{field}.name", f"expected {first} and perhaps {second}, each once")
        read[name] = _strings(tensor, field)
        fields[name] = f"{field}.data"
    if first not in read:
        raise wrong("inputs", f"the tensor {first} is missing")
    if second not in read:
        return list(read[first]), fields[first]
    if len(read[first]) != len(read[second]):
        raise wrong(fields[second], f"{len(read[second])} strings, {first} has {len(read[first])}")
    return list(zip(read[first], read[second], strict=True)), fields[first]


def _strings(tensor: Mapping[object, object], field: str) -> list[str]:
    if tensor.get("datatype") != "BYTES":
        raise wrong(f"{field}.datatype", "expected BYTES: the model reads strings")
    data = tensor.get("data")
    flat: list[str] = []
    for value in _flat(data, f"{field}.data"):
        if not isinstance(value, str):
            raise wrong(f"{field}.data", f"expected strings, found {described(value)}")
        flat.append(value)
    shape = tensor.get("shape")
    are_sizes = isinstance(shape, list) and all(type(size) is int for size in shape)
    if not isinstance(shape, list) or not are_sizes or math.prod(shape) != len(flat):
        raise wrong(f"{field}.shape", f"does not fit the data, which are {len(flat)} strings")
    return flat


def _flat(data: object, field: str) -> list[object]:
    """Return data in one row: the protocol allows rows of rows, here of one string each."""
    if not isinstance(data, list):
        raise wrong(field, f"expected an array of strings, found {described(data)}")
    flat: list[object] = []
    for value in data:
        if isinstance(value, list):
            flat += value
        else:
            flat.append(value)
    return flat


def _wanted(front: Front, body: Body) -> set[str]:
    """Return the names of the outputs that are wanted, none for all."""
    outputs = body.get("outputs") or []
    if not isinstance(outputs, list):
        raise wrong("outputs", f"expected an array, found {described(outputs)}")
    names = {name for name, _, _ in _outputs(front)}
    wanted = set()
    for index, output in enumerate(outputs):
        name = output.get("name") if isinstance(output, Mapping) else None
        if name not in names:
            raise wrong(f"outputs[{index}].name", f"expected one of {', '.join(sorted(names))}")
        wanted.add(name)
    return wanted
