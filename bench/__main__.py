# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m bench NAME`: measure, tell people, and tell programs in one JSON object as the last line."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import psutil
import rich.console
import rich.table

from . import main as main_job
from . import readme, render, transfer, trust, web
from .measures import Measure, report

BENCHES: dict[str, Callable[[argparse.Namespace], Iterable[Measure]]] = {
    "main": lambda options: main_job.run(options.rounds),
    "render": lambda options: render.run(options.rounds, options.only),
    "transfer": lambda options: transfer.run(options.rounds, options.only, quick=options.quick, huge=options.huge),
    "trust": lambda options: trust.run(_wishes(options), options.only),
    "web": lambda options: web.run(options.rounds, options.only),
}
"""Each takes the command line's options and yields its measures as they are done."""

SUMMARIES = {"main": main_job, "render": render, "transfer": transfer, "trust": trust, "web": web}

VERDICTS = {True: "yes", False: "NO", None: ""}

RESULTS = Path(__file__).with_name("results")

errors = rich.console.Console(stderr=True, highlight=False, soft_wrap=True)


def main() -> int:
    """Run what the command line asks for; returns the exit code."""
    options = _parse()
    if options.name is None:
        for name, module in SUMMARIES.items():
            print(f"{name:10} {_summary(module)}")
        return 0
    measures = list(_told(BENCHES[options.name](options)))
    result = report(options.name, measures)
    _print_table(measures)
    if options.save:
        print(f"Kept in {_save(result, options.rounds)}")
    print(json.dumps(result))
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Without a name: list what can be measured.")
    parser.add_argument("name", nargs="?", choices=list(BENCHES))
    parser.add_argument(
        "--rounds",
        type=int,
        default=5,
        help="how often each side runs (5); figures are medians; trust: jobs that meet a fault (say 300)",
    )
    parser.add_argument(
        "--save",
        action="store_true",
        help="keep the result, with date and machine, in bench/results; of main, have README.md quote it",
    )
    only = (
        "only these parts (transfer: links, sessions, throughput, window, memory; render: first, animations, takeover, "
        "draft, server, eta, eta-rendered, stills, window; trust: chaos, fuzz, load; web: load, events, pages, scroll, "
        "upload) or Blenders (4.3)"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help=only)
    parser.add_argument("--quick", action="store_true", help="transfer: everything small, to see whether it runs")
    parser.add_argument("--huge", action="store_true", help="transfer: also what takes files of 6 GB")
    parser.add_argument("--seed", type=int, default=1, help="trust: what is random is the same for the same seed (1)")
    parser.add_argument("--first", type=int, default=0, help="trust: number of the first round (0), to repeat one")
    parser.add_argument("--messages", type=int, default=trust.MESSAGES, help="trust: malformed ones (1000000)")
    return parser.parse_args()


def _wishes(options: argparse.Namespace) -> trust.Wishes:
    return trust.Wishes(options.rounds, options.first, options.seed, options.messages)


def _summary(bench: ModuleType) -> str:
    return (bench.__doc__ or "").splitlines()[0]


def _told(measures: Iterable[Measure]) -> Iterator[Measure]:
    """Say on stderr how far it is: a bench takes minutes."""
    for measure in measures:
        errors.print(f"[dim]{measure.name}: {measure.detail or measure.why}[/dim]")
        yield measure


def _print_table(measures: Iterable[Measure]) -> None:
    table = rich.table.Table("What", "Value", "Limit", "Holds", "Against")
    for measure in measures:
        value = "not measured" if measure.value is None else f"{measure.value:g} {measure.unit}"
        limit = "" if measure.limit is None else f"{measure.limit:g}"
        table.add_row(measure.name, value, limit, VERDICTS[measure.holds], measure.against)
    rich.console.Console(highlight=False).print(table)


def _save(result: dict[str, object], rounds: int) -> Path:
    now = datetime.now(UTC)
    path = RESULTS / f"{result['bench']}-{now:%Y%m%d-%H%M}.json"
    RESULTS.mkdir(exist_ok=True)
    about = {"date": f"{now:%Y-%m-%d %H:%M} UTC", "machine": _machine(), "rounds": rounds}
    kept = about | result
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    if result["bench"] in readme.TABLES:
        readme.write(kept, path)
    return path


def _machine() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return f"{_processor()}, {psutil.cpu_count()} cores, {memory:.0f} GB, {platform.system()} {platform.release()}"


def _processor() -> str:
    """Return the processor's name; Python knows it on few systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    sys.exit(main())
