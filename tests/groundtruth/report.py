"""What a run found, for people, and which answers were wrong."""

from statistics import mean

from tests.groundtruth.compare import AllCompared, Compared, silences
from tests.groundtruth.fleet import Run
from tests.groundtruth.scenario import ALL


def report(run: Run, compared: AllCompared) -> list[str]:
    """Prints the table; returns a line for each answer that was further from the truth than tolerated, and for a signal that said
    nothing."""
    misses = []
    records = run.records.values()
    front_end = max(record.front_end_seconds for record in records)
    print(
        f"\n{run.scenario.name}: {sum(len(r.requests) for r in records)} requests, {sum(len(r.served) for r in records)} executed, "
        f"generator late by at most {max(r.lateness() for r in records) * 1000:.1f} ms, front end {front_end * 1000:.2f} ms "
        f"(longest stall {max(r.longest_stall() for r in records):.2f} s), no value: {_say_silences(run) or 'never'}"
    )
    print(
        f"{'signal':30} {'answers':>7} {'truth':>10} {'ours':>10} {'worst error':>11} {'tolerated':>10}   (at mean, and worst)"
    )
    for (signal, selector), each_answer in compared.items():
        if not each_answer:
            misses.append(f"{signal}: no answer had a value")
            continue
        worst = max(each_answer, key=lambda each: each.share)
        truth, ours = mean(each.truth for each in each_answer), mean(each.ours for each in each_answer)
        print(
            f"{signal:30} {len(each_answer):7} {truth:10.3f} {ours:10.3f} {worst.error:+11.4f} {worst.tolerance:10.4f}"
            f"{'' if selector == ALL else '   ' + selector}"
        )
        misses += [_say(each, run) for each in each_answer if each.share > 1]
    return misses


def _say_silences(run: Run) -> str:
    return ", ".join(f"{signal} {reason} {count} times" for (signal, reason), count in silences(run).items())


def _say(miss: Compared, run: Run) -> str:
    return (
        f"{miss.reading.signal} at {miss.reading.asked_at - run.began:.2f} s: {miss.ours:.6f}, "
        f"truth {miss.truth:.6f} ± {miss.tolerance:.6f}"
    )
