"""A live bar with time left, on stderr and only where someone can see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from prensa import progress


@contextmanager
def progress_bar(title: str) -> Iterator[progress.Progress]:
    """Yield the callback that moves a bar of bytes."""
    with _bar(DownloadColumn(), detail=True) as bar:
        task = bar.add_task(title, total=None, detail="")

        def show(name: str, done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, detail=name)

        yield show


@contextmanager
def stages(console: Console | None = None) -> Iterator[progress.Progress]:
    """Yield the callback that moves a bar for each stage of a longer job, one after the other.

    What is printed on ``console`` meanwhile stands above the bar.
    """
    with _bar(TaskProgressColumn(), console=console) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bar.update(earlier, visible=False)
                tasks[stage] = bar.add_task(stage, total=total)
            bar.update(tasks[stage], completed=done, total=total)

        yield show


@contextmanager
def texts_bar() -> Iterator[progress.Progress]:
    """Yield the callback that moves a bar of texts for each stage, with how many a second."""
    with _bar(_Texts()) as bar:
        tasks: dict[str, TaskID] = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for earlier in tasks.values():
                    bar.update(earlier, visible=False)
                # What was done before this run counts for no speed.
                tasks[stage] = bar.add_task(stage, total=total, completed=done)
            bar.update(tasks[stage], completed=done, total=total)

        yield show


class _Texts(ProgressColumn):
    """How many texts are done, and how many a second."""

    def render(self, task: Task) -> Text:
        speed = ""
        if task.speed:
            speed = f", {task.speed:,.0f} texts/s"
        return Text(f"{task.completed:,.0f} of {task.total or 0:,.0f}{speed}")


def _bar(amount: ProgressColumn, *, detail: bool = False, console: Console | None = None) -> Progress:
    from transformers.utils import logging

    # One bar at a time: the bars of transformers would be torn by ours.
    logging.disable_progress_bar()
    if console is None:
        console = Console(stderr=True)
    details = []
    if detail:
        details.append(TextColumn("{task.fields[detail]}", style="dim"))
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        amount,
        TimeRemainingColumn(),
        *details,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
