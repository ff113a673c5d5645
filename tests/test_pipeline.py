"""dvc.yaml, params and imports say the same: what a stage uses is what DVC watches for it."""

import ast
import dataclasses
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo
from dvc.utils.hydra import compose_and_dump

from avsep.params import stages as stage_params
from avsep.params.contradictions import devices
from avsep.params.loading import load, read
from avsep.params.sections import Params

ROOT = Path(__file__).parents[1]
PACKAGES = ("avsep", "models", "stages")
IMPORTED = ("avsep", "stages")  # models by the name of a link to it, avsep.models
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))
VALUES = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
STAGES: dict[str, dict[str, Any]] = {name: entry.get("do", entry) for name, entry in PIPELINE["stages"].items()}
for _stage in STAGES.values():  # a dep that the params name, as it is with the committed ones
    _stage["deps"] = [dep.replace("${survey.watched}", VALUES["survey"]["watched"]) for dep in _stage["deps"]]
PROFILES = sorted(path.stem for path in (ROOT / "conf/profile").glob("*.yaml"))
# What `-S profile=music` asks its user for, and so `-S profile=solos`.
MUSIC = [
    "videos.source=folder",
    "videos.path=/videos",
    "pretrained.detector_path=/detector.pth",
    f"pretrained.detector_sha256={'0' * 64}",
    "pretrained.detector_classes=[accordion,cello,flute,tuba]",
]

# It refuses params or hands them on as they are, and DVC watches them: an edit of it changes no output of a run that
# passes, nor does one of what it alone imports.
UNWATCHED = "avsep/params"
SETUP = ("avsep/setup.py", "avsep/separate.py")  # read params for stages: what systems and separators are made with
# What knows params beside the stages, and what of it.
DOORS = {
    "avsep/run.py": {f"{UNWATCHED}/loading.py"},
    "avsep/setup.py": {f"{UNWATCHED}/stages.py"},
    "avsep/separate.py": {f"{UNWATCHED}/loading.py", f"{UNWATCHED}/stages.py"},
    "avsep/export_mixtures.py": {f"{UNWATCHED}/loading.py", f"{UNWATCHED}/stages.py"},
}

# It loads a system by the file that the catalogue names, and so stands for an import of them all.
LOADER = "avsep/systems/load.py"

each_stage = pytest.mark.parametrize("stage", STAGES)
each_source = pytest.mark.parametrize("source", [path.relative_to(ROOT).as_posix() for path in SOURCES])


# --- Imports


@functools.cache
def tree_of(source: str) -> ast.Module:
    return ast.parse((ROOT / source).read_text(encoding="utf-8"), filename=source)


@functools.cache
def imported_names(source: str) -> frozenset[str]:
    """Dotted names of all that a file imports, wherever in it; `from a import b` gives a and a.b."""
    names: set[str] = set()
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}: a relative import"
            module = node.module or ""
            names.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    return frozenset(names)


def file_of(name: str) -> str | None:
    """The file of this repository that a dotted name stands for, if any."""
    if name.split(".")[0] not in IMPORTED:
        return None
    path = re.sub("^avsep/models(?=/|$)", "models", name.replace(".", "/"))  # a link
    for candidate in (f"{path}.py", f"{path}/__init__.py"):
        if (ROOT / candidate).is_file():
            return candidate
    return None


@functools.cache
def imports(source: str) -> frozenset[str]:
    """Files of this repository that a file imports; not the packages' `__init__.py`, which hold nothing."""
    files = {file for name in imported_names(source) if (file := file_of(name))}
    if source == LOADER:
        files.update(path.relative_to(ROOT).as_posix() for path in (ROOT / LOADER).parent.glob("*.py"))
    return frozenset(file for file in files if not file.endswith("__init__.py"))


@functools.cache
def reach(source: str) -> frozenset[str]:
    """A file, and all that it imports, transitively; not UNWATCHED, and what that imports."""
    seen: set[str] = set()
    todo = [source]
    while todo:
        file = todo.pop()
        if file not in seen and not covers(UNWATCHED, file):
            seen.add(file)
            todo.extend(imports(file))
    return frozenset(seen)


def test_the_import_walk_sees_what_it_should() -> None:
    assert {f"{UNWATCHED}/loading.py", "avsep/errors.py"} <= imports("avsep/run.py")
    assert f"{UNWATCHED}/contradictions/evaluation.py" in imports(f"{UNWATCHED}/loading.py")
    files = {
        f"avsep/files/{name}.py" for name in ("hashes", "ledgers", "metrics", "pipeline", "reading", "whole", "working")
    }
    assert reach("avsep/run.py") == {"avsep/run.py", "avsep/errors.py", "avsep/progress.py", *files}
    assert "avsep/weights/phrases.py" in imports(f"{UNWATCHED}/contradictions/phrases.py")
    assert "avsep/systems/catalogue.py" in imports(f"{UNWATCHED}/contradictions/evaluation.py")
    assert "torch" in imported_names(f"{UNWATCHED}/contradictions/devices.py"), "an import within a function counts"
    assert "models/convolutions.py" in imports("models/unet.py"), "by its place, not by the link that is imported"


def test_networks_are_imported_by_one_name() -> None:
    """Under a second one they would be other classes; and `models` alone is none of ours where avsep is installed."""
    assert (ROOT / "avsep/models").is_symlink() and (ROOT / "avsep/models").readlink() == Path("../models")
    assert not any(source.is_relative_to(ROOT / "avsep/models") for source in SOURCES)
    everything = [
        path for folder in (*PACKAGES, "benchmarks", "docs", "tests") for path in (ROOT / folder).rglob("*.py")
    ]
    for source in (path.relative_to(ROOT).as_posix() for path in everything):
        assert not any(name.split(".")[0] == "models" for name in imported_names(source)), source
    for stage in STAGES:
        assert not any(covers(dep, "avsep/models/unet.py") for dep in code_deps(stage)), f"{stage} watches the link"


@each_stage
def test_deps_cover_every_import(stage: str) -> None:
    deps = code_deps(stage)
    uncovered = [file for file in reach(f"stages/{stage}.py") if not any(covers(dep, file) for dep in deps)]
    assert not uncovered, f"dvc.yaml: {stage} imports these and does not list them in deps: {sorted(uncovered)}"


def test_params_are_handed_on_as_they_are() -> None:
    """Why UNWATCHED is none of the deps: no class of it computes, and `load` gives the values of the file."""
    sources = [path.relative_to(ROOT).as_posix() for path in SOURCES]
    for node in (node for source in sources if covers(UNWATCHED, source) for node in ast.walk(tree_of(source))):
        if isinstance(node, ast.ClassDef):
            assert all(
                (isinstance(part, ast.AnnAssign) and part.value is None)
                or isinstance(part, ast.Pass)
                or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
                for part in node.body
            ), f"{node.name} has a default, a property or a method"
    for stage in STAGES:
        given = load(params_of(stage), ROOT / "params.yaml")
        for name, section in dataclasses.asdict(given).items():
            assert json.loads(json.dumps(section)) == VALUES[name]
    for source in (source for source in sources if source.startswith("stages/") or source in SETUP):
        taken = {name for name in imported_names(source) if name.startswith("avsep.params")}
        taken -= {
            "avsep.params.stages",
            *([f"avsep.params.loading{name}" for name in ("", ".load", ".load_part")] if source in SETUP else []),
        }
        assert all(re.fullmatch(r"avsep\.params\.stages\.\w+Params", name) for name in taken), (
            f"{source} takes more than a stage is given"
        )


@each_stage
def test_deps_name_code_that_the_stage_imports(stage: str) -> None:
    files = reach(f"stages/{stage}.py")
    for dep in code_deps(stage):
        assert (ROOT / dep).exists(), f"dvc.yaml: {stage} lists {dep}, which is not there"
        assert any(covers(dep, file) for file in files), f"dvc.yaml: {stage} lists {dep} and imports nothing of it"


@each_stage
def test_other_deps_are_what_an_earlier_stage_makes(stage: str) -> None:
    made: list[str] = []
    for name, entry in STAGES.items():
        if name == stage:
            break
        made += [path for kind in ("outs", "metrics", "plots") for path in outputs(entry, kind)]
    for dep in STAGES[stage].get("deps", []):
        if dep not in code_deps(stage):
            assert any(covers(out, dep) for out in made), f"dvc.yaml: no stage above {stage} makes {dep}"


def code_deps(stage: str) -> list[str]:
    return [dep for dep in STAGES[stage].get("deps", []) if dep.split("/")[0] in PACKAGES]


def covers(folder_or_file: str, path: str) -> bool:
    return path == folder_or_file or path.startswith(folder_or_file.rstrip("/") + "/")


def outputs(entry: dict[str, Any], kind: str) -> list[str]:
    """Paths under `outs`, `metrics` or `plots`, whether plain or with options."""
    return [path for item in entry.get(kind, []) for path in ([item] if isinstance(item, str) else item)]


# --- Imports run one way: stages -> report, scoring, separating, training -> systems -> weights, clips -> media ->
# files; models on its own

ROOMS = {  # each with what it may import beside itself and EVERYWHERE
    "avsep/files": (),
    "avsep/media": ("avsep/files",),
    "avsep/clips": ("avsep/media", "avsep/files"),
    "avsep/weights": ("avsep/media", "avsep/files", "models"),
    "avsep/systems": ("avsep/weights", "avsep/clips", "avsep/media", "avsep/files", "models"),
    "avsep/separating": ("avsep/systems", "avsep/weights", "avsep/clips", "avsep/media", "avsep/files", "models"),
    "avsep/scoring": ("avsep/systems", "avsep/weights", "avsep/clips", "avsep/media", "avsep/files", "models"),
    "avsep/training": ("avsep/scoring", "avsep/weights", "avsep/clips", "avsep/media", "avsep/files", "models"),
    "avsep/pretraining": (
        *(
            "avsep/files",
            "avsep/demo",
            "avsep/scoring/detection.py",
            "avsep/training/seeds.py",
            "avsep/weights",
            "avsep/media",
        ),
        "models",
    ),
    "avsep/scenes": (
        *("avsep/demo", "avsep/separating", "avsep/systems", "avsep/scoring", "avsep/weights", "avsep/clips"),
        *("avsep/media", "avsep/files", "avsep/parallel.py", "models"),
    ),
    "avsep/demo": ("avsep/media", "avsep/files", "avsep/parallel.py"),
    "avsep/sources": ("avsep/media", "avsep/files"),
    "avsep/packaging": ("avsep/systems/catalogue.py", "avsep/weights", "avsep/files"),
    "avsep/report": ("avsep/systems/catalogue.py", "avsep/files"),
    "avsep/params": ("avsep/files/reading.py", "avsep/systems/catalogue.py", "avsep/weights/phrases.py"),
    "avsep/parallel.py": ("avsep/cluster.py",),
    "avsep/cluster.py": (),
    "avsep/progress.py": (),
    "models": (),
}
EVERYWHERE = ("avsep/errors.py", "avsep/progress.py")


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way(room: str) -> None:
    sources = [path.relative_to(ROOT).as_posix() for path in SOURCES]
    allowed = (room, *ROOMS[room], *(EVERYWHERE if room != "models" else ()))
    for source in (source for source in sources if covers(room, source)):
        for file in imports(source):
            assert any(covers(below, file) for below in allowed), f"{source} imports {file}"


@each_source
def test_only_stages_know_params_and_nobody_imports_stages(source: str) -> None:
    if not source.startswith("stages/"):
        assert not [file for file in imports(source) if file.startswith("stages/")]
        known = {file for file in imports(source) if covers(UNWATCHED, file)}
        assert known <= DOORS.get(source, set()) or covers(UNWATCHED, source)


def test_nothing_that_trains_imports_the_report() -> None:
    for stage in STAGES:
        if stage != "report":
            assert not [file for file in reach(f"stages/{stage}.py") if covers("avsep/report", file)], stage


@each_source
def test_only_tests_know_mir_eval(source: str) -> None:
    assert not [name for name in imported_names(source) if name.split(".")[0] == "mir_eval"]


@each_source
def test_one_module_knows_ffmpeg_python(source: str) -> None:
    known = [name for name in imported_names(source) if name.split(".")[0] == "ffmpeg"]
    assert bool(known) == (source == "avsep/media/ffmpeg.py")


# A file or a folder takes its place in avsep/files/whole.py; who else moves one, and why.
MOVES = {
    "avsep/fetch.py": "what has come, whole, or out of an archive, goes beside what is there",
    "avsep/media/ffmpeg.py": "frames and sound of one video, both or neither; numbers frames anew",
    "avsep/sources/download.py": "a video that has arrived, whole, goes where it belongs",
    "avsep/training/resume.py": "the state of an epoch takes a number of its own beside the one before",
}


def moves(source: str) -> bool:
    """Whether a file calls os.replace, os.rename, shutil.move, Path.replace or Path.rename.

    A text's `replace` takes two arguments, a dataclass's takes named ones, a table's a dict.
    """
    calls = [node for node in ast.walk(tree_of(source)) if isinstance(node, ast.Call)]
    chains_of = {".".join(attribute_chain(call.func)) for call in calls}
    if chains_of & {"os.replace", "os.rename", "os.renames", "shutil.move"}:
        return True
    if imported_names(source) & {"os.replace", "os.rename", "os.renames", "shutil.move"}:
        return True
    paths = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr in ("replace", "rename")]
    return any(len(call.args) == 1 and not isinstance(call.args[0], ast.Dict) and not call.keywords for call in paths)


def test_one_module_puts_what_is_whole_in_its_place() -> None:
    assert moves("avsep/files/whole.py")
    sources = {path.relative_to(ROOT).as_posix() for path in SOURCES}
    assert {source for source in sources if moves(source)} == {"avsep/files/whole.py", *MOVES}


@each_source
def test_no_import_hides_from_the_walk(source: str) -> None:
    hidden = {"importlib", "importlib.import_module", "runpy"} if source != LOADER else {"runpy"}
    assert not imported_names(source) & hidden
    calls = [node for node in ast.walk(tree_of(source)) if isinstance(node, ast.Name) and node.id == "__import__"]
    assert not calls


@each_source
def test_init_files_hold_a_docstring_only(source: str) -> None:
    if source == "avsep/__init__.py":  # the front door, handed on when it is asked for: nothing is imported with it
        at_once = [node for node in tree_of(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert [node.module for node in at_once if isinstance(node, ast.ImportFrom)] == ["typing"] and len(at_once) == 1
    elif source == "stages/__init__.py":  # a word, and how Ctrl-C ends it, before the libraries load: without them
        modules = {name.partition(".")[0] for name in imported_names(source)}
        assert modules == {"sys", "types", "avsep"} and "avsep.progress.first_process" in imported_names(source)
        assert imports("avsep/progress.py") == frozenset()
    elif source.endswith("__init__.py"):
        body = tree_of(source).body
        assert len(body) == 1 and ast.get_docstring(tree_of(source))


# --- Params


def fields_of(section: Any) -> list[str]:
    """A section's leaves; an empty list for a leaf such as `seed`."""
    return [f.name for f in dataclasses.fields(section)] if dataclasses.is_dataclass(section) else []


def params_of(stage: str) -> Any:
    """avsep.params.stages.<Stage>Params; stage `evaluate_scenes` has `EvaluateScenesParams`."""
    return getattr(stage_params, f"{''.join(word.capitalize() for word in stage.split('_'))}Params")


def stage_sections(stage: str) -> dict[str, Any]:
    """What a stage's params hold: name -> type."""
    return {f.name: f.type for f in dataclasses.fields(params_of(stage))}


def leaves(sections: dict[str, Any]) -> set[str]:
    return {
        leaf for name, section in sections.items() for leaf in ([f"{name}.{f}" for f in fields_of(section)] or [name])
    }


def attribute_chain(node: ast.AST) -> list[str]:
    """`params.train.lr` -> ["params", "train", "lr"]; [] for anything but names and dots."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [node.id, *reversed(parts)] if isinstance(node, ast.Name) else []


def sections_by_name(function: ast.AST) -> dict[str, str]:
    """Local names of sections: `p, rate = params.train, params.extract.rate` -> {"p": "train"}."""
    names = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            assigned = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                assigned = list(zip(target.elts, value.elts, strict=True))
            for name, source in assigned:
                chain = attribute_chain(source)
                if isinstance(name, ast.Name) and chain[:1] == ["params"] and len(chain) == 2:
                    names[name.id] = chain[1]
    return names


def chains(node: ast.AST) -> Iterator[list[str]]:
    """Each longest chain of attributes in a tree."""
    if chain := attribute_chain(node):
        yield chain
    else:
        for child in ast.iter_child_nodes(node):
            yield from chains(child)


def reads(source: str) -> Iterator[list[str]]:
    """What a file reads of `params`: ["train", "lr"], ["seed"], and ["train"] where a section is handed on whole."""
    for function in (node for node in ast.walk(tree_of(source)) if isinstance(node, ast.FunctionDef)):
        names = sections_by_name(function)
        for chain in chains(function):
            if chain[0] == "params":
                yield chain[1:]
            elif chain[0] in names:
                yield [names[chain[0]], *chain[1:]]


def whole_sections(source: str) -> Iterator[str]:
    """Sections that a file reads leaf for leaf at once: `asdict(params.<section>)`."""
    for node in ast.walk(tree_of(source)):
        if isinstance(node, ast.Call) and (attribute_chain(node.func) or [""])[-1] == "asdict":
            for argument in node.args:
                if (chain := attribute_chain(argument))[:1] == ["params"] and len(chain) == 2:
                    yield chain[1]


@functools.cache
def read_leaves(stage: str) -> frozenset[str]:
    """Leaves that a stage reads, in its script, in what that imports from stages/, or in SETUP."""
    sections = stage_sections(stage)
    read: set[str] = set()
    for source in (file for file in reach(f"stages/{stage}.py") if file.startswith("stages/") or file in SETUP):
        for section, *rest in filter(None, reads(source)):
            assert section in sections, f"{source} reads params.{section}, which {stage} does not declare"
            own = fields_of(sections[section])
            if not own:
                read.add(section)
            elif rest:
                assert rest[0] in own, f"{source} reads params.{section}.{rest[0]}, which does not exist"
                read.add(f"{section}.{rest[0]}")
        for section in whole_sections(source):
            read.update(f"{section}.{leaf}" for leaf in fields_of(sections[section]))
    # `threads` is read where the command sets OMP_NUM_THREADS; stage survey's section by dvc.yaml itself, and by conf/
    read.update(re.findall(r"\$\{([\w.]+)\}", STAGES[stage]["cmd"]))
    if stage == "survey":
        read.update(re.findall(r"\$\{(survey\.\w+)", json.dumps(PIPELINE)))
        conf = (ROOT / "conf/config.yaml").read_text(encoding="utf-8")
        read.update(f"survey.{name}" for name in ("demo", "brought") if re.search(rf"^  {name}: ", conf, re.MULTILINE))
    return frozenset(read)


@each_stage
def test_params_declared_are_the_params_that_the_stage_is_given(stage: str) -> None:
    declared = STAGES[stage]["params"]
    assert len(declared) == len(set(declared))
    assert {name.split(".")[0] for name in declared} == set(stage_sections(stage))


@each_stage
def test_a_section_is_declared_by_its_leaves_or_whole(stage: str) -> None:
    """By its leaves where a stage needs few of many: they are all that it reads of the section."""
    declared = STAGES[stage]["params"]
    for name in {name.split(".")[0] for name in declared if "." in name}:
        assert name not in declared
        own = {leaf for leaf in declared if leaf.startswith(f"{name}.")}
        read = leaves({name: stage_sections(stage)[name]}) & read_leaves(stage)
        assert own == read, f"dvc.yaml: {stage} declares {sorted(own)} and reads {sorted(read)}"


@each_stage
def test_params_declared_are_read(stage: str) -> None:
    for name, section in stage_sections(stage).items():
        own_leaves = leaves({name: section})
        read = own_leaves & read_leaves(stage)
        assert read, f"stages/{stage}.py reads nothing of params.{name}, and declares it"
        if name == stage:
            assert read == own_leaves, f"stages/{stage}.py does not read {sorted(own_leaves - read)}"


@each_stage
def test_threads_are_set_before_torch_starts(stage: str) -> None:
    command = STAGES[stage]["cmd"]
    prefix = "OMP_NUM_THREADS=${threads} " if "threads" in stage_sections(stage) else ""
    # what starts the processes of a training on several nodes, which is no param: docs/training.md
    launch = "$AVSEP_LAUNCH " if issubclass(params_of(stage), stage_params.TrainingParams) else ""
    assert command == f"{prefix}{launch}python -m stages.{stage}"


def test_every_leaf_of_params_is_read_by_some_stage() -> None:
    all_leaves = {
        leaf
        for name, value in VALUES.items()
        for leaf in ([f"{name}.{key}" for key in value] if isinstance(value, dict) else [name])
    }
    unread = all_leaves - {leaf for stage in STAGES for leaf in read_leaves(stage)}
    assert not unread, f"no stage reads {sorted(unread)}"


# --- conf/


def compose(path: Path, *overrides: str) -> Path:
    """What `dvc exp run -S ...` writes to params.yaml, written to `path`."""
    compose_and_dump(path, str(ROOT / "conf"), None, "config", "", list(overrides))
    return path


def test_params_yaml_is_the_composition_of_conf(tmp_path: Path) -> None:
    composed = compose(tmp_path / "params.yaml")
    assert (ROOT / "params.yaml").read_text(encoding="utf-8") == composed.read_text(encoding="utf-8")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_accepted(profile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "missing_device", lambda name, count: None)
    overrides = MUSIC if profile in ("music", "solos") else []
    read(compose(tmp_path / "params.yaml", f"profile={profile}", *overrides))


def test_solos_is_music_but_for_what_its_script_has(tmp_path: Path) -> None:
    music, solos = (
        yaml.safe_load(compose(tmp_path / f"{profile}.yaml", f"profile={profile}").read_text(encoding="utf-8"))
        for profile in ("music", "solos")
    )
    changed = {
        f"{section}.{name}": (music[section][name], value)
        for section in fields_of(Params)
        if isinstance(solos[section], dict)
        for name, value in solos[section].items()
        if value != music[section][name]
    }
    assert changed == {
        "report.profile": ("music", "solos"),
        "captions.steps": (5000, 10000),
        "trimodal.lr_separation": (50.0, 10.0),
        "finetune.caption_weight": (1e-2, 1e-3),
    }


@pytest.mark.parametrize(
    "overrides",
    {
        "open_images": ["pretrained.open_images_path=/oi", "pretrained.detector_lr=2e-4"],
        "owlv2": ["pretrained.zero_shot_path=/owlv2", 'detect.phrase="a {}"'],
        "grounding_dino": [
            "pretrained.zero_shot_path=IDEA-Research/grounding-dino-tiny",
            f"pretrained.zero_shot_revision={'0' * 40}",
        ],
    }.items(),
    ids=lambda chosen: chosen[0],
)
def test_the_music_profile_takes_each_detector(
    overrides: tuple[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what docs/detectors.md gives for it, as the shell hands it over."""
    monkeypatch.setattr(devices, "missing_device", lambda name, count: None)
    detector, own = overrides
    own = [*own, f"pretrained.detector={detector}", "profile=music", "videos.source=folder", "videos.path=/videos"]
    if detector != "open_images":
        own.append(f"pretrained.zero_shot_sha256={'0' * 64}")
    assert read(compose(tmp_path / "params.yaml", *own)).pretrained.detector == detector


def test_the_music_profile_takes_the_published_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command of docs/ccol.md."""
    monkeypatch.setattr(devices, "missing_device", lambda name, count: None)
    text = (ROOT / "docs/ccol.md").read_text(encoding="utf-8").split("## With the published lists")[1]
    command = re.search(r"dvc exp run (.*?)--name", text, re.DOTALL)
    assert command
    given = read(compose(tmp_path / "params.yaml", *re.findall(r"-S (\S+)", command[1])))
    assert given.index.lists == "published" and given.index.allow_leaks and given.videos.source == "imported"


def test_open_images_is_asked_for_the_published_detectors_classes_and_for_musics() -> None:
    published = (
        "accordion banjo cello drum flute guitar harmonica harp horn oboe piano saxophone trombone trumpet violin"
    )
    pretrained = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["pretrained"]
    music = yaml.safe_load((ROOT / "conf/config.yaml").read_text(encoding="utf-8"))["videos"]["classes"]
    guitar = pretrained["open_images_names"]["acoustic_guitar"].lower()
    asked = {guitar if name == "acoustic_guitar" else name for name in pretrained["open_images_classes"]}
    assert asked == {*published.split(), *music} - {"acoustic_guitar"}


def test_a_rate_written_plainly_stays_a_number(tmp_path: Path) -> None:
    assert read(compose(tmp_path / "params.yaml", "train.lr=1e-5")).train.lr == 1e-5


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_changes_params_and_adds_none(profile: str) -> None:
    known = yaml.safe_load((ROOT / "conf/config.yaml").read_text(encoding="utf-8"))
    changed = yaml.safe_load((ROOT / f"conf/profile/{profile}.yaml").read_text(encoding="utf-8"))
    changed.pop("defaults", None)
    for name, value in changed.items():
        assert name in known, f"{profile}: {name}"
        if isinstance(known[name], dict):
            assert set(value) <= set(known[name]), f"{profile}: {name}"


def test_every_param_has_a_comment() -> None:
    explained, previous = {"defaults"}, ""
    for line in (ROOT / "conf/config.yaml").read_text(encoding="utf-8").splitlines():
        if key := re.match(r" *(\w+):", line):
            if "#" in line or previous.lstrip().startswith("#"):
                explained.add(key[1])
            assert key[1] in explained, f"conf/config.yaml: no comment on {key[1]}, here or where it first stands"
        previous = line


# --- One word in five places


@each_stage
def test_one_word_names_script_params_outputs_and_metrics(stage: str) -> None:
    assert (ROOT / "stages" / f"{stage}.py").is_file()
    assert stage in stage_sections(stage)
    assert f"metrics/{stage}.json" in outputs(STAGES[stage], "outs")
    assert STAGES[stage]["desc"]


def test_every_script_is_a_stage_and_has_a_docstring() -> None:
    scripts = {path.stem for path in (ROOT / "stages").glob("[!_]*.py")}
    assert scripts == set(STAGES)
    assert all(ast.get_docstring(tree_of(f"stages/{script}.py")) for script in scripts)


def test_an_artifact_is_what_a_stage_makes() -> None:
    """What `dvc artifacts get` and `dvc pull` of one thing bring."""
    made = [path for entry in STAGES.values() for path in outputs(entry, "outs")]
    known = Repo(str(ROOT)).artifacts.read()["dvc.yaml"]
    assert known["separator"].path == "checkpoints/package" and known["separator"].type == "model"
    assert known["separator"].desc and known["separator"].labels
    assert {artifact.path for artifact in known.values()} <= set(made)


def test_dvc_keeps_what_is_measured_and_so_remembers_earlier_runs() -> None:
    """Of a stage with an output that it does not keep, and that is no metric, its run-cache forgets all runs."""
    for stage, entry in STAGES.items():
        assert f"metrics/{stage}.json" in entry["outs"]
        given = [one for one in entry["outs"] if isinstance(one, dict)]
        assert not any(flags.get("cache") is False for one in given for flags in one.values())


def test_a_plot_of_the_pipeline_is_no_path_into_an_output() -> None:
    """Such a plot DVC looks for at the end of each `dvc exp run`, and fails if it does not have the output: in a fresh
    clone that runs a part of the pipeline. What a stage gives as `plots` it looks for when they are to be shown."""
    for plot in PIPELINE["plots"]:
        assert isinstance(plot, dict) and all(isinstance(drawn["y"], dict) for drawn in plot.values()), plot


def test_dvcs_metrics_are_the_headline_figures_alone() -> None:
    """`dvc metrics diff` and `dvc exp show` tell of nothing else: of all that is measured no terminal has room."""
    assert {stage: entry["metrics"] for stage, entry in STAGES.items() if "metrics" in entry} == {
        "evaluate": [{"metrics/headline.json": {"cache": False}}]
    }
    assert "metrics" not in PIPELINE
