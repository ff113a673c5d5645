"""A cluster on this machine, for tests."""

import contextlib
import os
from collections.abc import Iterator
from unittest.mock import patch

from distributed import LocalCluster


@contextlib.contextmanager
def local_cluster(workers: int) -> Iterator[LocalCluster]:
    """That many worker processes of one thread each, and their scheduler in this process.

    The environment is put back in the end: dask sets MKL_NUM_THREADS and the like in it, which gives processes that a
    later test starts other bits.
    """
    with (
        patch.dict(os.environ),
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0") as started,
    ):
        yield started
