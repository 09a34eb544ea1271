"""The report of a run: JSON with every raw round, Markdown, plots where matplotlib is."""

import json
import os
import platform

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
LIMITS = (
    "A small shared machine cannot show: absolute GB/s and p99.99, network cards, more than two cores, "
    "replication over separate hosts, fsync on real NVMe, hardware counters, JVM peers at their natural "
    "core count."
)


def environment(options):
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "cpus": os.cpu_count(),
        "cpu": cpu[0] if cpu else "unknown",
        "kernel": platform.release(),
        "rounds": options.rounds,
        "pinned": options.pin,
        "quick": options.quick,
        "peers": "Apache Kafka 4.1.2 (G1, 1 GiB heap, warmed up); Redpanda, Krabka, kafka-native, Tansu: peer absent",
    }


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def with_interval(found):
    if not found:
        return "peer absent"
    return f"{number(found['median'])} [{number(found['low'])}, {number(found['high'])}]"


def verdict(found, goal):
    """Met when the interval's bad end meets the goal."""
    if not found:
        return ""
    if found["high"] <= goal:
        return f"≤ {goal:g} met"
    return f"≤ {goal:g} **missed**" if found["low"] > goal else f"≤ {goal:g} open"


def cpu_table(rows):
    yield "| row | workload (D0, broker CPU) | unit | Ottla | Kafka | floor | Ottla / Kafka | Ottla / floor | n |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        if row["noisy"]:
            yield f"| {row['id']} | {row['title']} | {row['unit']} | noisy, not reported | | | | | |"
            continue
        x, f = row["x"], row["f"]
        yield (
            f"| {row['id']} | {row['title']} | {row['unit']} | {with_interval(row['ottla'])} "
            f"| {with_interval(row['kafka'])} | {with_interval(row['floor'])} "
            f"| {with_interval(x)} {verdict(x, row['goal_x'])} | {with_interval(f)} {verdict(f, row['goal_f'])} "
            f"| {row['ottla']['n']} |"
        )


def latency_table(rows):
    yield ""
    yield "| row | ms | Ottla | Kafka | floor |"
    yield "|---|---|---|---|---|"
    for row in rows:
        for key, name in (("p50_ns", "p50"), ("p99_ns", "p99"), ("p99_9_ns", "p99.9")):
            if key in row and not row["noisy"]:
                cells = " | ".join(with_interval(row[key][subject]) for subject in ("ottla", "kafka", "floor"))
                what = "answer" if row["id"].startswith("L") else "arrival"
                yield f"| {row['id']} | {what} {name} | {cells} |"


def others(rows):
    yield ""
    yield "| row | what | Ottla | Kafka | floor |"
    yield "|---|---|---|---|---|"
    for row in rows:
        if "failed" in row:
            yield f"| {row['id']} | failed: {row['failed']} | | | |"
            continue
        match row["id"]:
            case "P9":
                cells = ", ".join(f"{a}: {with_interval(row[f'acks={a}'])}" for a in ("0", "1", "all"))
                yield f"| P9 | {row['title']}, {row['unit']} | {cells}; spread {number(row['spread'])} | – | – |"
            case "L1":
                yield (f"| L1 | exec to first acknowledged record, ms | {with_interval(row['ottla'])}, "
                       f"p99 {number(row['ottla p99'])} | {with_interval(row['kafka'])} "
                       f"| {number(row['floor']['median'])} |")
                yield (f"| L15 | SIGTERM to exit, ms | {with_interval(row['ottla stop'])} "
                       f"| {with_interval(row['kafka stop'])} | – |")
            case "L2":
                cells = [idle_cell(row.get(name)) for name in ("ottla", "kafka")]
                yield f"| L2 | {row['title']} | {cells[0]} | {cells[1]} | – |"
            case "L3":
                cells = [f"{row[n]['first_mb']:.0f} → {row[n]['last_mb']:.0f} MB" if n in row else "peer absent"
                         for n in ("ottla", "kafka")]
                yield f"| L3 | {row['title']} | {cells[0]} | {cells[1]} | – |"
            case "L6":
                cells = [f"{row[n]['ms']:.0f} ms, peak {row[n]['peak_mb']:.0f} MB, read {row[n]['read_mb']:.0f} MB"
                         if row.get(n) else "peer absent" for n in ("ottla", "kafka")]
                yield f"| L6 | {row['title']} | {cells[0]} | {cells[1]} | – |"
            case "L7":
                cells = [f"{row[n]['kib_each']:.1f} KiB" if row.get(n) else "peer absent" for n in ("ottla", "kafka")]
                yield (f"| L7 | {row['title']} | {cells[0]} | {cells[1]} "
                       f"| {row['slab_kib_per_endpoint']:.1f} KiB slab |")
            case "L9":
                cells = [rebalance_cell(row.get(name)) for name in ("ottla", "kafka")]
                yield f"| L9 | {row['title']} | {cells[0]} | {cells[1]} | – |"
            case "L16":
                cells = [f"{row[n]['ms']:.0f} ms, peak {row[n]['peak_mb']:.0f} MB" if row.get(n) else "peer absent"
                         for n in ("ottla", "kafka")]
                yield f"| L16 | {row['title']} | {cells[0]} | {cells[1]} | – |"
            case "L13":
                found = row["ottla"]
                yield (f"| L13 | {row['title']} | p99 {number(found['quiet_p99_ms'])} ms quiet, "
                       f"{number(found['deleting_p99_ms'])} ms while {found['segments_before']} become "
                       f"{found['segments_after']} | – | – |")
            case "L13c":
                cells = [compaction_cell(row.get(name)) for name in ("ottla", "kafka")]
                x = f"; Ottla / Kafka {number(row['x'])}" if "x" in row else ""
                yield f"| L13c | {row['title']}, {row['unit']}{x} | {cells[0]} | {cells[1]} | – |"


def compaction_cell(found):
    if not found:
        return "peer absent"
    return (f"{number(found['cpu_s_per_gib'])} in {number(found['took_s'])} s, +{found['extra_mb']:.0f} MB; p99 "
            f"{with_interval(found['quiet_p99_ms'])} ms quiet, {with_interval(found['p99_ms'])} ms meanwhile")


def rebalance_cell(found):
    if not found:
        return "peer absent"
    return (f"first {with_interval(found['first'])} ms, again {with_interval(found['again'])} ms "
            f"with {with_interval(found['cpu_ms'])} ms of CPU")


def idle_cell(found):
    if not found:
        return "peer absent"
    return (f"{found['pss_mb']:.1f} MB, {found['wakeups_per_s']:.1f} wake-ups/s, "
            f"{found['writes_per_s']:.1f} writes/s, {found['threads']} threads")


def markdown(report):
    env, cpu = report["environment"], [row for row in report["rows"] if "goal_x" in row]
    lines = [
        f"{env['rounds']} interleaved rounds; {env['cpus']} CPUs ({env['cpu']}), "
        f"{'broker on core 0, client on core 1' if env['pinned'] else 'unpinned'}, "
        f"median [95 % bootstrap interval]. Peers: {env['peers']}.",
        "",
        f"Calibration: {report['calibration']}",
        "",
    ]
    if cpu:
        lines += cpu_table(cpu)
        lines += latency_table(cpu)
    rest = [row for row in report["rows"] if "goal_x" not in row]
    if rest:
        lines += others(rest)
    lines += ["", LIMITS]
    return "\n".join(lines)


def plots(report, directory):
    """One chart of ratios, one of raw rounds per row."""
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in report["rows"] if "goal_x" in row and not row["noisy"]]
    if not rows:
        return
    figure, axes = pyplot.subplots(figsize=(10, 5))
    places = range(len(rows))
    for shift, key, label in ((-0.2, "x", "Ottla / Kafka"), (0.2, "f", "Ottla / floor")):
        found = [(place + shift, row[key]) for place, row in zip(places, rows) if row[key]]
        middle = [value["median"] for _, value in found]
        axes.bar([place for place, _ in found], middle, 0.38, label=label,
                 yerr=[[m - v["low"] for m, (_, v) in zip(middle, found)],
                       [v["high"] - m for m, (_, v) in zip(middle, found)]])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(list(places), [row["id"] for row in rows])
    axes.set_ylabel("broker CPU, ratio within a round")
    axes.legend()
    figure.tight_layout()
    figure.savefig(directory / "ratios.png", dpi=120)
    pyplot.close(figure)
    for row in rows:
        figure, axes = pyplot.subplots(figsize=(6, 3))
        for name in ("ottla", "kafka", "floor"):
            values = [costs[name]["cost"]["broker"]["cpu_ns"] / 1e9 / max(costs[name]["bytes"], 1) * (1 << 30)
                      for costs in row["rounds"] if costs.get(name)]
            axes.plot(range(1, len(values) + 1), values, "o-", label=name)
        axes.set_title(row["id"])
        axes.set_xlabel("round")
        axes.set_ylabel("broker CPU-s/GiB")
        axes.set_ylim(bottom=0)
        axes.legend()
        figure.tight_layout()
        figure.savefig(directory / f"{row['id']}.png", dpi=120)
        pyplot.close(figure)


def write(report, directory):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report, indent=1))
    text = markdown(report)
    (directory / "report.md").write_text(f"# Ottla, measured\n\n{text}\n")
    plots(report, directory)
    return f"{BEGIN}\n{text}\n{END}"
