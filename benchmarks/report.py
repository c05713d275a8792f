"""How much the report of a 12-layer model weighs, and how soon it is open in a headless Chromium.

The model has DeBERTa-v3-base's config and random weights: its report is as long as a real one's. The
browser is the one that PRENSA_CHROMIUM names, or ``chromium``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from transformers.utils import logging

import prensa
from benchmarks.evaluation import COMMENTS, MODEL
from benchmarks.record import save, spread
from benchmarks.speed import make_base
from prensa.report.html import load_manifests, render

REPEATS = 15
TEXTS = 64
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]


def main() -> None:
    """Press, evaluate, report, and open the report."""
    logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        base = make_base(folder / "base")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(MODEL / file, base / file)
        prensa.compress(base, folder / "int8")
        found = prensa.evaluate(
            base, folder / "int8", data=prensa.Source(COMMENTS, limit=TEXTS), max_length=128
        )
        start = time.perf_counter()
        prensa.write_report(found, folder / "report.html")
        written = time.perf_counter() - start
        assert render(found, load_manifests(found)) == (folder / "report.html").read_text(encoding="utf-8")
        chromium = os.environ.get("PRENSA_CHROMIUM") or shutil.which("chromium")
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=chromium, args=FLAGS)
            opened = [_open(browser, folder / "report.html") for _ in range(REPEATS + 1)][1:]
            version = browser.version
            browser.close()
        save(
            "report",
            {
                "layers": 12,
                "tensors": len(prensa.inspect(folder / "int8").tensors),
                "texts": TEXTS,
                "nbytes": (folder / "report.html").stat().st_size,
                "write_seconds": round(written, 3),
                "chromium": version,
                "loaded_seconds": spread([loaded for loaded, _ in opened]),
                "first_contentful_paint_seconds": spread([painted for _, painted in opened]),
            },
        )


def _open(browser: Browser, page: Path) -> tuple[float, float]:
    """Open the page in a new context; return seconds until it was loaded, and until it showed anything."""
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(page.as_uri())
    while not tab.evaluate("performance.getEntriesByName('first-contentful-paint').length"):
        time.sleep(0.01)
    loaded = tab.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    painted = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    context.close()
    return loaded / 1e3, painted / 1e3


if __name__ == "__main__":
    main()
