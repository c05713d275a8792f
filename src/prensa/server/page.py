"""The page at ``/``, where one types a text and sees what the model makes of it.

It looks like the report, loads nothing from anywhere, and talks to its own server alone: a content security
policy forbids everything else. What users type is shown as text, never as markup.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from starlette.requests import Request
from starlette.responses import HTMLResponse

_STYLE = "<!-- style -->"
_SCRIPT = "<!-- script -->"


async def page(_: Request) -> HTMLResponse:
    """Answer ``GET /``. The page is the same for all models: it asks ``/info`` which one this is."""
    content, policy = _made()
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return HTMLResponse(content, headers=headers)


@cache
def _made() -> tuple[str, str]:
    """Return the page, and the policy that allows its own style and script by their digests."""
    style = _asset("prensa.report", "report.css") + _asset("prensa.server", "page.css")
    script = _asset("prensa.server", "page.js")
    content = _asset("prensa.server", "page.html")
    content = content.replace(_STYLE, f"<style>{style}</style>")
    content = content.replace(_SCRIPT, f"<script>{script}</script>")
    rules = (
        "default-src 'none'",
        f"style-src {_source(style)}",
        f"script-src {_source(script)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
    return content, "; ".join(rules)


def _asset(package: str, name: str) -> str:
    return resources.files(package).joinpath(name).read_text(encoding="utf-8")


def _source(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
