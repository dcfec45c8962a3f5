"""Inspect plate folders, check a pipeline, list functions and conversions, do wells again, and validate results."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wellfield import __version__
from wellfield.errors import ConfigError, WellfieldError
from wellfield.formatting import counted, visible

if TYPE_CHECKING:
    from wellfield.config.settings import Settings
    from wellfield.pipeline.plan import CompiledCall, Plan
    from wellfield.plate.filename_layout import Layout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0 for yes, 1 for no, 2 for a usage error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the character µ shows a replacement
    try:
        return _run(arguments)
    except WellfieldError as error:
        return _fail(str(error))
    except BrokenPipeError:  # the reader of the output, such as head, has closed it
        _drop_output()
        return 0
    except OSError as error:  # the output's disk is full, or a file may not be read
        _drop_output()
        return _fail(f"{error.filename or 'the output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    if sys.stdout is None:
        return _fail("the output is closed: nobody could read what this command prints")
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        passed_on: Sequence[str] = ()
        if arguments[:1] == ["rerun"] and "--" in arguments:
            arguments, passed_on = arguments[: arguments.index("--")], arguments[arguments.index("--") + 1 :]
        options = _parser().parse_args(arguments, argparse.Namespace(passed_on=passed_on))
        return int(options.run(options))
    finally:
        sys.stdout.flush()  # flush here, where an error can still be reported


def _say(*lines: str, end: str = "\n", flush: bool = False) -> None:
    print(*map(visible, lines), sep="\n", end=end, flush=flush)


def _fail(message: str) -> int:
    with suppress(OSError, AttributeError):  # stderr may be closed too
        print(f"error: {visible(message)}", file=sys.stderr)
    return 1


def _drop_output() -> None:
    """Discard the rest of the output buffer: Python would write it at exit and fail again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wellfield", description=__doc__)
    parser.add_argument("--version", action="version", version=f"wellfield {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    inspect = commands.add_parser("inspect", help="what would be ingested from a plate folder; writes nothing")
    inspect.add_argument("folder")
    reader = inspect.add_mutually_exclusive_group()
    reader.add_argument("--microscope", default="auto", help="name of a microscope, preset or layout (default: auto)")
    reader.add_argument("--pattern", help="regular expression for the paths of the images, or name of a preset")
    inspect.add_argument("--config", help="configuration whose layouts may be named")
    inspect.set_defaults(run=_inspect)
    functions = commands.add_parser("functions", help="the functions that a pipeline may name")
    functions.set_defaults(run=_functions)
    conversions = commands.add_parser("conversions", help="how arrays get from one library to another, as tables")
    conversions.set_defaults(run=_conversions)
    plan = commands.add_parser("plan", help="check the pipeline of a configuration against its ingested plates")
    plan.add_argument("config", metavar="CONFIG")
    plan.set_defaults(run=_plan)
    rerun = commands.add_parser("rerun", help="print the snakemake command that does wells of a plate again")
    rerun.add_argument("plate", metavar="PLATE")
    rerun.add_argument("wells", metavar="WELL", nargs="*", help="B03, a list B03,B04 or a job A01-A12; none: all wells")
    rerun.add_argument("--failed", action="store_true", help="the wells that failed")
    rerun.add_argument("--run", dest="starts", action="store_true", help="run the command")
    rerun.add_argument("--config", help="configuration (default: config/config.yaml)")
    rerun.set_defaults(run=_rerun)
    validate = commands.add_parser("validate", help="check the results of a plate, or compare them with others")
    validate.add_argument("results", metavar="RESULTS/PLATE")
    validate.add_argument("--against", metavar="OTHER/PLATE", help="results that should be equal")
    validate.set_defaults(run=_validate)
    return parser


def _inspect(options: argparse.Namespace) -> int:
    from wellfield.microscopes.handler_registry import get_microscope_handler
    from wellfield.microscopes.ingest_report import ingest_report
    from wellfield.microscopes.inspect_report import report_lines

    name, layouts = _named_or_written(options)
    handler, why = get_microscope_handler(options.folder, name, layouts=layouts)
    _say(f"{options.folder}: {handler._microscope_type} ({why})")
    contents = handler.read_plate()
    contents.complete(name=handler.plate_path.name, path=options.folder, microscope=handler._microscope_type)
    _say("\n".join(report_lines(ingest_report(contents, why=why))))
    return 0


def _named_or_written(options: argparse.Namespace) -> tuple[str, dict[str, Layout]]:
    """Return the name of the microscope or layout that reads the folder, and the layouts of --config and --pattern."""
    from wellfield.config.load import read_config
    from wellfield.microscopes.presets import PRESETS
    from wellfield.plate.filename_layout import Layout, pattern_problems

    layouts = read_config(options.config).plate_layouts() if options.config else {}
    if options.pattern is None:
        return options.microscope, layouts
    if options.pattern in PRESETS or options.pattern in layouts:
        return options.pattern, layouts
    if problems := pattern_problems(options.pattern):
        raise ConfigError(f"--pattern {options.pattern!r}: {'; '.join(problems)}. Presets: {', '.join(PRESETS)}")
    return "--pattern", layouts | {"--pattern": Layout("--pattern", options.pattern)}


def _functions(options: argparse.Namespace) -> int:
    import inspect

    from wellfield.processing.function_registry import function_names, get_function, implementations

    for name in function_names():
        info = get_function(name)
        libraries = ", ".join(implementations(name))
        parameters = [str(p) for p in list(inspect.signature(info.function).parameters.values())[1:]]
        _say(f"{name}({', '.join(p.split(': ')[0] + _default(p) for p in parameters)}) -> {info.returns} [{libraries}]")
        _say(f"    {(inspect.getdoc(info.function) or '').splitlines()[0]}")
    return 0


def _conversions(options: argparse.Namespace) -> int:
    from wellfield.memory.matrix import markdown

    _say(markdown(), end="")
    return 0


def _default(parameter: str) -> str:
    _, sign, value = parameter.partition(" = ")
    return f"={value}" if sign else ""


def _plan(options: argparse.Namespace) -> int:
    from wellfield.config.load import read_config
    from wellfield.config.plate_sheet import read_plate_sheet
    from wellfield.plate.index import read_info
    from wellfield.results.paths import PlateFile
    from wellfield.workflow.compile_plan import compile_plan, transmitted_notes

    config = read_config(options.config)
    plates = read_plate_sheet(config.plates, layouts=config.layouts, check_files=False)
    indices = {plate: Path(config.results, plate, PlateFile.INDEX) for plate in plates}
    shown = False
    for plate, index in indices.items():
        if index.exists():
            compiled = compile_plan(index, config)
            if not shown:
                _print_settings(compiled.settings, options.config)
            shown = True
            _say(f"{plate}:")
            _print_plan(compiled)
            for note in transmitted_notes(compiled, read_info(index)):
                print(f"   warning: {note}")
        else:
            _say(f"{plate}: not ingested yet; run: snakemake --cores 1 {index}")
    return 0


def _print_settings(settings: Settings, config: str) -> None:
    """Print every setting and the origin of its value."""
    unset = {"vfs.read_backend": "of the plate", "memory_type": "of each function"}
    for name, value in settings.values().items():
        shown = unset.get(name, "none") if value is None else value
        origin = settings.origins[name]
        _say(f"   {name}: {shown} ({config if origin == 'pipeline' else origin})")


def _print_plan(plan: Plan) -> None:
    _say(f"   libraries: {', '.join(plan.libraries)}; steps that do not run on numpy are on the {plan.device}")
    _say(f"   images in memory: about {plan.memory_mb:.0f} MB at a time")
    for step in plan.steps:
        channels = ", ".join(f"{number} {plan.channels[number]}" for number in step.channels)
        extent = "; once per well" if step.per_well else ""
        _say(f"{step.number}. {step.name}: on {step.input}; stack over {step.stack}; {channels}; {step.kind}{extent}")
        for branch in step.branches:
            if len(step.branches) > 1:
                _say(f"     channel {', '.join(map(str, branch.channels))}:")
            for call in branch.calls:
                _print_call(call)
        for line in step.conversions:
            _say(f"     converts: {line}")
        if step.materialize:
            folder = f" (folder {step.sub_dir})" if step.sub_dir != step.name else ""
            _say(f"     written to: {', '.join(step.materialize)}{folder}")
        _say(f"     memory: about {step.memory_mb:.0f} MB")


def _print_call(call: CompiledCall) -> None:
    _say(f"     {call.func or 'function'} [{call.memory_type}]{', plane by plane' if call.planewise else ''}")
    if call.params:
        _say(f"       parameters: {', '.join(f'{name}={value!r}' for name, value in call.params.items())}")
    taken = [f"{name}={value}" for name, value in (*call.images.items(), *call.specials.items())]
    if taken:
        _say(f"       takes: {', '.join(taken)}")
    if call.plate_params:
        _say(f"       from the plate: {', '.join(call.plate_params)}")
    for name, spec in call.outputs:
        files = ", ".join(f"{name}{option.filename_suffix}" for option in spec.options) if spec else "kept in memory"
        _say(f"       also returns: {name} ({files})")


def _rerun(options: argparse.Namespace) -> int:
    import shlex

    from wellfield.workflow.rerun import rerun_command

    if options.failed and options.wells:
        raise ConfigError("rerun takes the names of wells or --failed, not both")
    command = rerun_command(
        options.plate, options.wells, failed=options.failed, config=options.config, options=options.passed_on
    )
    _say(shlex.join(command), flush=True)
    if options.starts:
        # In place of this process, so that Ctrl-C and the exit code are those of snakemake.
        os.execv(sys.executable, [sys.executable, "-m", *command])
    return 0


def _validate(options: argparse.Namespace) -> int:
    from wellfield.workflow.validate import check_results, compare_results

    problems = check_results(options.results)
    what = f"{options.results}: files, checksums and OME-Zarr"
    if options.against:
        problems += compare_results(options.results, options.against)
        what += f"; equality with {options.against}"
    answer = counted(len(problems), "problem") if problems else "all good"
    try:
        _say(*problems, f"{what}: {answer}", flush=True)
    except BrokenPipeError:  # the exit code is the answer
        _drop_output()
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
