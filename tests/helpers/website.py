"""A web site of one's own: files over HTTP, some missing, some slow, some cut off."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KINDS = {".mpd": "application/dash+xml", ".html": "text/html"}


class Site:
    """Serves `files` by name; `answers` are what a name is answered with before: a status, or bytes to be cut after."""

    def __init__(self) -> None:
        self.files: dict[str, Path] = {}
        self.headers: dict[str, dict[str, str]] = {}  # of a name, beside the usual ones
        self.answers: dict[str, list[int | tuple[str, int]]] = {}
        self.asked: list[tuple[str, str]] = []  # name, range
        self.pace = 0.0  # seconds before each 8 kB
        self.url = ""

    @property
    def gets(self) -> Counter[str]:
        return Counter(name for name, _ in self.asked)


@contextlib.contextmanager
def open_site() -> Iterator[Site]:
    """A site that is reached at `url`, with {id} where the name goes."""
    own = Site()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, body: bool) -> None:
            name = self.path.strip("/")
            asked = self.headers.get("Range", "")
            own.asked.append((name, asked))
            special = own.answers.get(name, [])
            first = special.pop(0) if special else None
            if isinstance(first, int) or name not in own.files:
                self.send_error(first if isinstance(first, int) else 404)
                return
            content = own.files[name].read_bytes()
            start = int(asked.removeprefix("bytes=").partition("-")[0] or 0) if asked else 0
            self.send_response(206 if asked else 200)
            self.send_header("Content-Type", KINDS.get(own.files[name].suffix, "video/mp4"))
            for header, value in own.headers.get(name, {}).items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content) - start))
            self.send_header("Accept-Ranges", "bytes")
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            sent = content[start:] if first is None else content[start : first[1]]
            for offset in range(0, len(sent) if body else 0, 8192):
                time.sleep(own.pace)
                try:
                    self.wfile.write(sent[offset : offset + 8192])
                except (BrokenPipeError, ConnectionResetError):
                    return

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    own.url = f"http://127.0.0.1:{server.server_port}/{{id}}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield own
    finally:
        server.shutdown()
        server.server_close()
