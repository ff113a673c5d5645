"""avsep/parallel.py's work on the workers of a dask cluster, by joblib's backend for it.

The workers may run anywhere that has this repository's code and sees this machine's files at the same paths
(docs/lab.md); dask's scheduler needs the code alone.  Both are checked before any work, and the code again with each
task: a worker outlives an edit, and would go on with the code that it has once imported, while DVC notes the edited
files.
"""

import asyncio
import contextlib
import functools
import hashlib
import logging
import socket
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from distributed import Client, KilledWorker, Security
from distributed.comm import connect
from joblib import Parallel, delayed
from joblib._dask import DaskDistributedBackend

from avsep.errors import InputError

ANSWER = 10  # seconds that the scheduler has to answer, and a first worker to be there
CODE = ("avsep", "models", "stages")
PACKAGES = (  # that results depend on
    *("av", "joblib", "numpy", "open_clip_torch", "pillow", "scipy", "soundfile", "torch", "torchvision"),
    "transformers",
)

WITHOUT_CODE = "cannot run the code: start it with the repository in PYTHONPATH"

Item = TypeVar("Item")
Result = TypeVar("Result")


class Task(NamedTuple):
    """One item's work. A tuple, since joblib keeps other large arguments on one worker alone, who may die."""

    function: Callable[[Any], Any]
    item: Any
    code: str  # the digest that the worker's code must have
    threads: int | None  # that torch computes with


def spread(
    address: str,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int | None,
    needs: Sequence[Path] = (),
) -> Iterator[Result]:
    """`function` of each item, in order, on the workers of the scheduler at `address`; torch has `threads` threads.

    Raises InputError if the scheduler or its workers cannot be used, do not see the files or folders `needs`, or are
    lost.
    """
    with _connected(address) as client:
        _check_workers(client, address, needs)
        parallel = Parallel(n_jobs=-1, backend=Backend(client=client), return_as="generator")
        code = code_digest()
        try:
            yield from parallel(delayed(perform)(Task(function, item, code, threads)) for item in items)
        except KilledWorker as error:
            raise InputError(
                f"{error.allowed_failures + 1} workers, one after the other, died of one task, the last at"
                f" {error.last_worker.address}: its log may say why; out of memory? (docs/lab.md)"
            ) from None
        except CancelledError:
            raise InputError(
                f"the scheduler at {address} is gone: start it and this stage again; what is done stays"
            ) from None


class Backend(DaskDistributedBackend):
    """joblib's backend, but for two faults: see `effective_n_jobs` and `submit`."""

    def effective_n_jobs(self, n_jobs: int) -> int:
        """At least two: with a single worker, be it that others just start again, joblib would work in this process."""
        return max(2, super().effective_n_jobs(n_jobs))

    def submit(self, func: Callable[[], Any], callback: Callable[[Any], None]) -> Future[Any]:
        """joblib is told of results alone: it would wait for ever for a task that dask gave up."""
        future = super().submit(func, callback)

        def tell(done: Future[Any]) -> None:
            if error := done.exception():
                callback(error)

        future.add_done_callback(tell)
        return future

    def retrieve_result_callback(self, out: Any) -> Any:
        if isinstance(out, Exception):
            raise out
        return super().retrieve_result_callback(out)


def perform(task: Task) -> Any:
    """A task's work, on a worker. Raises InputError if the worker has other code than who sent it."""
    if problem := _other_code(task.code):
        raise InputError(f"a worker {problem} (docs/lab.md)")
    if task.threads is not None:
        import torch  # few tasks need it

        torch.set_num_threads(task.threads)  # OMP_NUM_THREADS comes too late: the worker has long been started
    return task.function(task.item)


@functools.cache
def code_digest() -> str:
    """A hash of this repository's Python files, as they are when a process first asks, and of PACKAGES' versions."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256("\n".join([sys.version, *map(version, PACKAGES)]).encode())
    for path in sorted(path for folder in CODE for path in (root / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    """A client of the scheduler. Raises InputError if none answers."""
    try:
        asyncio.run(_knock(address))
        client = Client(address, timeout=ANSWER, set_as_default=False)
    except (OSError, ValueError) as error:  # a time-out is an OSError
        raise InputError(
            f"DASK_SCHEDULER_ADDRESS is {address}, where no scheduler answers ({error}): start one (docs/lab.md), or"
            " unset it to work on this machine"
        ) from None
    try:
        yield client
    finally:
        # after an error, answers that are still on their way are cut off: no fault to be told with a traceback
        faults = logging.getLogger("tornado.application")
        faults.disabled = True
        client.close()
        faults.disabled = False


async def _knock(address: str) -> None:
    """Raises OSError or ValueError if no scheduler answers.

    Before a Client tries: one that failed is collected at any time after, and may wait for a lock for ever by then.
    """
    comm = await connect(address, timeout=ANSWER, **Security().get_connection_args("client"))
    await comm.close()


def _check_workers(client: Client, address: str, needs: Sequence[Path]) -> None:
    """Raises InputError if there is no worker, or one that does not see this folder or `needs`, or has other code.

    The scheduler has to have the code too: it unpickles what it passes on.
    """
    try:
        client.wait_for_workers(1, timeout=ANSWER)
    except TimeoutError:
        raise InputError(f"the scheduler at {address} has no worker: start some (docs/lab.md)") from None
    try:
        problem = client.run_on_scheduler(_other_code, code_digest())
    except (ImportError, AttributeError) as error:  # none, or an old one
        problem = f"{WITHOUT_CODE} ({error})"
    if problem:
        raise InputError(f"the scheduler at {address} {problem} (docs/lab.md)")
    with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix=".avsep_is_here_") as marker:
        seen = client.run(_look, marker.name, list(map(str, needs)), code_digest(), on_error="return")
    for worker, problem in seen.items():
        if isinstance(problem, Exception) and not isinstance(problem, OSError):  # that one died meanwhile
            problem = f"{WITHOUT_CODE} ({problem})"
        if isinstance(problem, str):
            raise InputError(f"the worker at {worker} {problem} (docs/lab.md)")


def _look(marker: str, needs: Sequence[str], code: str) -> str | None:
    """What is wrong with the worker that this runs on, if anything."""
    if not Path(marker).is_file():
        return f"on {socket.gethostname()} does not see {Path(marker).parent} as it is here: it needs the same files"
    if unseen := [path for path in needs if not Path(path).exists()]:
        return f"on {socket.gethostname()} does not see {unseen[0]}: mount it there, at the same path"
    return _other_code(code)


def _other_code(code: str) -> str | None:
    """None if this process has the code of that digest."""
    if code_digest() == code:
        return None
    return f"on {socket.gethostname()} has other code or packages than the stage: restart it after an edit"
