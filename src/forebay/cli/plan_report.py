"""How ``forebay plan`` tells its result to people."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from forebay.plan.clients import Clients
from forebay.plan.planning import Outlook, Plan, Waits
from forebay.plan.running import Observed
from forebay.plan.sampling import Sample


def show(plan: Plan, console: Console) -> None:
    """Print the clients, what each database means for them, and what follows."""
    console.print(_clients(plan))
    for line in assumptions(plan.clients):
        console.print(Text(line, style="dim"), soft_wrap=True)
    console.print()
    console.print(_outlooks(plan))
    for line in conclusions(plan):
        console.print(Text(line), soft_wrap=True)


def show_sample(sample: Sample, console: Console) -> None:
    """Print what was seen of a database's sessions."""
    for line in sample_lines(sample):
        console.print(Text(line), soft_wrap=True)
    console.print()


def show_observed(observed: Observed, console: Console) -> None:
    """Print how long a running proxy was looked at, and what to think of it."""
    rate = f"{observed.transactions_per_s:.1f} transactions per second"
    console.print(Text(f"Counted for {observed.seconds:.1f} s: {rate}."))
    for note in observed.notes:
        console.print(Text(f"  {note}"), soft_wrap=True)
    console.print()


def sample_lines(sample: Sample) -> Iterator[str]:
    """What was seen, and what to think of it."""
    yield f"Sampled {sample.looks} times in {sample.seconds:.1f} s."
    states = ", ".join(f"{count:.1f} {state}" for state, count in sample.states.items())
    yield f"  sessions       {states or 'none'}"
    if sample.transactions_per_s is not None:
        yield f"  transactions   {sample.transactions_per_s:.1f} /s"
    if sample.hidden:
        yield (
            f"  {sample.hidden:.1f} sessions of other users are hidden:"
            " GRANT pg_monitor to this user to see them."
        )
    yield from (f"  {note}" for note in sample.notes)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0])
    for name in columns[1:]:
        table.add_column(name, justify="right")
    return table


def _clients(plan: Plan) -> Table:
    columns = ("client", "max concurrent", "hold", "think", "load (Erlang)")
    table = _table("Clients", columns)
    for each in plan.clients:
        label = f"{each.name} ({each.processes} × {each.connections})"
        star = {key: "*" if key in each.assumed else "" for key in ("hold", "think")}
        table.add_row(
            Text(label if each.connections > 1 else each.name),
            str(each.count),
            time_in_words(each.hold_s) + star["hold"],
            time_in_words(each.think_s) + star["think"],
            f"{each.load:.2f}",
        )
    table.add_section()
    table.add_row("Total demand", str(plan.demand), "", "", f"{plan.load:.2f}")
    return table


def assumptions(clients: Sequence[Clients]) -> Iterator[str]:
    """What was not given."""
    missing = {key: [each for each in clients if key in each.assumed] for key in ("hold", "think")}
    for key, means in (("hold", "in a transaction"), ("think", "between two")):
        if found := missing[key]:
            seconds = found[0].hold_s if key == "hold" else found[0].think_s
            names = ", ".join(each.name for each in found)
            yield f"* assumed {key} time: {time_in_words(seconds)} {means} ({names})"


def _outlooks(plan: Plan) -> Table:
    title = f"With a proxy that takes {plan.goal.percent} % of what is not reserved"
    if plan.goal.max_connections is not None:
        title += f", {plan.goal.max_connections} connections at most"
    columns = ("database", "limit", "in use", "must wait", "wait, mean", "wait, p99", "without")
    table = _table(title, columns)
    for each in plan.outlooks:
        capacity = each.capacity
        about = "" if capacity.exact else "about "
        named = capacity.name.startswith("max_connections")
        label = capacity.name if named else f"{capacity.name}: {about}{capacity.max_connections}"
        table.add_row(Text(label), str(each.limit), *_waits(each.predicted), _without(each, plan))
        table.add_row("  simulated", "", *_waits(each.simulated), "", style="dim")
        if each.measured is not None:
            table.add_row("  measured", "", *_waits(each.measured), "", style="bold")
    return table


def _waits(waits: Waits) -> tuple[str, str, str, str]:
    return (
        f"{waits.utilisation * 100:.0f} %",
        percentage(waits.waits_share),
        time_in_words(waits.wait_mean_s),
        time_in_words(waits.wait_p99_s),
    )


def _without(each: Outlook, plan: Plan) -> str:
    if each.fits_without_proxy:
        return "fits"
    return f"refuses {plan.demand - each.capacity.usable}"


def conclusions(plan: Plan) -> Iterator[str]:
    """What follows, in sentences."""
    goal = time_in_words(plan.goal.wait_p99_s)
    yield (
        f"Connections needed: {plan.demand} without a proxy; {plan.connections_needed} with one,"
        f" for 99 % of the waits to be at most {goal}."
    )
    for each in plan.outlooks:
        yield f"{each.capacity.name}:"
        reserved = f"{each.capacity.reserved} reserved"
        yield (
            f"  max_connections {each.capacity.max_connections} ({each.capacity.basis}), {reserved}"
        )
        yield f"  {_verdict(each, plan)}"
        if each.burst_s:
            yield (
                f"  If all {plan.demand} ask at the same moment, the last waits about"
                f" {time_in_words(each.burst_s)}."
            )
        yield from (f"  Warning: {text}" for text in each.warnings)
    yield from (f"Warning: {text}" for text in plan.warnings)


def _verdict(each: Outlook, plan: Plan) -> str:
    percent = plan.goal.percent
    setting = f"max_connections_percent = {percent}"
    if each.capacity.allowed is not None:
        percent, setting = 100, f"The limit of {each.limit} connections"
    elif each.limit < each.capacity.limit(percent):
        percent, setting = 100, f"The pool's max_connections = {each.limit}"
    if each.percent_needed is None:
        return (
            f"No percentage suffices: {plan.connections_needed} connections are needed,"
            f" {each.capacity.usable} are not reserved."
        )
    if each.suffices:
        least = f" ({each.percent_needed} % would do)" if each.percent_needed < percent else ""
        return f"{setting} suffices{least}."
    return (
        f"{setting} does not suffice:"
        f" {plan.connections_needed} connections would, which are {each.percent_needed} %."
    )


def percentage(share: float) -> str:
    """``0.05 %``: with as many digits as matter."""
    percent = share * 100
    if percent == 0 or percent >= 9.95:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.1 else "< 0.1 %"


def time_in_words(seconds: float) -> str:
    """``5 ms``, ``1.5 s``: three digits at most."""
    if seconds < 1e-6:
        return "0" if seconds < 1e-9 else "< 1 µs"
    for unit, factor in (("µs", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        value = seconds / factor
        if value < 999.5 or unit == "s":
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
    raise AssertionError  # pragma: no cover
