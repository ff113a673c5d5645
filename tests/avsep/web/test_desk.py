"""Behind the page, without a browser: what is taken and refused, the queue, what goes; and the page's addresses."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import soundfile

from avsep.errors import InputError
from avsep.separating.streaming import Place
from avsep.web import app as pages
from avsep.web.desk import Desk, Limits
from tests.helpers.serving import served


class Slow:
    """In a Separator's place: writes a page when it is let."""

    def __init__(self, wrong: Exception | None = None) -> None:
        self.wrong, self.let = wrong, threading.Event()
        self.asked: list[tuple[str, ...]] = []
        self.places: list[tuple[Place, ...]] = []

    def lasts(self, file: Path) -> tuple[float, bool]:
        content = file.read_bytes()
        if content == b"bad":
            raise InputError(f"{file} cannot be used: unreadable")
        return len(content), content[:1] != b"s"

    def write(
        self,
        file: Path,
        folder: Path,
        *,
        texts: tuple[str, ...],
        boxes: tuple[Place, ...],
        told: Callable[..., None],
    ) -> dict[str, Any]:
        self.asked.append(texts)
        self.places.append(boxes)
        while not self.let.wait(0.01):
            told("separating", 5, 10)
        if self.wrong is not None:
            raise self.wrong
        folder.mkdir()
        (folder / "index.html").write_text("page", encoding="utf-8")
        return {}


def make_desk(folder: Path, separator: Slow, *, kept: float = 100, words: bool = True) -> Desk:
    given: Any = separator
    return Desk(given, given if words else None, folder, Limits(bytes=1000, seconds=60, kept=kept))


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def desk(tmp_path: Path, slow: Slow) -> Iterator[Desk]:
    own = make_desk(tmp_path, slow)
    yield own
    own.close()


def bring(desk: Desk, content: bytes = b"video", name: str = "a.mp4") -> Any:
    file = desk.place(name)
    file.write_bytes(content)
    return desk.take(file)


def wait(desk: Desk, question: Any, state: str) -> dict[str, Any]:
    end = time.monotonic() + 60
    while (told := desk.state(question))["state"] != state:
        assert time.monotonic() < end, told
        time.sleep(0.01)
    return told


@pytest.mark.parametrize("name", ["../../etc/passwd", "/x/y.mp4", ".", "", "-a b %.MP4", "скрипка.mov", "a" * 400])
def test_a_name_is_never_a_path(name: str, desk: Desk, tmp_path: Path) -> None:
    file = desk.place(name)
    assert file.parent.parent == tmp_path and file.name[0] not in "-." and len(file.name) < 120


def test_what_cannot_be_used_goes_and_is_told_by_its_name(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^a\.mp4 cannot be used: unreadable$"):
        bring(desk, b"bad")
    with pytest.raises(InputError, match=r"a\.mp4 lasts 1\.7 minutes: at most 1 are taken"):
        bring(desk, b"x" * 100)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="sound alone"):
        desk.ask(bring(desk, b"sound"), [])
    with pytest.raises(InputError, match="cannot be asked in words"):
        bring(make_desk(tmp_path, Slow(), words=False), b"sound")
    with pytest.raises(InputError, match="at most 8 phrases"):
        desk.ask(bring(desk), [str(number) for number in range(9)])
    with pytest.raises(InputError, match="at most 8 boxes"):
        desk.ask(bring(desk), [], [Place(0, 0, 8, 8)] * 9)
    with pytest.raises(InputError, match="not for both"):
        desk.ask(bring(desk), ["violin"], [Place(0, 0, 8, 8)])


def test_questions_wait_for_one_another(desk: Desk, slow: Slow) -> None:
    first, second, third = (desk.ask(bring(desk), texts) for texts in ([], [" violin ", "violin", ""], ["tuba"]))
    while wait(desk, first, "working")["share"] != 0.5:
        pass
    assert desk.state(second) == {"state": "waiting", "before": 1} and desk.state(third)["before"] == 2
    desk.stop(second)
    assert desk.state(second)["state"] == "stopped" and desk.state(third)["before"] == 1
    slow.let.set()
    assert wait(desk, third, "done")["result"] == f"results/{third.id}/index.html"
    assert slow.asked == [(), ("tuba",)], "in their order, and what was stopped not at all"
    assert desk.packed(third).stat().st_size > 100


def test_one_that_is_worked_on_is_stopped(desk: Desk, slow: Slow) -> None:
    question = desk.ask(bring(desk), [])
    wait(desk, question, "working")
    desk.stop(question)
    wait(desk, question, "stopped")


@pytest.mark.parametrize(("wrong", "said"), [(InputError("too short"), "too short"), (OSError("secret"), "terminal")])
def test_a_fault_is_told_in_words_and_ends_nothing(wrong: Exception, said: str, tmp_path: Path) -> None:
    slow = Slow(wrong)
    slow.let.set()
    desk = make_desk(tmp_path, slow)
    told = wait(desk, desk.ask(bring(desk), []), "failed")
    assert said in told["error"] and "secret" not in told["error"]
    slow.wrong = None
    wait(desk, desk.ask(bring(desk), []), "done")
    desk.close()


def test_what_nobody_wants_goes(tmp_path: Path, slow: Slow) -> None:
    desk = make_desk(tmp_path, slow, kept=0.05)
    old, busy = bring(desk), bring(desk)
    question = desk.ask(busy, [])
    time.sleep(0.1)
    desk.sweep()
    assert [path.name for path in tmp_path.iterdir()] == [busy.id], "what is worked on stays"
    with pytest.raises(KeyError):
        desk.brought(old.id)
    slow.let.set()
    wait(desk, question, "done")
    time.sleep(0.1)
    desk.sweep()
    assert not list(tmp_path.iterdir())
    desk.close()


# --- Addresses


@pytest.fixture
def address(desk: Desk, slow: Slow, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of the page, served as `avsep web` does."""
    slow.let.set()
    example = tmp_path_factory.mktemp("examples") / "one.mp4"
    example.write_bytes(b"example")
    with served(pages.make_app(desk, examples=[example])) as own:
        yield own


def call(address: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Status and answer."""
    request = urllib.request.Request(address, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode(errors="replace")


def test_a_file_is_brought_asked_about_and_answered(address: str, desk: Desk, tmp_path: Path) -> None:
    status, brought = call(f"{address}/files?name=..%2Fmy%20video.mp4", b"video")
    assert (status, brought["name"], brought["pictures"]) == (201, "my_video.mp4", True)
    status, asked = call(f"{address}/files/{brought['id']}/questions", b'{"texts": ["violin"]}')
    assert status == 202
    wait(desk, desk.question(asked["id"]), "done")
    assert call(f"{address}/questions/{asked['id']}")[1]["result"] == f"results/{asked['id']}/index.html"
    assert call(f"{address}/results/{asked['id']}/index.html") == (200, "page")
    assert call(f"{address}/results/{asked['id']}.zip")[0] == 200
    for path in ("..%2Fmy_video.mp4", "%2Fetc%2Fpasswd", "..%2F..%2F..%2F..%2F..%2Fetc%2Fpasswd", "none.wav", ""):
        assert call(f"{address}/results/{asked['id']}/{path}")[0] == 404, path
    assert call(f"{address}/files?example=0", b"")[1]["name"] == "one.mp4"
    assert call(f"{address}/files?example=-7", b"")[0] == 404


def test_boxes_are_asked_for(address: str, slow: Slow, desk: Desk) -> None:
    brought = call(f"{address}/files?name=a.mp4", b"video")[1]
    body = b'{"texts": [], "boxes": [[1, 2, 30.5, 40, 1.5], [0, 0, 8, 8, null]]}'
    status, asked = call(f"{address}/files/{brought['id']}/questions", body)
    assert status == 202
    wait(desk, desk.question(asked["id"]), "done")
    assert slow.places == [(Place(1, 2, 30.5, 40, 1.5), Place(0, 0, 8, 8, None))]


def test_what_is_wrong_is_told_in_words(address: str, tmp_path: Path) -> None:
    assert call(f"{address}/files?name=a.mp4", b"bad") == (400, {"error": "a.mp4 cannot be used: unreadable"})
    assert call(f"{address}/files?name=a.mp4", b"x" * 1001)[0] == 413
    assert call(f"{address}/questions/none")[0] == 404
    boxes = (b"1", b"[[1, 2, 3, 4]]", b"[[1, 2, 3, null, 5]]", b'["12345"]', b"[[0, 0, NaN, 4, 1]]", b"[{}]")
    asked = [b'{"texts": [], "boxes": %s}' % one for one in boxes]
    for body in (b"", b"[]", b'{"texts": "violin"}', b'{"texts": [1]}', *asked):
        brought = call(f"{address}/files?name=a.mp4", b"video")[1]
        assert call(f"{address}/files/{brought['id']}/questions", body)[0] == 400


def test_other_sites_are_refused_and_none_is_asked(address: str) -> None:
    assert call(address)[0] == 200
    assert call(address, Host="elsewhere.example")[0] == 400, "a name that is led here"
    assert call(f"{address}/files?name=a.mp4", b"video", Origin="http://elsewhere.example")[0] == 403
    assert call(f"{address}/files?name=a.mp4", b"video", Origin=address)[0] == 201
    with urllib.request.urlopen(address, timeout=60) as answer:
        policy, page = answer.headers["content-security-policy"], answer.read().decode()
    assert policy.startswith("default-src 'self'") and "http:" not in policy
    assert "http" not in page, "nothing of the network"


def test_where_it_listens() -> None:
    assert pages.names_of("127.0.0.1") == [*pages.NEAR, "127.0.0.1"] and pages.names_of("0.0.0.0") is None
    with pages.listen("127.0.0.1", 0) as sock, pytest.raises(InputError, match=r"give another --port"):
        pages.listen("127.0.0.1", sock.getsockname()[1])


def test_examples_are_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no video"):
        pages.examples_in(tmp_path)
    for number in range(30):
        soundfile.write(tmp_path / f"{number:02d}.wav", [0.0], 8000)
    assert len(pages.examples_in(tmp_path)) == pages.MOST_EXAMPLES
