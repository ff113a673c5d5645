from pathlib import Path

import pytest

from avsep.files.ledgers import Ledger, digest, fingerprint, prune

ITEM = ("cello", "a")


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, Path]:
    """An input, and a folder of two files made from it."""
    source, folder = tmp_path / "a.mp4", tmp_path / "frames"
    source.write_bytes(b"video")
    folder.mkdir()
    (folder / "1.jpg").write_bytes(b"one")
    (folder / "2.jpg").write_bytes(b"two")
    return source, folder


def ledger(folder: Path) -> Ledger:
    return Ledger(folder / "ledger.csv", ["status"])


def test_an_item_stays_current_from_run_to_run(made: tuple[Path, Path], tmp_path: Path) -> None:
    source, folder = made
    with ledger(tmp_path) as first:
        assert not first.is_current(ITEM, fingerprint([source], [], {}), [folder])
        first.record(ITEM, fingerprint([source], [], {}), [folder], status="ok")
    with ledger(tmp_path) as second:
        assert second.is_current(ITEM, fingerprint([source], [], {}), [folder])
        assert second.entries[ITEM].values == {"status": "ok"}


@pytest.mark.parametrize("change", ["changed", "missing", "additional"])
def test_changed_outputs_are_not_current(made: tuple[Path, Path], tmp_path: Path, change: str) -> None:
    source, folder = made
    with ledger(tmp_path) as book:
        book.record(ITEM, fingerprint([source], [], {}), [folder], status="ok")
        match change:
            case "changed":
                (folder / "1.jpg").write_bytes(b"ONE")
            case "missing":
                (folder / "1.jpg").unlink()
            case "additional":
                (folder / "3.jpg").write_bytes(b"three")
        assert not book.is_current(ITEM, fingerprint([source], [], {}), [folder])


def test_absent_outputs_are_current_while_absent(tmp_path: Path) -> None:
    gone = tmp_path / "never.wav"
    with ledger(tmp_path) as book:
        book.record(ITEM, "made from", [gone], status="rejected")
        assert book.is_current(ITEM, "made from", [gone])
        gone.write_bytes(b"")
        assert not book.is_current(ITEM, "made from", [gone])


def test_fingerprints_tell_inputs_code_and_settings(made: tuple[Path, Path], tmp_path: Path) -> None:
    source, _ = made
    code = tmp_path / "stage.py"
    code.write_text("x = 1")
    prints = [fingerprint([source], [code], {"fps": 1}), fingerprint([source], [code], {"fps": 2})]
    code.write_text("x = 2")
    prints.append(fingerprint([source], [code], {"fps": 1}))
    source.write_bytes(b"another video")
    prints.append(fingerprint([source], [code], {"fps": 1}))
    assert len(set(prints)) == 4
    assert fingerprint([source], [code], {"a": 1, "b": 2}) == fingerprint([source], [code], {"b": 2, "a": 1})


def test_digest_tells_names_from_bytes(tmp_path: Path) -> None:
    for name, content in (("a/x", "1"), ("a/y", "2"), ("b/x", "12"), ("c/x", "1"), ("c/y", "2")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    a, b, c = (digest([tmp_path / name]) for name in "abc")
    assert len({a, b, c}) == 3  # the folder's own name counts, since an item's outputs bear its id
    assert digest([tmp_path / "a/x", tmp_path / "a/y"]) != digest([tmp_path / "a/y", tmp_path / "a/x"])


def test_the_file_does_not_depend_on_the_order_of_work(tmp_path: Path) -> None:
    texts = []
    for order in (["a", "b"], ["b", "a"]):
        with Ledger(tmp_path / f"{order[0]}.csv", ["status"]) as book:
            for name in order:
                book.record(("cello", name), "print", [], status='a, "b"')
        texts.append((tmp_path / f"{order[0]}.csv").read_bytes())
    assert texts[0] == texts[1]
    with Ledger(tmp_path / "a.csv", ["status"]) as book:
        assert book.entries["cello", "a"].values["status"] == 'a, "b"'


def test_an_interrupted_stage_keeps_what_it_did(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), ledger(tmp_path) as book:
        book.record(ITEM, "print", [], status="ok")
        raise KeyboardInterrupt
    with ledger(tmp_path) as again:
        assert again.is_current(ITEM, "print", [])


def test_a_kill_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    book = ledger(tmp_path)
    for number in range(3):  # and no end of the `with`: as if killed
        book.record(("cello", str(number)), "print", [], status='ok, "so far"\n\r')
    with book.journal.open("ab") as file:
        file.write(b'["cello", "of a write that was cut o')
    with ledger(tmp_path) as again:
        assert again.entries == book.entries
        assert not again.journal.exists(), "what follows a line that is cut off would be lost"
        again.record(("cello", "3"), "print", [], status="ok")
    with ledger(tmp_path) as last:
        assert len(last.entries) == 4
    assert [path.name for path in tmp_path.iterdir() if "ledger" in path.name] == ["ledger.csv"]


@pytest.mark.parametrize("content", [b"", b"\0\xff\n", b"[1, 2]\n", b"[" * 100_000 + b"\n", b'{"a": 1}\n', b'"text"\n'])
def test_a_damaged_journal_is_left_out(tmp_path: Path, content: bytes) -> None:
    book = ledger(tmp_path)
    book.record(ITEM, "print", [], status="ok")
    with book.journal.open("ab") as file:
        file.write(content)
    with ledger(tmp_path) as again:
        assert again.entries == book.entries


@pytest.mark.parametrize(
    "content", ["", "class,id,fps,fingerprint,outputs\nc,a,1,f,o\n", "\0\xff", "class,id,status\n"]
)
def test_a_foreign_ledger_makes_everything_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "ledger.csv").write_text(content, encoding="latin-1")
    with ledger(tmp_path) as book:
        assert book.entries == {}


def test_forgotten_items_leave_the_file(tmp_path: Path) -> None:
    with ledger(tmp_path) as book:
        book.record(ITEM, "print", [], status="ok")
        book.record(("cello", "b"), "print", [], status="ok")
        book.keep({ITEM})
    assert "cello,b" not in (tmp_path / "ledger.csv").read_text()


def test_prune_removes_what_nobody_owns(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    out = tmp_path / "out"
    for name in ("cello/a.mp4/1.jpg", "cello/b.mp4/1.jpg", "cello/.c.mp4.tmp/1.jpg", "tuba/a.mp4/1.jpg", "stray"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("x")
    (out / "link").symlink_to(outside)
    assert prune(out, {out / "cello/a.mp4"}) == 5
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*")) == [
        "cello",
        "cello/a.mp4",
        "cello/a.mp4/1.jpg",
    ]
    assert (outside / "file").exists()
