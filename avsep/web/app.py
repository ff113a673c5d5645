"""The page's addresses (Starlette), and how it is served.

    GET    /                                the page
    POST   /files?name=NAME                 a file, as the request's body; or /files?example=NUMBER
    POST   /files/{id}/questions            {"texts": [...]}; without any, what is seen is asked for, and with
                                            {"boxes": [[x1, y1, x2, y2, seconds or null], ...]} what is there too
    GET    /questions/{id}                  how far it is
    DELETE /questions/{id}                  nobody waits any more
    GET    /results/{question}/{file}       what was written, index.html above all; /results/{question}.zip

Who may ask: browsers that call this machine by a name that it is served under, from a page that is its own.  The page
and its results ask nothing of any other machine, and their browser is told to refuse if they did.
"""

import asyncio
import contextlib
import math
import os
import socket
from collections.abc import AsyncIterator, Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from avsep.errors import InputError
from avsep.separating.streaming import Place
from avsep.web.desk import Brought, Desk, Question

NEAR = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "content-security-policy": "default-src 'self' 'unsafe-inline' data: blob:; frame-ancestors 'self'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm", ".flac", ".mp3", ".ogg", ".wav"}  # of examples
MOST_EXAMPLES = 6


class _Own:
    """Refuses what another site's page asks for, and adds HEADERS to every answer."""

    def __init__(self, app: ASGIApp, names: Collection[str] | None) -> None:
        """`names`: of this machine, by which it may be called; None: any."""
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.names is not None and _name(host) not in self.names:  # another name may be led here from outside
            await PlainTextResponse("this machine is not called so", 400)(scope, receive, sent)
        elif origin is not None and urlsplit(origin).netloc != host:
            await PlainTextResponse("of another site", 403)(scope, receive, sent)
        else:
            await self.app(scope, receive, sent)


def _name(host: str) -> str | None:
    """`localhost` of `localhost:7860`; None of what is no name."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class _Page:
    """What answers each address."""

    def __init__(self, desk: Desk, examples: Sequence[Path]) -> None:
        self.desk, self.examples = desk, list(examples)
        loader = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
        environment = jinja2.Environment(
            loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        limits = {"bytes": desk.limits.bytes, "seconds": desk.limits.seconds, "kept": desk.limits.kept}
        self.html = environment.get_template("page.html").render(
            limits=limits, words=desk.words is not None, examples=[one.name for one in self.examples]
        )

    async def page(self, request: Request) -> Response:
        return HTMLResponse(self.html)

    async def bring(self, request: Request) -> Response:
        """A file comes, piece after piece, and goes again if it is too large, or none that can be used."""
        if "example" in request.query_params:
            try:
                source = self.examples[int(request.query_params["example"])]
            except (ValueError, IndexError):
                return _wrong("no such example", 404)
            file = self.desk.place(source.name)
            file.symlink_to(source.resolve())
            return _brought(await run_in_threadpool(self.desk.take, file))
        most = self.desk.limits.bytes
        too_large = f"the file is too large: at most {most / 1e6:g} MB"
        if int(request.headers.get("content-length", "0")) > most:
            return _wrong(too_large, 413)
        file, size = self.desk.place(request.query_params.get("name", "")), 0
        try:
            with file.open("wb") as written:
                async for piece in request.stream():
                    size += len(piece)
                    if size > most:
                        break
                    written.write(piece)
        except ClientDisconnect:
            self.desk.drop(file)
            return _wrong("it did not come whole", 400)
        if size > most:
            self.desk.drop(file)
            return _wrong(too_large, 413)
        return _brought(await run_in_threadpool(self.desk.take, file))

    async def ask(self, request: Request) -> Response:
        brought = self.desk.brought(request.path_params["id"])
        try:
            asked = await request.json()
            texts = asked["texts"]
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError
            places = [_place(box) for box in asked.get("boxes", [])]
        except (ValueError, KeyError, TypeError, OverflowError):
            return _wrong('{"texts": ["violin"]}, or {"texts": [], "boxes": [[40, 80, 200, 300, 12.5]]} can be asked')
        return JSONResponse({"id": self.desk.ask(brought, texts, places).id}, 202)

    async def state(self, request: Request) -> Response:
        return JSONResponse(self.desk.state(self.desk.question(request.path_params["id"])))

    async def stop(self, request: Request) -> Response:
        self.desk.stop(self.desk.question(request.path_params["id"]))
        return JSONResponse({})

    async def packed(self, request: Request) -> Response:
        question = self._answered(request)
        path = await run_in_threadpool(self.desk.packed, question)
        return FileResponse(path, filename=f"{question.brought.file.stem}.zip")

    async def result(self, request: Request) -> Response:
        folder = self._answered(request).folder
        path = folder / request.path_params["file"]
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise KeyError(path)
        return FileResponse(path)

    def _answered(self, request: Request) -> Question:
        """Raises KeyError."""
        question = self.desk.question(request.path_params["id"])
        if self.desk.state(question)["state"] != "done":
            raise KeyError(question.id)
        return question


def _place(box: Any) -> Place:
    """Raises TypeError or ValueError for what is none."""
    if not isinstance(box, list):
        raise TypeError
    *sides, seconds = box
    x1, y1, x2, y2 = (float(side) for side in sides)
    place = Place(x1, y1, x2, y2, None if seconds is None else float(seconds))
    if not all(math.isfinite(value) for value in place if value is not None):
        raise ValueError
    return place


def _brought(brought: Brought) -> Response:
    about = {"id": brought.id, "name": brought.file.name, "seconds": brought.seconds, "pictures": brought.pictures}
    return JSONResponse(about, 201)


def _wrong(error: str, status: int = 400) -> JSONResponse:
    return JSONResponse({"error": error}, status)


async def _input(request: Request, error: Exception) -> Response:
    return _wrong(" ".join(str(error).split()))


async def _gone(request: Request, error: Exception) -> Response:
    return _wrong("it is not here, or no more: bring it again", 404)


def make_app(desk: Desk, *, examples: Sequence[Path] = (), names: Collection[str] | None = NEAR) -> Starlette:
    """The page over a desk. `examples`: files that are offered.  `names`: of this machine, by which it may be called;
    None: any."""
    page = _Page(desk, examples)

    @contextlib.asynccontextmanager
    async def swept(app: Starlette) -> AsyncIterator[None]:
        async def sweep() -> None:
            while True:
                await asyncio.sleep(min(60.0, desk.limits.kept / 2))
                await run_in_threadpool(desk.sweep)

        task = asyncio.create_task(sweep())
        yield
        task.cancel()

    return Starlette(
        routes=[
            Route("/", page.page),
            Route("/files", page.bring, methods=["POST"]),
            Route("/files/{id}/questions", page.ask, methods=["POST"]),
            Route("/questions/{id}", page.state),
            Route("/questions/{id}", page.stop, methods=["DELETE"]),
            Route("/results/{id}.zip", page.packed),
            Route("/results/{id}/{file:path}", page.result),
        ],
        middleware=[Middleware(_Own, names=names)],
        exception_handlers={InputError: _input, KeyError: _gone},
        lifespan=swept,
    )


def examples_in(folder: Path) -> list[Path]:
    """The videos and sounds that lie in a folder, however deep, at most MOST_EXAMPLES. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder} is missing: no such folder")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise InputError(f"{folder} holds no video")
    return found[:: max(1, len(found) // MOST_EXAMPLES)][:MOST_EXAMPLES]


def listen(host: str, port: int) -> socket.socket:
    """Where the page is called; port 0: any that is free. Raises InputError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise InputError(f"port {port} of {host} cannot be listened to ({reason}): give another --port") from None


def names_of(host: str) -> list[str] | None:
    """By which names a page that is served on `host` may be called; None: any, where it is served to all."""
    return None if host in ("0.0.0.0", "::", "") else [*NEAR, host]


def serve(app: Starlette, sock: socket.socket) -> None:
    """Until it is told to end."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=2, lifespan="on")
    uvicorn.Server(config).run(sockets=[sock])
