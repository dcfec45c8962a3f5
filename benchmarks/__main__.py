"""``python -m benchmarks [--quick] [NAME …]``: run the benchmarks, print their tables and the table of all targets."""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys

from benchmarks.harness import HERE, write_report
from benchmarks.summary import markdown, publish, read_reports, summarise


def names() -> list[str]:
    """Return the benchmarks there are: one per module ``bench_*.py``."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; the exit status tells whether a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names())}; all by default")
    parser.add_argument("--quick", action="store_true", help="small sizes and few repeats, to see that all still run")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    parser.add_argument(
        "--publish", action="store_true", help="renew docs/benchmarks.* and the rows of the README after it"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    command = shlex.join(["python", "-m", "benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    # Every process would compile all that it imports, as none does where Python may keep what it compiled.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    missed = []
    chosen = options.names or names()
    for name in chosen:
        tables = importlib.import_module(f"benchmarks.bench_{name}").run(quick=options.quick)
        print(write_report(name, tables, command=command).read_text(encoding="utf-8"), flush=True)
        missed += [f"{name}: {table.title}: {row.name}" for table in tables for row in table.rows if row.met is False]
    print(markdown(summarise(read_reports(chosen))))
    if options.publish:
        publish(names())
    for line in missed:
        print(f"missed: {line}")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
