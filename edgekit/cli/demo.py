"""`edgekit demo`: the whole road on handwritten digits, from training to a bundle that runs without torch."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgekit.cli.output import emit, json_option, progress_bar, write_text
from edgekit.files import make_folder

if TYPE_CHECKING:
    from edgekit.bench.report import Report
    from edgekit.bundle import Bundle
    from edgekit.recipes.train import Epoch

NAME = "simple-cnn"
OWN_MODEL = Path("examples/own_model.py")


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("edgekit-demo"),
    show_default=True,
    help="The folder for bundle and report.",
)
@click.option(
    "--sessions",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Fresh sessions of each arm while timing.",
)
@json_option
def command(output: Path, sessions: int, json_path: str | None) -> None:
    """Train a small network on scikit-learn's digits, then export, quantize, compile, bundle, run and benchmark it."""
    from edgekit.bench.report import report_to_json
    from edgekit.cli.tables import candidates_json
    from edgekit.recipes.train import save_weights, train

    make_folder(output)
    weights = output / f"{NAME}.safetensors"
    _say(f"1. train {NAME} on scikit-learn's handwritten digits")
    model = train(NAME, report=_print_epoch)
    save_weights(model, weights)
    _say("2. export, check parity, quantize, compile, measure, choose")
    bundle, report = _build_and_bench(model, weights, output, sessions)
    _write_reports(report, output)
    emit(
        {"build": candidates_json(bundle), "bench": report_to_json(report)},
        json_path,
        lambda: _show(bundle, report, output),
    )


def _build_and_bench(model: Any, weights: Path, output: Path, sessions: int) -> tuple[Bundle, Report]:
    import tempfile

    from edgekit.benchmark import Contest, benchmark
    from edgekit.build import Settings, build
    from edgekit.building.graphs import graphs_for_peers
    from edgekit.recipes import load_recipe

    recipe = replace(load_recipe(NAME), model=lambda: model)
    with tempfile.TemporaryDirectory(prefix="edgekit-demo-") as name, progress_bar() as progress:
        work = Path(name)
        bundle = build(
            recipe,
            output=output / f"{NAME}.edgekit",
            workspace=work,
            settings=Settings(sessions=sessions),
            progress=progress,
        )
        contest = Contest(recipe=recipe, reference=NAME, weights=weights, graphs=graphs_for_peers(work))
        return bundle, benchmark(bundle.path, contest, sessions=sessions, progress=progress)


def _write_reports(report: Report, output: Path) -> None:
    from edgekit.bench.render import html, markdown
    from edgekit.bench.report import write_report

    write_report(report, output / "report.json")
    write_text(output / "report.md", markdown([report]))
    write_text(output / "report.html", html([report]))


def _show(bundle: Bundle, report: Report, output: Path) -> None:
    import edgekit
    from edgekit.cli.tables import show_candidates, show_reports

    show_candidates(bundle)
    show_reports([report])
    with edgekit.load(bundle.path) as session:
        feeds = bundle.golden_inputs(0)
        digit, payload = int(session.run(feeds)["scores"].argmax()), session.info.payload
    _say(f"\nRun as a device would run it ({payload}, no torch): the first golden sample is a {digit}.")
    _say(f"Bundle  {bundle.path}\nReport  {output / 'report.html'}\n\nNext:")
    for line in _next_steps(bundle.path):
        _say(f"  {line}")


def _next_steps(bundle: Path) -> list[str]:
    """Commands that work as they stand, here and now."""
    steps = [f"{_program()} inspect {shlex.quote(str(bundle))}"]
    if OWN_MODEL.is_file():
        steps.append(f"{_program()} build {OWN_MODEL} -o own.edgekit")
    return steps


def _program() -> str:
    """What to type for edgekit: as this process was called, where the name alone would not be found."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m edgekit"
    found = shutil.which(called.name)
    on_path = found is not None and Path(found).resolve() == called.resolve()
    return called.name if on_path else shlex.quote(str(called))


def _print_epoch(epoch: Epoch) -> None:
    _say(
        f"   epoch {epoch.number:2d}/{epoch.of}  loss {epoch.loss:.4f}  accuracy on the test split {epoch.accuracy:.4f}"
    )


def _say(text: str) -> None:
    """What is meant for people goes to stderr, so that `--json -` leaves stdout to the JSON."""
    click.echo(text, err=True)
