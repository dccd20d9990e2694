"""Run work in parallel threads."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def run(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """Run a function on each item and yield the results in the order of completion.

    Closing the iterator, such as by Ctrl-C, starts no further work and does not wait for connections that hang.

    Args:
        work: The function; several threads call it.
        items: The items.
        jobs: The number of threads.

    Raises:
        Exception: The first exception that the function raises.
    """
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    results: queue.SimpleQueue[tuple[Result] | Exception] = queue.SimpleQueue()
    for item in items:
        todo.put(item)

    def work_off() -> None:
        while (item := _next(todo)) is not None:
            try:
                results.put((work(item[0]),))
            except Exception as error:
                results.put(error)

    for _ in range(min(jobs, len(items))):
        threading.Thread(target=work_off, daemon=True).start()
    try:
        for _ in items:
            result = results.get()
            if isinstance(result, Exception):
                raise result
            yield result[0]
    finally:
        while _next(todo) is not None:
            pass


def _next(todo: "queue.SimpleQueue[Item]") -> tuple[Item] | None:
    try:
        return (todo.get_nowait(),)
    except queue.Empty:
        return None
