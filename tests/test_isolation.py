"""Public functions inside another program, whatever it has set."""

import contextlib
import hashlib
import random
import threading
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
import torch

import prensa
from prensa.errors import ModelError, PrensaError
from prensa.isolation import as_usual
from prensa.sharing import Shared
from tests.conftest import add_tokenizer, build_model, change_config


@contextmanager
def process_state(get, set_to, value):
    before = get()
    set_to(value)
    try:
        yield
    finally:
        set_to(before)


@contextmanager
def numbers_of_threads(count):
    with process_state(torch.get_num_threads, torch.set_num_threads, count):
        yield


@contextmanager
def another_seed():
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002  the one that others use
    random.seed(99)
    yield


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def strict_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def default_dtype(dtype):
    return process_state(torch.get_default_dtype, torch.set_default_dtype, dtype)


STATES = {
    "float64": lambda: default_dtype(torch.float64),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "float16": lambda: default_dtype(torch.float16),
    "meta": lambda: default_device("meta"),
    "cpu": lambda: default_device("cpu"),
    "meta, in a context": lambda: torch.device("meta"),
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "gradients off": lambda: torch.set_grad_enabled(mode=False),
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "one thread": lambda: numbers_of_threads(1),
    "three threads": lambda: numbers_of_threads(3),
    "deterministic": lambda: process_state(
        torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms, True
    ),
    "products in bfloat16": lambda: process_state(
        torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "medium"
    ),
    "NumPy raises": lambda: np.errstate(all="raise"),
    "warnings raise": strict_warnings,
    "another seed": another_seed,
}


@contextmanager
def all_together():
    with contextlib.ExitStack() as stack:
        for name in ("float64", "meta", "inference mode", "autocast", "one thread", "NumPy raises"):
            stack.enter_context(STATES[name]())
        yield


def state():
    """What a caller may find changed."""
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        np.geterr(),
        list(warnings.filters),
        torch.random.get_rng_state().tolist() if torch.get_default_device().type == "cpu" else None,
    )


def digest(path):
    return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return add_tokenizer(build_model("deberta", tmp_path_factory.mktemp("isolation") / "model"))


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    """What functions give in the usual state, by the name of what is asked for."""
    known = {}

    def ask(name, function):
        if name not in known:
            known[name] = function(tmp_path_factory.mktemp("usual"))
        return known[name]

    return ask


def calibrated(source, texts, place):
    prensa.compress(source, place / "out", texts=texts)
    return digest(place / "out"), (place / "out" / "manifest.json").read_bytes()


def classic(source, texts, place):
    prensa.compress(source, place / "out", preset="classic")
    return digest(place / "out"), len(prensa.inspect(place / "out").tensors)


def answers(source, texts, place):
    served = prensa.load(source, runtime="torch", dtype="float32")
    before = state()
    output = []
    for answer in served.predict(["a b", "c " * 20, "d"], batch_size=2):
        output.append(answer.output.tolist())
        assert state() == before
    return [*output, *served(**served.tokenizer(["a b"])).logits.tolist()]


def of_a_plain_model(source, texts, place):
    """The model is an ordinary one, to train, and its folded attention is right."""
    model = prensa.load(source, dtype=torch.float32)
    assert all(each.requires_grad and not each.is_inference() for each in model.parameters())
    prensa.accelerate(model, measure=False)
    assert not any(each.is_inference() for each in model.buffers())
    with torch.autocast("cpu", enabled=False), torch.inference_mode():
        ids = torch.tensor([[2, 40, 41, 42, 3]], device="cpu")
        return model(ids, attention_mask=torch.ones_like(ids, device="cpu")).logits.tolist()


@pytest.mark.parametrize("function", [calibrated, classic, answers, of_a_plain_model])
@pytest.mark.parametrize("name", [*STATES, "all together"])
def test_the_same_in_any_state(source, texts, tmp_path, expected, function, name):
    right = expected(function, lambda place: function(source, texts, place))
    with {**STATES, "all together": all_together}[name]():
        before = state()
        found = function(source, texts, tmp_path)
        assert state() == before
    if function in {calibrated, classic}:
        assert found == right
    else:
        # With another number of threads, sums are rounded differently; and a plain model does as it is told.
        assert np.allclose(found, right, atol=1e-3 if name == "products in bfloat16" else 1e-5)


def searched(source, texts, place):
    result = prensa.compress(source, place / "out", max_size=70_000, texts=texts)
    return digest(place / "out"), result.outcome.winner


def test_exports_evaluations_and_searches_in_an_unusual_state(source, texts, tmp_path, quick, expected):
    pytest.importorskip("openvino")
    right = expected(searched, lambda place: searched(source, texts, place))
    with all_together():
        before = state()
        record = prensa.export(source, tmp_path / "exported", to="openvino", precision="fp32", texts=texts)
        assert record.difference < 1e-4
        assert state() == before
        evaluation = prensa.evaluate(
            source, tmp_path / "exported", data=prensa.Source(texts, limit=20), device="cpu"
        )
        assert [figure.value for figure in evaluation.results[0].quality.figures][:1] == [1.0]
        assert state() == before
        assert searched(source, texts, tmp_path) == right
        assert state() == before


def test_after_an_error_the_state_is_the_caller_s(source, texts, tmp_path):
    broken = add_tokenizer(build_model("deberta", tmp_path / "broken"))
    change_config(broken, model_type="unheard of")
    with all_together():
        before = state()
        for call in (
            lambda: prensa.load(broken, runtime="torch"),
            lambda: prensa.compress(broken, tmp_path / "out", texts=texts),
            lambda: prensa.inspect(tmp_path / "missing"),
            lambda: prensa.evaluate(source, tmp_path / "missing"),
            lambda: prensa.export(broken, tmp_path / "out", to="openvino"),
        ):
            with pytest.raises(PrensaError):
                call()
            assert state() == before


def test_functions_that_overlap_give_back_what_the_first_one_found():
    inside, leave = threading.Event(), threading.Event()

    def first():
        with as_usual():
            inside.set()
            leave.wait(30)

    with default_dtype(torch.float64):
        thread = threading.Thread(target=first)
        thread.start()
        inside.wait(30)
        with as_usual():
            leave.set()
            thread.join()
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64


def test_a_shared_change_is_made_once_and_taken_back_once():
    log = []

    @contextmanager
    def change():
        log.append("made")
        yield
        log.append("taken back")

    shared = Shared(change)
    with shared, shared:
        assert log == ["made"]
    assert log == ["made", "taken back"]
    with pytest.raises(ModelError), shared:
        raise ModelError("x")
    assert log == ["made", "taken back"] * 2
    shared.__enter__()
    shared._start_again()  # in a forked child
    assert log == ["made", "taken back"] * 3
    shared.__exit__()
    with shared:
        assert log[-1] == "made"


def test_models_are_loaded_and_pressed_in_many_threads(source, texts, tmp_path, expected):
    """transformers swaps PyTorch's default dtype and initializers while it loads."""
    from concurrent.futures import ThreadPoolExecutor

    right = expected(calibrated, lambda place: calibrated(source, texts, place))
    before = torch.nn.init.normal_, torch.get_default_dtype()
    served = prensa.load(source, runtime="torch", dtype="float32")
    logits = [answer.output for answer in served.predict(["a b", "c"])]

    def work(number):
        if number % 4 == 0:
            (tmp_path / str(number)).mkdir()
            return calibrated(source, texts, tmp_path / str(number)) == right
        dtype = ["", "bfloat16", "float16", "float32"][number % 4]
        model = prensa.load(source, runtime="torch", dtype=dtype)
        found = [answer.output for answer in model.predict(["a b", "c"])]
        return np.allclose(found, logits, atol=1e-4 if dtype == "float32" else 0.3)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(16)))
    assert (torch.nn.init.normal_, torch.get_default_dtype()) == before
