"""What a run shows while it goes on: a bar on a terminal, a line for each workload elsewhere."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["Advance", "Screen"]

type Advance = Callable[[str, tuple[str, str]], None]


class Screen:
    """The terminal, or what stands in for it."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else 160
        self.console = Console(width=width)

    def notice(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)

    @contextlib.contextmanager
    def progress(self, total: int) -> Iterator[Advance]:
        """Yield a function to call at the beginning of each of so many slices."""
        bar = Progress(
            TextColumn("{task.description:<50}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        task = bar.add_task("", total=total)
        begun, shown = -1, ""

        def advance(title: str, contestant: tuple[str, str]) -> None:
            nonlocal begun, shown
            begun += 1
            bar.update(task, completed=begun, description=f"{title}, {' on '.join(contestant)}")
            if not self.console.is_terminal and title != shown:
                self.notice(f"round {title} ({begun} of {total})")
            shown = title

        with bar:
            yield advance
            bar.update(task, completed=total)
