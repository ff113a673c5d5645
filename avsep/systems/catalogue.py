"""Every system that separates, a line each, in the order of every table.

Plain values, and nothing is imported: params, evaluation and report read it alike.  The file beside this one that
a line names, `module`, asks the system.  What is scored and stands not here is an external system, evaluate.external.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

# Strokes and gaps of a line in a chart, in widths of the line.
SOLID: tuple[float, ...] = ()
DASHED = (3.7, 1.6)
DOTTED = (1.0, 1.65)
SPARSE = (1.0, 3.0)
SPARSE_DASHES = (3.7, 3.7)
DASH_DOT = (6.4, 1.6, 1.0, 1.6)
DASH_DOT_DOT = (3.0, 1.6, 1.0, 1.6, 1.0, 1.6)

GREY = ("#6b7078", "#9aa0a9")  # by day and by night, as all colours here


@dataclass(frozen=True)
class Drawn:
    """What has a name and a line in charts and legends."""

    name: str  # as in pairs.csv
    title: str
    colours: tuple[str, str] = GREY
    dashes: tuple[float, ...] = SOLID


@dataclass(frozen=True, kw_only=True)
class Entry(Drawn):
    """A system."""

    module: str  # avsep/systems/<module>.py
    group: str = "trained"  # reference: made from the truth, frames the others; trained; external: others' waves
    stage: str | None = None  # takes the weights checkpoints/<stage>; evaluate.systems names it so
    method: str | None = None  # systems of one method share a chart
    asked: str = "object"  # by an object's crop; `picture`: by a whole picture; `phrase`: in words
    grounds: bool = False  # says whether an object sounds, and so has a gate
    everywhere: bool = False  # drawn beside each method
    first: bool = False  # of its method, the one that headlines tell of and gates' controls stand on
    confident: bool = False  # says how sure it is of any phrase
    looks: bool = False  # says where in a picture it finds a sound
    scenes: bool = True  # is asked in scenes too
    called: str = ""  # in metrics/headline.json, where the name does not explain itself


@dataclass(frozen=True, kw_only=True)
class Control(Drawn):
    """A system again, that is asked, or muted, otherwise."""

    of: str  # the system
    asked: str  # for what: OTHER, SYNONYM or TRUE_BOXES; or muted by ALWAYS, NEVER or CHANCE
    group: str = "control"


OTHER = "other"  # the silent object beside, in the place of the sounding one: the wrong query
SYNONYM = "synonym"  # the same class in other words
TRUE_BOXES = "true_boxes"  # in scenes: the players where they are, not where they were detected
ALWAYS, NEVER, CHANCE = "always", "never", "chance"  # all objects are taken to sound, none, or any

SYSTEMS = (
    Entry("mixture", "Mixture, not separated", module="oracles", group="reference"),
    Entry(
        "oracle",
        "Ideal ratio mask (oracle)",
        dashes=SPARSE,
        module="oracles",
        group="reference",
        everywhere=True,
    ),
    Entry(
        "oracle_binary",
        "Ideal binary mask (oracle)",
        dashes=SPARSE,
        module="oracles",
        group="reference",
        scenes=False,
    ),
    Entry(
        "baseline",
        "Sound of Pixels (baseline)",
        ("#b4570b", "#f0a35a"),
        DOTTED,
        module="sound_of_pixels",
        stage="baseline",
        everywhere=True,
    ),
    Entry(
        "ungated",
        "CCoL's separation alone",
        ("#7d6a00", "#d8c24a"),
        SPARSE_DASHES,
        module="ungated",
        stage="ungated",
        method="CCoL",
    ),
    Entry(
        "colearning",
        "Co-learning",
        ("#2460c8", "#7fabff"),
        DASHED,
        module="ccol",
        stage="colearning",
        method="CCoL",
        grounds=True,
    ),
    Entry(
        "cyclic",
        "Cyclic co-learning",
        ("#0b7a70", "#4fcdbf"),
        module="ccol",
        stage="cyclic",
        method="CCoL",
        grounds=True,
        first=True,
    ),
    Entry(
        "trimodal_visual",
        "VAST by picture",
        ("#c0246a", "#ff86b6"),
        module="vast",
        stage="trimodal",
        method="VAST",
        asked="picture",
        first=True,
        looks=True,
        called="vast_by_picture",
    ),
    Entry(
        "trimodal_text",
        "VAST by phrase",
        ("#c0246a", "#ff86b6"),
        DASHED,
        module="vast",
        stage="trimodal",
        method="VAST",
        asked="phrase",
        confident=True,
        looks=True,
        called="vast_by_phrase",
    ),
    Entry(
        "finetune_visual",
        "VAST fine-tuned, by picture",
        ("#5f7a0c", "#b3d24c"),
        DASH_DOT,
        module="vast",
        stage="finetune",
        method="VAST",
        asked="picture",
        called="finetuned_by_picture",
    ),
    Entry(
        "finetune_text",
        "VAST fine-tuned, by phrase",
        ("#5f7a0c", "#b3d24c"),
        DASH_DOT_DOT,
        module="vast",
        stage="finetune",
        method="VAST",
        asked="phrase",
        called="finetuned_by_phrase",
    ),
)
CONTROLS = (
    Control("trimodal_synonym", "Control: VAST by the phrase in other words", of="trimodal_text", asked=SYNONYM),
    Control(
        "baseline_wrong_picture",
        "Control: Sound of Pixels by another class's picture",
        of="baseline",
        asked=OTHER,
    ),
    Control(
        "cyclic_wrong_picture",
        "Control: cyclic co-learning by another class's picture",
        of="cyclic",
        asked=OTHER,
    ),
    Control(
        "trimodal_wrong_picture",
        "Control: VAST by another class's picture",
        of="trimodal_visual",
        asked=OTHER,
    ),
    Control("trimodal_wrong_text", "Control: VAST by another class's phrase", of="trimodal_text", asked=OTHER),
)
GATE_CONTROLS = (
    Control("always_sounding", "Control: all objects sound", of="cyclic", asked=ALWAYS),
    Control("never_sounding", "Control: no object sounds", of="cyclic", asked=NEVER),
    Control("chance", "Control: at random", of="cyclic", asked=CHANCE),
)
SCENE_CONTROLS = (
    Control(
        "cyclic_true_boxes",
        "Control: cyclic co-learning at the true boxes",
        of="cyclic",
        asked=TRUE_BOXES,
    ),
)

MIXTURE, TARGET = "mixture", "oracle"  # references: what a gain is over; whose masks are training's targets

# The stages that train, as their curves are drawn.
TRAINING = (
    Drawn("grounding", "Grounding warm-up", ("#8b3fb8", "#c98cf0"), DASH_DOT),
    Drawn("colearning", "Co-learning", ("#2460c8", "#7fabff"), DASHED),
    Drawn("cyclic", "Cyclic co-learning", ("#0b7a70", "#4fcdbf")),
    Drawn("baseline", "Sound of Pixels (baseline)", ("#b4570b", "#f0a35a"), DOTTED),
    Drawn("ungated", "CCoL's separation alone", ("#7d6a00", "#d8c24a"), SPARSE_DASHES),
    Drawn("trimodal", "VAST", ("#c0246a", "#ff86b6")),
    Drawn("finetune", "VAST fine-tuned", ("#5f7a0c", "#b3d24c"), DASH_DOT),
)

STAGES = tuple(
    dict.fromkeys(entry.stage for entry in SYSTEMS if entry.stage is not None)
)  # what evaluate.systems names

_EXTERNAL_COLOURS = (
    *(("#7a4a12", "#d8a878"), ("#3b3fa6", "#a2a6ff"), ("#0b6f8f", "#6fc9e6"), ("#8f1d1d", "#f08a8a")),
    *(("#4d6b3a", "#a8cf90"), ("#6b4d8f", "#c4a6e8")),
)


def external(name: str, place: int = 0) -> Entry:
    """The line of an external system, the `place`-th of those that there are."""
    colours = _EXTERNAL_COLOURS[place % len(_EXTERNAL_COLOURS)]
    return Entry(name, name, colours, (5.0, 1.2), module="files", group="external", method="External", grounds=True)


def arranged(names: Collection[str]) -> list[Entry | Control]:
    """The lines of `names` in the order of every table: references, trained, external systems by name, controls."""
    known = {one.name for one in (*SYSTEMS, *CONTROLS, *GATE_CONTROLS, *SCENE_CONTROLS)}
    others = [external(name, place) for place, name in enumerate(sorted(set(names) - known))]
    systems: list[Entry | Control] = []
    for entry in SYSTEMS:
        systems += [entry, *(control for control in SCENE_CONTROLS if control.of == entry.name)]
    everything: Iterable[Entry | Control] = (*systems, *others, *CONTROLS, *GATE_CONTROLS)
    return [one for one in everything if one.name in names]


def asked_of(stages: Collection[str], others: Collection[str] = ()) -> list[Entry]:
    """The systems that are made from the truth, that take the weights of these stages, and `others`, external ones."""
    listed = [entry for entry in SYSTEMS if entry.stage is None or entry.stage in stages]
    return [*listed, *(external(name, place) for place, name in enumerate(sorted(others)))]


def entry_of(name: str) -> Entry:
    """A system's line."""
    return next((entry for entry in SYSTEMS if entry.name == name), external(name))
