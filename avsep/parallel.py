"""Many items at once, by joblib: on this machine's processors, or on the workers of a dask cluster.

Where the work is done changes no result and must re-run no stage, so it is no param: DASK_SCHEDULER_ADDRESS in the
environment, the name that dask's own clients read, sends all work to that scheduler's workers (avsep/cluster.py).
"""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from pathlib import Path
from typing import TypeVar

from joblib import Parallel, cpu_count, delayed, parallel_config

from avsep.progress import progress

SCHEDULER = "DASK_SCHEDULER_ADDRESS"

Item = TypeVar("Item")
Result = TypeVar("Result")


def spread(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    desc: str,
    unit: str,
    total: int | None = None,
    threads: bool = False,
    inner_threads: int | None = None,
    jobs: int | None = None,
    local: bool = False,
    needs: Sequence[Path] = (),
) -> Iterator[Result]:
    """`function` of each item, in the items' order, each as soon as it and all before it are done.

    A bar shows `desc` and how many `unit`s of `total` are done; a list of items tells its total itself.  Items are
    taken a few ahead of what is being done, so they may be made on the way.

    On this machine the work is done in processes or, if it waits for other programs or the disk, in `threads`: at most
    `jobs` at once, by default one a processor (LOKY_MAX_CPU_COUNT limits them), or one for each `inner_threads` of them
    where torch computes with so many.  If that is one, it is done in this process.  `local` work, which needs what this
    process holds, never goes to a cluster, whose workers must see the files and folders that it `needs`.

    `function` and the items are pickled, but for threads here, and a worker's folder may be another: paths in them have
    to be absolute.  A task whose worker dies is done again elsewhere: it writes files whole or not at all.

    An exception in `function` ends the work and is raised here. Raises InputError for a cluster that cannot be used.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if total == 0:
        return  # no cluster is asked for nothing
    if (address := os.environ.get(SCHEDULER)) and not local:
        from avsep import cluster  # distributed takes a second to import

        results = cluster.spread(address, function, items, inner_threads, needs)
    else:
        at_once = jobs or max(1, cpu_count() // (inner_threads or 1))
        options = {} if threads else {"inner_max_num_threads": inner_threads, "initializer": _ignore_ctrl_c}
        with parallel_config(backend="threading" if threads else "loky", **options):
            parallel = Parallel(n_jobs=at_once, return_as="generator")
        results = parallel(delayed(function)(item) for item in items)
    yield from progress(results, desc, total, unit)


def _ignore_ctrl_c() -> None:
    """In a worker: Ctrl-C goes to all processes of a terminal, and the one that spreads the work ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
