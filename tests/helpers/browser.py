"""A real browser without a window, spoken to in its own protocol (Chrome DevTools)."""

import contextlib
import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Tab:
    """An open page."""

    def __init__(self, connection: ClientConnection, session: str) -> None:
        self._connection, self._session = connection, session
        self._numbers = itertools.count(100)
        self.faults: list[str] = []  # of the page's scripts and of what it asks for

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message = {"id": number, "sessionId": self._session, "method": method, "params": params}
        self._connection.send(json.dumps(message))
        while True:
            answer = json.loads(self._connection.recv(timeout=60))
            if answer.get("method") in ("Runtime.exceptionThrown", "Network.loadingFailed"):
                self.faults.append(json.dumps(answer["params"])[:500])
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def value(self, expression: str) -> Any:
        """What JavaScript's expression is, waited for."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 60) -> None:
        """Until an expression is true."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"never: {expression}"
            time.sleep(0.1)

    def click(self, selector: str) -> None:
        """With the mouse, in an element's middle."""
        x, y = self.value(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key: str, code: str, *, shift: bool = False) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=code, modifiers=8 if shift else 0)


@contextlib.contextmanager
def opened(page: Path, profile: Path, width: int = 1200, height: int = 900) -> Iterator[Tab]:
    """A page from the disk, in a browser that reaches no network."""
    assert CHROMIUM is not None
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--mute-audio", "--no-first-run"),
        *("--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={profile}", "--remote-debugging-port=0"),
    ]
    process = subprocess.Popen([*command, "about:blank"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        address = next(
            found[1] for line in process.stderr if (found := re.search(r"DevTools listening on (ws://\S+)", line))
        )
        with connect(address, max_size=None, open_timeout=60) as connection:
            target = _whole(connection, 1, "Target.createTarget", url="about:blank")["targetId"]
            session = _whole(connection, 2, "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            browser = Tab(connection, session)
            for domain in ("Runtime", "Network", "Page"):
                browser.call(f"{domain}.enable")
            browser.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
            browser.call("Page.navigate", url=page.absolute().as_uri())
            browser.wait("document.readyState === 'complete'")
            yield browser
    finally:
        process.terminate()
        process.wait()


def _whole(connection: ClientConnection, number: int, method: str, **params: Any) -> dict[str, Any]:
    """A call to the browser itself."""
    connection.send(json.dumps({"id": number, "method": method, "params": params}))
    while (answer := json.loads(connection.recv(timeout=60))).get("id") != number:
        pass
    return answer["result"]
