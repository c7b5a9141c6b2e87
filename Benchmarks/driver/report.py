"""Tables and JSON of what was measured."""
import json
from statistics import median

from .groups import Result, Target


def table(result: Result) -> str:
    lines = [f"\n{result.name}: medians of {len(result.rounds)}",
             f"  {'':24} {'per second':>11} {'CPU µs':>8} {'p50 ms':>8} {'p99 ms':>8} {'p99.9 ms':>9} {'peak MB':>8} "
             f"{'generator':>9}"]
    for subject in result.rounds[0]:
        def middle(figure: str, unit: float, places: int) -> str:
            values = [figures[subject].get(figure) for figures in result.rounds]
            return "" if None in values else f"{median(values) / unit:,.{places}f}"
        lines.append(
            f"  {subject:24} {middle('rate', 1, 0):>11} {middle('microseconds', 1, 1):>8} {middle('p50', 1e-3, 2):>8} "
            f"{middle('p99', 1e-3, 2):>8} {middle('p999', 1e-3, 2):>9} {middle('peakBytes', 1e6, 1):>8} "
            f"{middle('generatorShare', 1, 2):>9}")
    return "\n".join(lines)


def ratios(result: Result, target: Target) -> list[float]:
    """One for each round: what was taken in turn is compared."""
    return [compare(figures, target.subject, target.other, target.figure) for figures in result.rounds]


def limits(result: Result, target: Target) -> list[float]:
    subject, other = target.limit if isinstance(target.limit, tuple) else (target.limit, target.other)
    return [compare(figures, subject, other, target.figure) for figures in result.rounds]


def compare(figures: dict, subject: str, other: str | float, figure: str) -> float:
    if isinstance(other, str):
        # `service p50` is another figure of a subject.
        name, _, own = other.rpartition(" ")
        other = figures[name][own] if name in figures and own in figures[name] else figures[other][figure]
    return figures[subject][figure] / other


def targets(results: list[Result]) -> str:
    lines = ["\nTargets: medians of ratios (lowest to highest)"]
    for result in results:
        for target in result.targets:
            values = ratios(result, target)
            middle = median(values)
            met = (target.at_least is None or middle >= target.at_least) and (
                target.at_most is None or middle <= target.at_most)
            bound = (f"at least {target.at_least:.4g}" if target.at_least is not None
                     else f"at most {target.at_most:.4g}")
            if target.limit:
                bound += f", the machine's limit {median(limits(result, target)):.2f}"
            lines.append(f"  {'met   ' if met else 'MISSED'} {target.what:48} {middle:8.2f} "
                         f"({min(values):.2f} to {max(values):.2f}), {bound}")
    return "\n".join(lines)


def json_text(results: list[Result]) -> str:
    return json.dumps([{
        "group": result.name, "rounds": result.rounds,
        "targets": [{"what": target.what, "ratios": ratios(result, target), "atLeast": target.at_least,
                     "atMost": target.at_most,
                     "limits": limits(result, target) if target.limit else None} for target in result.targets],
    } for result in results], indent=1)
