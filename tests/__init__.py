"""What a test must not depend on, settled before anything that reads it is imported."""

import atexit
import os
import shutil
import tempfile

_PLACE = tempfile.mkdtemp(prefix="prensa-tests-")
atexit.register(shutil.rmtree, _PLACE, ignore_errors=True)

os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_HOME": os.path.join(_PLACE, "huggingface"),  # noqa: PTH118  what the user has in the cache
    "PRENSA_CACHE": os.path.join(_PLACE, "cache"),  # noqa: PTH118
    "TOKENIZERS_PARALLELISM": "false",
}
# Colours and widths that a terminal or a CI service asks rich and typer for.
for _name in ("COLUMNS", "FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR", "PY_COLORS", "TTY_COMPATIBLE"):
    os.environ.pop(_name, None)
if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores: a thread for each, and for what it starts
    os.environ.setdefault("OMP_NUM_THREADS", "1")
