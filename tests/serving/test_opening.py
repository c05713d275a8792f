"""What a served export imports: no PyTorch, nothing of transformers, nothing that only judges need."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "scipy", "sklearn", "pandas", "datasets", "pyarrow", "onnx", "nncf", "peft")

LOADED = """
import sys, prensa
served = prensa.load(sys.argv[1])
(answer,) = served.predict(["a b"])
assert len(answer.scores) == 2
assert type(served).__name__ == "DebertaV2ForSequenceClassification"
"""

CASCADED = """
import sys, prensa
served = prensa.load(sys.argv[1], then=sys.argv[1], threshold=0.5)
list(served.predict(["a b", "c"]))
assert served.reads_once
"""

SERVED = """
import http.client, json, os, signal, sys, threading, time
from prensa.cli.main import main
from prensa.server import run as running

sockets, statuses, bind = [], [], running.bind


def remembered(host, port):
    sockets.append(bind(host, port))
    return sockets[0]


def ask():
    try:
        while not sockets:
            time.sleep(0.01)
        requests = [("GET", "/health", None), ("POST", "/predict", {"inputs": "a b"}), ("GET", "/info", None)]
        requests += [("POST", "/tokenize", {"inputs": "a b"}), ("GET", "/metrics", None)]
        for method, path, body in requests:
            while True:
                connection = http.client.HTTPConnection("127.0.0.1", sockets[0].getsockname()[1])
                connection.request(method, path, json.dumps(body))
                status = connection.getresponse().status
                connection.close()
                if status != 503:
                    break
                time.sleep(0.01)
            statuses.append(status)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


running.bind = remembered
sys.argv = ["prensa", "serve", sys.argv[1], "--port", "0"]
threading.Thread(target=ask).start()
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
assert statuses == [200] * 5, statuses
"""

SAID = """
import json
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("script", [LOADED, CASCADED, SERVED], ids=["loaded", "cascaded", "served"])
def test_an_export_is_answered_without_what_is_heavy(exports, runtime, script):
    pytest.importorskip(runtime)
    if script is SERVED:
        pytest.importorskip("starlette")
    export = exports(runtime, "fp32")
    done = subprocess.run(
        [sys.executable, "-c", script + SAID, str(export)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = json.loads(done.stdout.splitlines()[-1])
    assert runtime in modules
    assert not set(HEAVY) & set(modules)
