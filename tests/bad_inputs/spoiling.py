"""Bad files made of good ones, in ways that fit any file and in those of each format; the same seed, the same bytes."""

import io
import json
import os
import pickle
import sqlite3
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

CANARY = "canary"  # a file in the case's folder's parent: it is there if code of a bad input was run
NAMES = [
    "../../escaped",
    "/tmp/escaped",
    "..",
    ".",
    "",
    "a\nb",
    "a\r\x1b[2Jb",
    "100%d %s %n",
    "-rf",
    "--help",
    "x" * 255,
    "x" * 5000,
    "\N{GREEK SMALL LETTER ALPHA}" * 127,
    "チェロ",
    "\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe",
    "nul\0byte",
    "a\\b",
    "\ud800",
    "CON",
    "$(touch canary)",
    "`touch canary`;",
]


class Bad(NamedTuple):
    fault: str
    put: Callable[[Path], None]  # in place of the good file at that path
    refused: bool = True  # whether nothing may be made of it; else what is left may be used


def faults(form: str, good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    """All for a file of this format, of which `good` is one."""
    yield from _any_file(good, random)
    yield from _OF[form](good, random)


def put(content: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_bytes(content)

    return write


# --- Any file


def _any_file(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    yield Bad("empty", put(b""))
    yield Bad("one byte", put(good[:1]))
    for share in (0.02, 0.5, 0.98):
        end = max(1, int(len(good) * min(1, share + 0.02 * random.random())) - 1)
        yield Bad(f"truncated at byte {end} of {len(good)}", put(good[:end]), refused=False)
    for count in (1, 3, 30):
        spoilt = bytearray(good)
        for place in random.integers(0, len(good), count):
            spoilt[place] ^= 1 << int(random.integers(0, 8))
        yield Bad(f"{count} bits flipped", put(bytes(spoilt)), refused=False)
    start = bytearray(good)
    for place in random.integers(0, min(64, len(good)), 4):
        start[place] = int(random.integers(0, 256))
    yield Bad("bytes of its start replaced", put(bytes(start)), refused=False)
    yield Bad("zeros", put(bytes(len(good))))
    yield Bad("random bytes", put(random.bytes(len(good) + 100)))
    yield Bad("a web page", put(b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n"))
    yield Bad("one kilobyte of (", put(b"(" * 1024))
    yield Bad("a hundred thousand [", put(b"[" * 100_000))
    yield Bad("itself twice", put(good + good), refused=False)
    yield Bad("with bytes behind it", put(good + random.bytes(300)), refused=False)
    yield Bad("a pickle that runs code", put(_pickle()))
    yield Bad("a folder", _folder)
    yield Bad("a pipe", os.mkfifo)
    yield Bad("a link to nothing", lambda path: path.symlink_to("nowhere"))
    yield Bad("a link to itself", lambda path: path.symlink_to(path.name))
    yield Bad("a link to an endless device", lambda path: path.symlink_to("/dev/zero"))
    yield Bad("a hole of 2 GB", _hole)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "in.jpg").write_bytes(b"")


def _hole(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2 << 30)


class _Runs:
    """What a pickle of it does when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {CANARY}",)


def _pickle() -> bytes:
    return pickle.dumps({"a.weight": _Runs()})


# --- Numbers and sound


def _npy(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    def array(values: Any, **options: Any) -> Callable[[Path], None]:
        content = io.BytesIO()
        np.save(content, values, **options)
        return put(content.getvalue())

    def header(text: str, body: bytes = bytes(64), version: tuple[int, int] = (1, 0)) -> Callable[[Path], None]:
        length = struct.pack("<H" if version == (1, 0) else "<I", len(text))
        return put(b"\x93NUMPY" + bytes(version) + length + text.encode("latin-1", "replace") + body)

    rows = np.load(io.BytesIO(good))
    for name, value in (("NaN", np.nan), ("infinity", np.inf), ("-infinity", -np.inf), ("1e38", 1e38)):
        for column in (0, 2, 4):
            spoilt = rows.copy()
            spoilt[0, column] = value
            yield Bad(f"{name} in column {column}", array(spoilt), refused=not (value == 1e38 and column == 4) and True)
    for dtype in (np.float64, np.int32, np.complex64, bool, "U8", "datetime64[s]"):
        yield Bad(f"of {dtype}", array(np.ones((3, 7)).astype(dtype)))
    for shape in ((7,), (3, 6), (1, 3, 7), (), (0, 6), (7, 0)):
        yield Bad(f"of shape {shape}", array(np.ones(shape, np.float32)))
    yield Bad("objects that run code", array(np.array([_Runs()], object), allow_pickle=True))
    yield Bad("fields", array(np.zeros(3, [("a", np.float32), ("b", "O")]), allow_pickle=True))
    giant = "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, 7), }}"
    for count in (10**9, 10**12, 2**63, -1, 10**30):
        yield Bad(f"a header that tells of {count} rows", header(giant.format(count)))
    yield Bad("a header of 4 GB", put(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr': '<f4'"))
    yield Bad("a header of nested brackets", header("(" * 9000 + ")" * 900))
    yield Bad("a header that is no dict", header("[1, 2, 3]\n"))
    yield Bad("a header that computes", header("{'descr': '<f4', 'fortran_order': False, 'shape': (9**9**9, 7), }"))
    yield Bad("a header of other keys", header("{'descr': '<f4', 'x': 1, 'shape': (1, 7), }"))
    yield Bad("a header that calls", header("{'descr': __import__('os').system('touch canary'), 'shape': (1, 7), }"))
    yield Bad("a header of an odd type", header("{'descr': [('a', '<f4', -5)], 'fortran_order': False, 'shape': (1,)}"))
    yield Bad("a header of a type that is none", header("{'descr': 3j, 'fortran_order': False, 'shape': (1,)}"))
    yield Bad("an unknown version", header(giant.format(1), version=(9, 9)))
    with io.BytesIO() as content:
        np.savez(content, a=rows)
        yield Bad("an archive of arrays", put(content.getvalue()))
    yield Bad("an archive of nothing", put(b"PK\x05\x06" + bytes(18)))
    yield Bad("the start of an archive", put(b"PK\x03\x04" + random.bytes(200)))


def _npz(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Callable[[Path], None]:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", method) as made:
            for name, held in members.items():
                made.writestr(name, held)
        return put(content.getvalue())

    def npy(values: Any, **options: Any) -> bytes:
        content = io.BytesIO()
        np.save(content, values, **options)
        return content.getvalue()

    giant = "{'descr': '<f4', 'fortran_order': False, 'shape': (100000, 100000), }"
    bomb = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(giant)) + giant.encode()
    yield Bad("a member that is no array", archive({"mixture.npy": b"text"}))
    yield Bad("a member without a suffix", archive({"mixture": b"text"}))
    yield Bad("objects that run code", archive({"mixture.npy": npy(np.array([_Runs()], object), allow_pickle=True)}))
    yield Bad("a header that tells of 40 GB", archive({"mixture.npy": bomb}))
    yield Bad("a bomb of 300 MB", archive({"mixture.npy": bomb + bytes(300 << 20)}))
    yield Bad("text", archive({"mixture.npy": npy(np.array(["a", "b"]))}))
    yield Bad("NaN", archive({"mixture.npy": npy(np.full((2, 2), np.nan))}))
    yield Bad("a member of lzma, cut off", put(_cut_member(good)))


def _cut_member(good: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("mixture.npy", bytes(range(256)) * 10)
    spoilt = bytearray(content.getvalue())
    spoilt[60:90] = bytes(30)
    return bytes(spoilt)


def _wav(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    def header(
        *, form: int = 1, channels: int = 1, rate: int = 1000, bits: int = 16, size: int | None = None, body: bytes
    ) -> Callable[[Path], None]:
        block = channels * bits // 8
        told = len(body) if size is None else size
        fmt = struct.pack("<HHIIHH", form, channels, rate, (rate * block) & 0xFFFFFFFF, block & 0xFFFF, bits)
        riff = b"WAVEfmt " + struct.pack("<I", len(fmt)) + fmt + b"data" + struct.pack("<I", told) + body
        return put(b"RIFF" + struct.pack("<I", (len(riff) if size is None else size) & 0xFFFFFFFF) + riff)

    def of(values: Any) -> bytes:
        return np.asarray(values, "<f4").tobytes()

    body = (1000 * np.sin(np.arange(2000))).astype("<i2").tobytes()
    for name, value in (("NaN", np.nan), ("infinity", np.inf), ("1e30", 1e30)):
        wave = np.sin(np.arange(2000))
        wave[700] = value
        yield Bad(f"{name} in it", header(form=3, bits=32, body=of(wave)), refused=value != 1e30)
    yield Bad("no samples", header(body=b""))
    for rate in (0, 1, 7, 2**31 - 1, 2**32 - 1):
        yield Bad(f"of {rate} Hz", header(rate=rate, body=body), refused=False)
    for channels in (0, 2, 200, 65535):
        yield Bad(f"of {channels} channels", header(channels=channels, body=body * 4), refused=False)
    for bits in (0, 1, 7, 8, 24, 999):
        yield Bad(f"of {bits} bits", header(bits=bits, body=body), refused=False)
    for size in (2**31 - 1, 2**32 - 1, 0):
        yield Bad(f"a header that tells of {size} bytes", header(size=size, body=body), refused=False)
    yield Bad("an unknown codec", header(form=0x1234, body=body))
    import soundfile

    for form, subtype in (("OGG", "VORBIS"), ("FLAC", "PCM_16"), ("AU", "PCM_16"), ("W64", "DOUBLE")):
        content = io.BytesIO()
        soundfile.write(content, np.sin(np.arange(4000) / 5), 1000, format=form, subtype=subtype)
        whole = content.getvalue()
        yield Bad(f"another format, {form}", put(whole), refused=False)
        yield Bad(f"another format, {form}, cut off", put(whole[: int(0.6 * len(whole))]), refused=False)


# --- Pictures and archives


def _jpg(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    place = good.index(b"\xff\xc0")  # height and width stand behind it
    for height, width in ((65535, 65535), (0, 0), (1, 65500), (16000, 16000)):
        spoilt = bytearray(good)
        spoilt[place + 5 : place + 9] = struct.pack(">HH", height, width)
        yield Bad(f"a header that tells of {width} x {height} pixels", put(bytes(spoilt)), refused=False)
    for form in ("PNG", "GIF", "BMP", "TIFF", "PPM", "WEBP", "ICO", "TGA"):
        content = io.BytesIO()
        Image.new("RGB", (8, 8)).save(content, form)
        yield Bad(f"another format, {form}", put(content.getvalue()), refused=False)
    yield Bad("a program in PostScript", put(_POSTSCRIPT))
    yield Bad("a program in PostScript behind a JPEG's start", put(b"\xff\xd8" + _POSTSCRIPT))
    content = io.BytesIO()
    Image.new("L", (10000, 10000)).save(content, "PNG", compress_level=1)
    yield Bad("a bomb: 100 million pixels in a PNG", put(content.getvalue()))
    content = io.BytesIO()
    Image.new("L", (9000, 9000)).save(content, "JPEG")
    yield Bad("a bomb: 81 million pixels in a JPEG", put(content.getvalue()))
    yield Bad("a JPEG of many scans", put(_scans(good)), refused=False)


_POSTSCRIPT = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 100 100
%%EndComments
(canary) (w) file closefile
showpage
%%EOF
"""


def _scans(good: bytes) -> bytes:
    start = good.index(b"\xff\xda")
    return good[:start] + good[start:-2] * 2000 + b"\xff\xd9"


def _zip(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    first = members["000001.jpg"]

    def made(held: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Callable[[Path], None]:
        return put(_archive(held, method))

    for bad in _jpg(first, random):
        content = _content(bad)
        yield Bad(f"a frame: {bad.fault}", made({**members, "000003.jpg": content}), bad.refused)
    yield Bad("no frames", made({}))
    yield Bad("a frame is missing", made({name: held for name, held in members.items() if name != "000002.jpg"}))
    yield Bad("compressed frames", made(members, zipfile.ZIP_DEFLATED))
    yield Bad("a bomb of 100 MB", made({"000001.jpg": first + bytes(100 << 20)}, zipfile.ZIP_DEFLATED))
    for name in NAMES:
        if "\ud800" not in name and "\0" not in name:
            yield Bad(f"a member {name[:20]!r}", made({**members, name: b"x"}))
    yield Bad("an encrypted member", put(_encrypted(good)))
    yield Bad("a member twice as large as the archive", put(_larger(good)), refused=False)
    yield Bad("a million members", put(_directory(good)), refused=False)


def _content(bad: Bad) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        bad.put(path)
        return path.read_bytes()


def _archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, held in members.items():
            archive.writestr(zipfile.ZipInfo(name), held, compress_type=method)
    return content.getvalue()


def _encrypted(good: bytes) -> bytes:
    spoilt = bytearray(good)
    for start in (b"PK\x03\x04", b"PK\x01\x02"):
        place = spoilt.index(start) + (6 if start == b"PK\x03\x04" else 8)
        spoilt[place] |= 1
    return bytes(spoilt)


def _larger(good: bytes) -> bytes:
    spoilt = bytearray(good)
    place = spoilt.index(b"PK\x01\x02")
    spoilt[place + 20 : place + 28] = struct.pack("<II", 2**31, 2**31)
    return bytes(spoilt)


def _directory(good: bytes) -> bytes:
    """The first entry of the directory, a hundred thousand times."""
    start, end = good.index(b"PK\x01\x02"), good.rindex(b"PK\x05\x06")
    one = good[start : good.index(b"PK\x01\x02", start + 4)]
    told = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 65535, 65535, 100_000 * len(one), start, 0)
    return good[:start] + one * 100_000 + told + bytes(0 * end)


def _unpacked(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    for name in NAMES:
        if "\ud800" not in name:
            yield Bad(f"a member {name[:20]!r}", put(_archive({name: b"x", "b": b"y"})), refused=False)
    yield Bad("a member twice", put(_archive({"a": b"x", "A/../a": b"y"})))
    yield Bad("a bomb of 100 MB", put(_archive({"a": bytes(100 << 20)}, zipfile.ZIP_DEFLATED)))
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(info, "/etc")
        archive.writestr("link/passwd", "x")
    yield Bad("a link, and a file in it", put(content.getvalue()))
    yield Bad("an encrypted member", put(_encrypted(good)))
    yield Bad("a file and a folder of one name", put(_archive({"a": b"x", "a/b": b"y"})))


def _tar(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    import gzip

    def tar(*members: tarfile.TarInfo, body: bytes = b"x", packed: bool = True) -> bytes:
        content = io.BytesIO()
        with (
            tarfile.open(fileobj=content, mode="w:gz" if packed else "w", compresslevel=1)
            if packed
            else tarfile.open(fileobj=content, mode="w") as archive
        ):
            for member in members:
                member.size = len(body) if member.isreg() else 0
                archive.addfile(member, io.BytesIO(body))
        return content.getvalue()

    for name in NAMES:
        if name and "\0" not in name and "\ud800" not in name:
            yield Bad(f"a member {name[:20]!r}", put(tar(tarfile.TarInfo(name))), refused=False)
    for kind, word in ((tarfile.SYMTYPE, "symbolic link"), (tarfile.LNKTYPE, "link"), (tarfile.CHRTYPE, "device")):
        member = tarfile.TarInfo("in/a")
        member.type, member.linkname = kind, "/etc/passwd"
        yield Bad(f"a {word}", put(tar(member)))
    giant = bytearray(tar(tarfile.TarInfo("a"), packed=False))
    giant[124:136] = b"\x80" + (1 << 60).to_bytes(11, "big")
    yield Bad("a member of a million terabytes", put(bytes(giant)))
    for kind, word in ((b"x", "extended header"), (b"L", "long name"), (b"g", "global header")):
        head = tarfile.TarInfo("a")
        head.type, head.size = kind, 2 << 30
        block = head.tobuf(tarfile.GNU_FORMAT)
        content = io.BytesIO()
        with gzip.open(content, "wb", compresslevel=1) as file:
            file.write(block)
            file.write(bytes(100 << 20))
        yield Bad(f"a bomb: an {word} of 2 GB", put(content.getvalue()))
    content = io.BytesIO()
    with gzip.open(content, "wb", compresslevel=1) as file:
        file.write(bytes(100 << 20))
    yield Bad("a bomb of zeros", put(content.getvalue()))


# --- Text


def _values(good: Any) -> Iterator[tuple[str, Any]]:
    """Each value in nested ones, in turn replaced by another of each type; and their keys by bad names."""
    replaced: list[tuple[str, Any]] = [
        ("null", None),
        ("a number", 1e300),
        ("NaN", float("nan")),
        ("infinity", float("inf")),
        ("-1", -1),
        ("a huge number", 10**400),
        ("text", "text"),
        ("true", True),
        ("an empty list", []),
        ("an empty object", {}),
        ("a list", ["a", 1]),
        ("an object", {"a": {"b": 1}}),
        ("half of a pair of code units", "\ud800"),
        ("a path out", "../../../etc/passwd"),
    ]
    places = list(_places(good))
    for number, (word, value) in enumerate(replaced):
        for place in places[:: max(1, len(places) // 6)] or [()]:
            yield f"{word} at {'.'.join(map(str, place))[:40] or 'its top'}", _with(good, place, value)
        yield f"{word} at its top", value
        del number


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in held:
        yield from _places(inner, (*at, key))


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = _with(copied[place[0]], place[1:], new)
    return copied


def _json(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    values = json.loads(good)
    for word, spoilt in _values(values):
        yield Bad(word, put(json.dumps(spoilt).encode()), refused=False)
    if isinstance(values, dict):
        for name in NAMES:
            key = next(iter(values))
            renamed = {(name if k == key else k): v for k, v in values.items()}
            yield Bad(f"a key {name[:20]!r}", put(json.dumps(renamed).encode()), refused=False)
            inner = values[key]
            if isinstance(inner, dict) and inner:
                other = {name: next(iter(inner.values())), **inner}
                yield Bad(
                    f"an inner key {name[:20]!r}", put(json.dumps({**values, key: other}).encode()), refused=False
                )
    yield Bad("a key twice", put(good.rstrip()[:-1] + b"," + good.strip()[1:]), refused=False)
    yield Bad("nested ten thousand deep", put(b'{"a":' * 10_000 + b"1" + b"}" * 10_000))
    yield Bad("UTF-16", put(good.decode().encode("utf-16")), refused=False)
    yield Bad("with a mark of its byte order", put(b"\xef\xbb\xbf" + good), refused=False)
    yield Bad("Latin-1", put(good.replace(b"a", b"\xe4", 1)), refused=False)
    yield Bad("a number of a million digits", put(b'{"gates": ' + b"9" * 1_000_000 + b"}"))
    yield Bad("text of 5 MB", put(b'{"a": "' + b"x" * 5_000_000 + b'"}'), refused=False)


def _yaml(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
    )
    yield Bad("a bomb of aliases", put(good + b"\n" + bomb.encode()))
    yield Bad("a bomb of aliases alone", put(bomb.encode()), refused=False)
    yield Bad("an alias of what holds it", put(good + b"\nown: &own [*own]\n"))
    for word, value in (
        ("an object of Python's", "!!python/object/apply:os.system ['touch canary']"),
        ("a date", "2024-01-01"),
        ("no date", "2024-99-99"),
        ("bytes", "!!binary aGVsbG8="),
        ("a set", "!!set {a, b}"),
        ("NaN", ".nan"),
        ("infinity", ".inf"),
        ("a huge number", "9" * 5000),
        ("nothing", ""),
        ("a list", "[1, 2]"),
        ("a mapping of mappings as a key", "{? {a: 1} : 2}"),
        ("a list as a key", "{? [1, 2] : 3}"),
        ("an unknown tag", "!own 3"),
        ("text with control characters", '"a\\e[2Jb\\n"'),
        ("half of a pair", '"\\ud800"'),
    ):
        for key in ("seed", "stages"):
            lines = [line for line in good.decode().splitlines() if not line.startswith(f"{key}:")]
            yield Bad(
                f"{word} as {key}",
                put("\n".join([*lines, f"{key}: {value}"]).encode("utf-8", "surrogatepass")),
                refused=False,
            )
    for leaf in ("lr", "threshold", "momentum"):
        import re

        spoilt = re.sub(rf"(\b{leaf}: )[^\n]+", r"\1.nan", good.decode(), count=1)
        yield Bad(f"NaN as {leaf}", put(spoilt.encode()), refused=spoilt.encode() != good)
    yield Bad("Latin-1", put(b"# \xe4\n" + good))
    yield Bad("a tab", put(b"\tseed: 1\n" + good))
    yield Bad("nested ten thousand deep", put(b"a: " + b"[" * 10_000))
    yield Bad("a NUL", put(good + b"\0"))


def _csv(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    lines = good.decode().splitlines()
    whole = "\n".join(lines) + "\n"

    def text(value: str) -> Callable[[Path], None]:
        return put(value.encode("utf-8", "surrogatepass"))

    yield Bad("without its first line", text("\n".join(lines[1:]) + "\n"), refused=False)
    yield Bad("its first line alone", text(lines[0] + "\n"), refused=False)
    yield Bad("a field of a megabyte", text(whole + '"' + "x" * 1_000_000 + '"\n'), refused=False)
    yield Bad("a line of a hundred thousand fields", text(whole + "a," * 100_000 + "\n"), refused=False)
    yield Bad("a quote without its end", text(whole + '"a,b\n'), refused=False)
    yield Bad("a NUL", text(whole + "a,\0,b\n"), refused=False)
    yield Bad("line ends of a Mac", text(whole.replace("\n", "\r")), refused=False)
    yield Bad("UTF-16", put(whole.encode("utf-16")), refused=False)
    yield Bad("Latin-1", put(b"\xe4" + good), refused=False)
    yield Bad("half of a pair", text(whole + "\ud800,a,b\n"), refused=False)
    yield Bad("semicolons", text(whole.replace(",", ";")), refused=False)
    last = lines[-1].split(",")
    for place in range(min(len(last), 8)):
        for word, value in (
            ("a number of ten thousand digits", "9" * 10_000),
            ("another script's digits", "٣"),
            ("superscript two", "²"),
            ("NaN", "nan"),
            ("infinity", "inf"),
            ("nothing", ""),
            ("a formula", "=cmd|' /C calc'!A0"),
        ):
            row = ",".join([*last[:place], value, *last[place + 1 :]])
            yield Bad(f"{word} as field {place + 1}", text("\n".join([*lines[:-1], row]) + "\n"), refused=False)
    for name in NAMES:
        if "\0" not in name and name:
            row = ",".join(
                ['"' + field.replace(field.split("/")[-1].split(".")[0] or " ", name) + '"' for field in last]
            )
            yield Bad(f"a row of {name[:20]!r}", text(whole + row + "\n"), refused=False)


def _sqlite(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    def made(*statements: str) -> Callable[[Path], None]:
        with tempfile.TemporaryDirectory() as folder:
            connection = sqlite3.connect(Path(folder) / "db", isolation_level=None)
            for statement in statements:
                connection.execute(statement)
            connection.close()
            return put((Path(folder) / "db").read_bytes())

    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)"
    yield Bad(
        "a view without end",
        made(f"CREATE VIEW sha256 AS {endless} SELECT x AS path, x AS state, x AS hash FROM c"),
        refused=False,
    )
    yield Bad("a table of other columns", made("CREATE TABLE sha256 (a, b)"), refused=False)
    yield Bad(
        "a trigger without end",
        made(
            "CREATE TABLE sha256 (path BLOB PRIMARY KEY, state TEXT, hash TEXT)",
            "CREATE TABLE other (x)",
            "CREATE TRIGGER t AFTER INSERT ON sha256 BEGIN INSERT INTO other SELECT a.x FROM"
            f" ({endless} SELECT x FROM c) a; END",
        ),
        refused=False,
    )


# --- Weights


def _safetensors(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    (length,) = struct.unpack("<Q", good[:8])
    header, body = json.loads(good[8 : 8 + length]), good[8 + length :]

    def made(head: Any, rest: bytes = body) -> Callable[[Path], None]:
        text = head if isinstance(head, bytes) else json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        return put(struct.pack("<Q", len(text)) + text + rest)

    tensors = [name for name in header if name != "__metadata__"]
    for told in (0, 1, 2**31, 2**63 - 1, 2**64 - 1):
        yield Bad(f"a header of {told} bytes", put(struct.pack("<Q", told) + good[8:]))
    yield Bad("no description", made({k: v for k, v in header.items() if k != "__metadata__"}), refused=False)
    if tensors:
        name = next(one for one in tensors if header[one]["dtype"] == "F32")
        start, end = header[name]["data_offsets"]
        for word, value in (("NaN", np.nan), ("infinity", np.inf)):
            spoilt = bytearray(body)
            spoilt[start : start + 4] = np.float32(value).tobytes()
            yield Bad(f"{word} in {name}", made(header, bytes(spoilt)))
        yield Bad(f"{name} is missing", made({k: v for k, v in header.items() if k != name}))
        for word, changed in (
            ("another name", {"other": header[name]}),
            ("integers", {name: {**header[name], "dtype": "I32"}}),
            ("an unknown type", {name: {**header[name], "dtype": "F99"}}),
            ("a type of 8 bits", {name: {**header[name], "dtype": "F8_E8M0", "shape": [end - start]}}),
            ("a flat shape", {name: {**header[name], "shape": [(end - start) // 4]}}),
            ("a huge shape", {name: {**header[name], "shape": [2**62, 4]}}),
            ("a negative shape", {name: {**header[name], "shape": [-1]}}),
            ("bytes of others", {name: {**header[name], "data_offsets": [0, len(body)]}}),
            ("bytes behind its end", {name: {**header[name], "data_offsets": [2**50, 2**50 + end - start]}}),
        ):
            kept = {k: v for k, v in header.items() if word != "another name" or k != name}
            same = changed.get(name) == header[name]
            yield Bad(f"{name} has {word}", made({**kept, **changed}), refused=not same)
    told = header.get("__metadata__", {})
    for key, value in told.items():
        for word, spoilt_text in (
            ("nothing", ""),
            ("a list", "[]"),
            ("a number of a million digits", "9" * 1_000_000),
            ("nested ten thousand deep", "[" * 10_000),
            ("half of a pair", '{"format": "\\ud800"}'),
        ):
            ours = key != "format"  # which transformers writes, and may take as it likes
            yield Bad(f"it says of itself {word}", made({**header, "__metadata__": {key: spoilt_text}}), refused=ours)
        try:
            said = json.loads(value)
        except ValueError:
            continue
        for word, spoilt_value in list(_values(said))[::4]:
            changed_text = json.dumps(spoilt_value)
            yield Bad(f"it says of itself {word}", made({**header, "__metadata__": {key: changed_text}}), refused=False)
    yield Bad("metadata that is no text", made({**header, "__metadata__": {"avsep": 1}}))
    yield Bad("a header of nested brackets", made(b"[" * 100_000))


def _pth(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    import torch

    def saved(value: Any) -> Callable[[Path], None]:
        content = io.BytesIO()
        torch.save(value, content)
        return put(content.getvalue())

    yield Bad("code in torch's format", saved({"a.weight": _Runs()}))
    yield Bad("a network", saved(torch.nn.Linear(2, 3)))
    yield Bad("a list", saved([torch.zeros(2)]))
    yield Bad("numbers", saved({"a.weight": 1.5}))
    yield Bad("nested", saved({"state_dict": {"a.weight": torch.zeros(2)}}))
    yield Bad("names that are none", saved({3: torch.zeros(2)}))
    yield Bad("NaN", saved({"a.weight": torch.full((3, 2), float("nan"))}))
    yield Bad("a sparse tensor", saved({"a.weight": torch.eye(3).to_sparse()}), refused=False)
    module = torch.jit.script(torch.nn.Linear(2, 3))
    with tempfile.TemporaryDirectory() as folder:
        module.save(str(Path(folder) / "m.pt"))
        yield Bad("a program in TorchScript", put((Path(folder) / "m.pt").read_bytes()))
    for protocol in (0, 2, 4):
        yield Bad(f"a pickle that runs code, protocol {protocol}", put(pickle.dumps(_Runs(), protocol)))
    if good[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(good)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        pickled = next(name for name in members if name.endswith("data.pkl"))
        yield Bad("its pickle runs code", put(_archive({**members, pickled: _pickle()})))
        bomb = members[pickled] + bytes(100 << 20)
        yield Bad("a bomb of 100 MB", put(_archive({**members, pickled: bomb}, zipfile.ZIP_DEFLATED)), refused=False)
        for number in range(12):
            spoilt = bytearray(members[pickled])
            for place in random.integers(0, len(spoilt), 2):
                spoilt[place] = int(random.integers(0, 256))
            yield Bad(f"its pickle is spoilt ({number})", put(_archive({**members, pickled: bytes(spoilt)})), False)


# --- Video


def _video(good: bytes, random: np.random.Generator) -> Iterator[Bad]:
    for number in range(4):
        spoilt = bytearray(good)
        for place in random.integers(0, len(good), 1 + len(good) // 400):
            spoilt[place] ^= 1 << int(random.integers(0, 8))
        yield Bad(f"noisy ({number})", put(bytes(spoilt)), refused=False)
    for _ in range(4):
        start = int(random.integers(0, len(good) // 2))
        yield Bad(f"without its first {start} bytes", put(good[start:]), refused=False)
    for word, content in (
        ("a playlist", b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"),
        ("a list of files", b"ffconcat version 1.0\nfile /etc/passwd\n"),
        ("a session's description", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"),
        ("a picture", b"P6\n8 8\n255\n" + bytes(192)),
        ("subtitles", b"1\n00:00:00,000 --> 00:00:09,000\ntext\n"),
        ("a program of the shell", b"#!/bin/sh\ntouch canary\n"),
    ):
        yield Bad(word, put(content))
    for box in (b"stts", b"stsz", b"mvhd", b"tkhd", b"stsd", b"elst"):
        if box in good:
            spoilt = bytearray(good)
            place = good.index(box) + 12
            spoilt[place : place + 8] = b"\x7f\xff\xff\xff\x7f\xff\xff\xff"
            yield Bad(f"huge numbers in {box.decode()}", put(bytes(spoilt)), refused=False)


_OF: dict[str, Callable[[bytes, np.random.Generator], Iterator[Bad]]] = {
    "npy": _npy,
    "npz": _npz,
    "wav": _wav,
    "jpg": _jpg,
    "zip": _zip,
    "archive": _unpacked,
    "tar": _tar,
    "json": _json,
    "yaml": _yaml,
    "csv": _csv,
    "sqlite": _sqlite,
    "safetensors": _safetensors,
    "pth": _pth,
    "video": _video,
}
