"""Who takes part in a benchmark: a bundle, its peers as arms, and the samples that they all run on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from edgekit.bench.arms import Arm, bundle_arm
from edgekit.bench.inputs import RAW, VARIED_INPUTS
from edgekit.bench.litert import precision_of
from edgekit.bench.peers import torch_module
from edgekit.bench.report import PROCESSING
from edgekit.bench.samples import write_samples
from edgekit.bench.units import duration
from edgekit.building.samples import Samples, golden_samples, lay_out_samples
from edgekit.building.variants import FLOAT, REFERENCE
from edgekit.bundle import Bundle, Payload, TargetEntry
from edgekit.errors import MeasurementError, did_you_mean
from edgekit.export import returned_names
from edgekit.feeds import feeds_at, real_feeds
from edgekit.recipes.recipe import Recipe
from edgekit.runtime.session import choose_target
from edgekit.tensors import TensorSpec, smallest_sizes

# Peers by name, with the package that each needs. torch-aot compiles for half a minute, so it runs only when asked for.
PEERS = {"torch": "torch", "torch-aot": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}
DEFAULT_PEERS = ("torch", "onnxruntime", "openvino")
UNDECLARED = TensorSpec("float32", (1,))  # an output without a name: it is computed, and left out of the answers
SIZE_NOTE = "The bundle's size includes its float fallback and golden samples; a peer's is that of its model alone."
CACHE_NOTE = (
    "edgekit keeps what OpenVINO compiles, so the bundle's load is that of an open from a warm cache; the openvino "
    "peer compiles at each load, as OpenVINO does unless told otherwise."
)


@dataclass(frozen=True)
class Contest:
    """What to hold a bundle against.

    against: peers, of `PEERS`.
    litert: .tflite files of the same model.
    recipe, reference: the model's recipe and where it was found; without them no torch peer and no accuracy.
    weights: a safetensors file to load into the recipe's model; its own weights if None.
    graphs: ONNX files by method ("float", "ort", "nncf") for the onnxruntime and openvino peers; the bundle's own float
        graph if empty.
    processing: "out" to time the network alone, "in" to time the recipe's processing before and after it as well.

    Raises:
        MeasurementError: another word for processing, or "in" without a recipe that has any.
    """

    against: Sequence[str] = DEFAULT_PEERS
    litert: Sequence[Path] = ()
    recipe: Recipe | None = None
    reference: str = ""
    weights: Path | None = None
    graphs: Mapping[str, Path] = field(default_factory=dict)
    processing: str = "out"

    def __post_init__(self) -> None:
        if self.processing not in PROCESSING:
            raise MeasurementError(
                f"unknown processing {self.processing!r}; {did_you_mean(self.processing, PROCESSING)}"
            )
        if self.processing == "in" and self.recipe is None:
            raise MeasurementError("processing is the recipe's; name the recipe of the bundle, or leave processing out")
        if self.processing == "in" and self.recipe is not None and self.recipe.preprocess is None:
            raise MeasurementError(
                f"recipe {self.recipe.name!r} has no processing to time; give it raw=... and preprocess=..., "
                "or leave processing out"
            )


def samples_of(bundle: Bundle, contest: Contest, folder: Path) -> Samples:
    """The recipe's data, or the bundle's golden inputs where there is no recipe, laid out below `folder`."""
    if contest.recipe is not None:
        return lay_out_samples(contest.recipe, folder / "samples")
    return golden_samples(bundle, folder / "golden")


def timed(arms: Sequence[Arm], contest: Contest, samples: Samples, folder: Path) -> tuple[list[Arm], Path]:
    """The arms as they are timed, and the samples for that: raw ones, below `folder`, where processing is in."""
    if contest.processing == "out" or contest.recipe is None:
        return list(arms), samples.timing
    raw = islice(contest.recipe.raw_samples(), VARIED_INPUTS)
    write_samples(folder / RAW, ({RAW: sample} for sample in raw))
    return [replace(arm, processing=True, recipe=contest.reference) for arm in arms], folder / RAW


def arms_of(bundle: Bundle, contest: Contest, folder: Path) -> tuple[list[Arm], list[str]]:
    """The bundle first, then each peer that is installed; a note for each that is not.

    Raises:
        MeasurementError: an unknown peer, or a LiteRT file that cannot be read.
    """
    for peer in contest.against:
        if peer not in PEERS:
            raise MeasurementError(f"unknown peer {peer!r}; known: {', '.join(PEERS)}, litert=FILE.tflite")
    entry = choose_target(bundle, "cpu")
    arms = [bundle_arm(bundle, entry, name=f"edgekit ({entry.payloads[0].name})")]
    notes: list[str] = []
    for peer in contest.against:
        if reason := _why_not(peer, contest):
            notes.append(f"{peer} was not measured: {reason}")
            continue
        try:
            arms += _peer_arms(peer, bundle, contest, entry, folder=folder)
        except MeasurementError as error:
            notes.append(not_measured(peer, error))
    if contest.litert and find_spec("ai_edge_litert") is None:
        notes.append("litert was not measured: ai-edge-litert is not installed.")
    else:
        arms += [_litert_arm(file, bundle, entry) for file in contest.litert]
    return arms, notes


def context_notes(bundle: Bundle, contest: Contest) -> list[str]:
    """What sizes, loads and latencies of a comparison hold, and what is not to be had."""
    entry = choose_target(bundle, "cpu")
    no_accuracy = [] if contest.recipe else ["No accuracy: a bundle has no evaluation data; name its recipe."]
    return [SIZE_NOTE, *load_notes(bundle), *_floor_notes(entry), *no_accuracy]


def load_notes(bundle: Bundle) -> list[str]:
    """What a reader of load times must know."""
    return [CACHE_NOTE] if choose_target(bundle, "cpu").payloads[0].backend == "openvino" else []


def _why_not(peer: str, contest: Contest) -> str:
    """Why a peer cannot take part; empty if it can."""
    if find_spec(PEERS[peer]) is None:
        return f"{PEERS[peer]} is not installed."
    if PEERS[peer] == "torch" and contest.recipe is None:
        return "a bundle has no torch model; name its recipe."
    if PEERS[peer] == "torch" and contest.recipe is not None and isinstance(contest.recipe.model, Path):
        return "the recipe is an ONNX file, without a torch model."
    return ""


def not_measured(name: str, error: MeasurementError) -> str:
    """The note of a peer that failed."""
    return f"{name} was not measured: {' '.join(str(error).split())}"


def _peer_arms(peer: str, bundle: Bundle, contest: Contest, entry: TargetEntry, *, folder: Path) -> list[Arm]:
    if peer == "torch-aot":
        return [_aot_arm(bundle, contest, entry, folder)]
    if peer == "torch":
        weights = {"weights": str(contest.weights.resolve())} if contest.weights else {}
        return [
            Arm("torch f32", "torch", "f32", weights, threads=entry.target.threads, recipe=contest.reference,
                inputs=bundle.manifest.inputs, outputs=bundle.manifest.outputs, state=bundle.manifest.state)
        ]  # fmt: skip
    graphs = contest.graphs or {FLOAT: _float_graph(bundle, entry, folder)}
    arms = []
    for method, file in graphs.items():
        for precision in _peer_precisions(peer, method, entry):
            suffix = "" if method == FLOAT else f" ({method})"
            arms.append(
                Arm(
                    name=f"{peer} {precision}{suffix}",
                    kind=peer,
                    precision=precision,
                    files={"model": str(file.resolve())},
                    threads=entry.target.threads,
                    inputs=bundle.manifest.inputs,
                    outputs=bundle.manifest.outputs,
                    state=bundle.manifest.state,
                )
            )
    return arms


def _floor_notes(entry: TargetEntry) -> list[str]:
    """How long the arithmetic alone takes at the target's peak rates, which the build has put on record."""
    rows = {row["precision"]: row for row in entry.candidates if row.get("floor_ns")}
    if not rows:
        return []
    times = ", ".join(f"{duration(row['floor_ns'])} in {precision}" for precision, row in rows.items())
    millions = next(iter(rows.values()))["macs"] / 1e6
    return [f"Floor: {millions:.3g} M multiply-accumulates take at least {times} ({entry.target.peak.source})."]


def _aot_arm(bundle: Bundle, contest: Contest, entry: TargetEntry, folder: Path) -> Arm:
    """The recipe's module, compiled by AOTInductor at the smallest shape with the threads that it will run with.

    Raises:
        MeasurementError: torch cannot export or compile it.
    """
    import torch
    from torch._inductor import aoti_compile_and_package

    recipe = contest.recipe
    assert recipe is not None  # noqa: S101 - arms_of has asked
    module = torch_module(recipe, contest.weights)
    feeds = feeds_at(recipe.input_specs, real_feeds(recipe, 1), smallest_sizes(recipe.input_specs))
    arguments = tuple(torch.from_numpy(feeds[name]) for name in recipe.inputs)
    with warnings.catch_warnings(), torch.inference_mode(), _torch_threads(entry.target.threads):
        returned = returned_names(recipe, module(*arguments))
        try:
            warnings.simplefilter("ignore")  # torch's own deprecations
            program = torch.export.export(module, arguments)
            package = aoti_compile_and_package(program, package_path=str((folder / "aot.pt2").resolve()))
        except Exception as error:  # torch has no common type for them
            raise MeasurementError(f"AOTInductor cannot compile it: {type(error).__name__}: {error}") from error
    outputs = {spec.name: spec for spec in bundle.manifest.outputs}
    return Arm(
        "torch-aot f32",
        "torch-aot",
        "f32",
        {"model": package},
        threads=entry.target.threads,
        inputs=recipe.input_specs,
        outputs=tuple(outputs.get(name, UNDECLARED) for name in returned),
        state=bundle.manifest.state,
    )


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _peer_precisions(peer: str, method: str, entry: TargetEntry) -> tuple[str, ...]:
    if method != FLOAT:
        return ("int8",)
    return ("f32", "bf16") if peer == "openvino" and "bf16" in entry.target.precisions else ("f32",)


def _float_graph(bundle: Bundle, entry: TargetEntry, folder: Path) -> Path:
    """The float ONNX graph, which every CPU target of a bundle carries as its portable fallback."""
    payload = next((p for p in entry.payloads if p.name == REFERENCE.name), None)
    if payload is None:
        raise MeasurementError(
            f"{bundle.path.name} has no {REFERENCE.name} payload to give to the peers; name its recipe"
        )
    return extract(bundle, payload, folder / "float")


def extract(bundle: Bundle, payload: Payload, folder: Path) -> Path:
    """Write the payload's files into `folder`, under their own names; where its model lies."""
    folder.mkdir(exist_ok=True)
    for entry in payload.files.values():
        (folder / Path(entry).name).write_bytes(bundle.view(entry))
    return folder / Path(payload.files["model"]).name


def _litert_arm(file: Path, bundle: Bundle, entry: TargetEntry) -> Arm:
    if not file.is_file():
        raise MeasurementError(f"no LiteRT model at {file}")
    return Arm(
        name=f"litert {file.stem}",
        kind="litert",
        precision=precision_of(file),
        files={"model": str(file.resolve())},
        threads=entry.target.threads,
        inputs=bundle.manifest.inputs,
        outputs=bundle.manifest.outputs,
        state=bundle.manifest.state,
    )
