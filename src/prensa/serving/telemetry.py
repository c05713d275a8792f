"""Keep OpenVINO and NNCF from reporting to their makers.

Both report to Google Analytics unless the user has opted out, when they are imported and when they convert,
from a process that they fork, and write an identifier into the home directory. Prensa sends nothing, and
nothing is sent on its behalf.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Send nothing while the context lasts, whenever OpenVINO and NNCF were imported."""
    try:
        from openvino_telemetry.utils.opt_in_checker import ConsentCheckResult, OptInChecker
        from openvino_telemetry.utils.sender import TelemetrySender
    except ImportError:
        # Then they send nothing either.
        yield
        return
    check = OptInChecker.check
    send = TelemetrySender.send
    # The first keeps them from asking and from writing an identifier, the second from sending it.
    OptInChecker.check = lambda *_, **__: ConsentCheckResult.DECLINED
    TelemetrySender.send = lambda *_, **__: None
    try:
        yield
    finally:
        OptInChecker.check = check
        TelemetrySender.send = send
