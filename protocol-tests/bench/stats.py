"""Medians, bootstrap intervals, and when a repetition counts."""

import random
import statistics

# performance.md section 5 rule 3.
CPU_WAIT_PER_RUN_MAX = 1.0
LATENCY_WAIT_PER_RUN_MAX = 0.05
LATENCY_FOREIGN_MAX = 0.05
# Of the wall time: a client that mostly waits for answers runs so little that any wait is much of it.
LATENCY_WAIT_MIN = 0.01
CPU_FOREIGN_MAX = 0.5


def interval(values, resamples=4000):
    """Median and 95 % bootstrap interval of the median."""
    if not values:
        return None
    chance = random.Random(4)
    medians = sorted(
        statistics.median(chance.choices(values, k=len(values))) for _ in range(resamples)
    )
    low, high = medians[int(resamples * 0.025)], medians[int(resamples * 0.975)]
    return {"median": statistics.median(values), "low": low, "high": high, "n": len(values), "min": min(values)}


def wait_per_run(cost):
    return cost["wait_ns"] / max(cost["cpu_ns"], 1)


def foreign_share(cost):
    """CPU that neither broker nor client used, as a share of the wall time."""
    own = cost["broker"]["cpu_ns"] + cost["client"]["cpu_ns"]
    return max(0, cost["busy_ns"] - own) / cost["wall_ns"]


def disturbed(cost, latency):
    """Why a repetition does not count, or None. A pinned broker's threads wait for each other, so
    for latency the CPU of foreign processes decides in the place of the broker's run queue."""
    if latency:
        waited = wait_per_run(cost["client"])
        is_felt = cost["client"]["wait_ns"] > LATENCY_WAIT_MIN * cost["wall_ns"]
        if waited > LATENCY_WAIT_PER_RUN_MAX and is_felt:
            return f"client wait/run {waited:.2f}"
        foreign = foreign_share(cost)
        return f"foreign CPU {foreign:.0%}" if foreign > LATENCY_FOREIGN_MAX else None
    waited = wait_per_run(cost["broker"])
    # Own threads on one core wait for each other as well: only with foreign CPU is it noise.
    if waited > CPU_WAIT_PER_RUN_MAX and foreign_share(cost) > CPU_FOREIGN_MAX:
        return f"broker wait/run {waited:.2f}"
    return None
