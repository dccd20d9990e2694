"""Do many things at a time."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(work: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """Do the work for each item, and give the results as they come.

    Whoever stops listening, as by Ctrl-C, ends it: nothing new is begun, and the program need not wait for a connection
    that hangs.

    Args:
        work: Called by several threads.
        items: What to work on.
        jobs: How many at a time.

    Raises:
        Exception: Whatever the work raises.
    """
    todo: queue.SimpleQueue[Item] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Result] | Exception] = queue.SimpleQueue()
    for item in items:
        todo.put(item)

    def take() -> None:
        while (item := _next(todo)) is not None:
            try:
                done.put((work(item[0]),))
            except Exception as error:
                done.put(error)

    for _ in range(min(jobs, len(items))):
        threading.Thread(target=take, daemon=True).start()
    try:
        for _ in items:
            result = done.get()
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
