"""A page with transformers.js in headless Chromium, and a server on this machine for what it loads."""

import contextlib
import functools
import http.server
import os
import shutil
import threading
from pathlib import Path

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]
PATIENCE = 600_000  # milliseconds for what takes seconds on a machine with nothing else to do


def chromium():
    """Return the browser that PRENSA_CHROMIUM names, or the first that is installed, None without one."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return os.environ.get("PRENSA_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)


class _Handler(http.server.SimpleHTTPRequestHandler):
    # What a system says of these is not the same everywhere, and modules need the right ones.
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def serving(folder: Path):
    """Serve a folder on this machine; gives the address."""
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def classify(folder: Path, name: str, texts, executable: str):
    """Have the page in ``folder`` classify texts with the model ``folder / name``."""
    from playwright.sync_api import sync_playwright

    with serving(folder) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=FLAGS, timeout=PATIENCE)
        try:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}/page.html")
            page.wait_for_function("window.ready")
            return page.evaluate("([name, texts]) => window.classify(name, texts)", [name, texts])
        finally:
            browser.close()
