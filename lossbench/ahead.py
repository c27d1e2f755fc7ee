"""Work done ahead of who needs it, in threads; any stage may import it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor


def results(function, items, workers: int):
    """Yield ``function(item)`` of each item in order, computed ahead by so many threads; 0 computes in the caller.

    An error is raised where its result would have come. The threads end when the generator is exhausted, closed or
    dropped.

    Examples
    --------
    >>> list(results(lambda number: number**2, range(5), workers=2))
    [0, 1, 4, 9, 16]
    """
    if not workers:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="lossbench-ahead")
    try:
        ahead = deque()
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * workers:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
