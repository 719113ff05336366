"""Prints the tables of `gate_trials.py`'s results as Markdown: python benchmarks/gate_tables.py TRIALS NAIVE PEERS."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from gate_trials import CONDITIONS, LOOKS, NETS, PLANS, SEED, Plan, read

from edgekit.bench.environment import fingerprint
from edgekit.bench.gate.evidence import LostShare, PairedRatios
from edgekit.bench.gate.judge import ALPHA, settle
from edgekit.bench.gate.verdict import Outcome
from edgekit.bench.statistics import hodges_lehmann, wilson


def share(count: int, n: int) -> str:
    found = wilson(count, n)
    return f"{count}/{n} ({found.value * 100:.1f} % [{found.low * 100:.1f}, {found.high * 100:.1f}])"


def table(trials: Path, naive_trials: Path, peer_rows: Path) -> None:
    rows, machine = read(trials), fingerprint()
    packages = machine["packages"]
    print("# Trials of the gate\n")
    print(f"Printed by `benchmarks/gate_tables.py` from what `benchmarks/gate_trials.py` ran (seed {SEED}). Machine: "
          f"{machine['cpu']}, {machine['cores']} cores, shared; onnxruntime {packages['onnxruntime']}, OpenVINO "
          f"{packages['openvino']}. Looks at {LOOKS} sessions. Seconds are those of measuring, the start of "
          "processes included; brackets are Wilson's 95 % intervals.\n")  # fmt: skip
    _verdict_table(rows)
    _coverage_table(rows)
    _family_table(rows)
    _naive_table(rows, read(naive_trials))
    _peer_table(read(peer_rows))
    _accuracy_table()


def _groups(rows: Sequence[dict]) -> Iterator[tuple[Plan, str, list[dict]]]:
    for plan in PLANS:
        for condition in CONDITIONS:
            chosen = [
                row
                for row in rows
                if (row["net"], row["effect"], row["threshold"], row["condition"])
                == (plan.net, plan.effect, plan.threshold, condition)
            ]
            if chosen:
                yield plan, condition, chosen


def _verdict_table(rows: Sequence[dict]) -> None:
    print("## Verdicts\n")
    print("| latency | true effect | threshold | machine | FAIL | PASS | INCONCLUSIVE | decided within: median, 95 % |")
    print("|---|--:|--:|---|--:|--:|--:|--:|")
    for plan, condition, chosen in _groups(rows):
        n, outcomes = len(chosen), [row["outcome"] for row in chosen]
        seconds = [row["seconds"] for row in chosen]
        cells = [share(outcomes.count(name), n) for name in ("FAIL", "PASS", "INCONCLUSIVE")]
        print(f"| {plan.net} | {plan.effect:+.0%} | {plan.threshold:.1%} | {condition} | {' | '.join(cells)} "
              f"| {np.median(seconds):.1f} s, {np.quantile(seconds, 0.95):.1f} s |")  # fmt: skip
    print("\nFAIL of real slowdowns by the time that it took:\n")
    print("| latency | true effect | threshold | machine | within 2.5 s | 3 s | 6 s | 10 s |")
    print("|---|--:|--:|---|--:|--:|--:|--:|")
    for plan, condition, chosen in _groups(rows):
        if plan.effect and plan.net != "50 ms":
            cells = [
                share(sum(row["outcome"] == "FAIL" and row["seconds"] <= limit for row in chosen), len(chosen))
                for limit in (2.5, 3, 6, 10)
            ]
            print(f"| {plan.net} | {plan.effect:+.0%} | {plan.threshold:.1%} | {condition} | {' | '.join(cells)} |")
    print()


def _coverage_table(rows: Sequence[dict]) -> None:
    print("## Coverage of the known effect\n")
    print("The 95 % interval of the first 10 sessions, as `edgekit bench` shows it (its exact level is 95.1 %), "
          "and the gate's own, which holds for all looks together and is therefore wider.\n")  # fmt: skip
    print("| latency | machine | bench, 10 sessions | gate, where it stopped | session's standard deviation |")
    print("|---|---|--:|--:|--:|")
    for net in NETS:
        for condition in CONDITIONS:
            chosen = [row for row in rows if row["net"] == net and row["condition"] == condition]
            if not chosen:
                continue
            fixed = [hodges_lehmann(row["log_ratios"][: LOOKS[0]]) for row in chosen]
            held = sum(i.low <= math.log1p(row["effect"]) <= i.high for i, row in zip(fixed, chosen, strict=True))
            gate = sum(row["interval"]["low"] <= row["effect"] <= row["interval"]["high"] for row in chosen)
            noise = np.concatenate([np.array(row["log_ratios"]) - math.log1p(row["effect"]) for row in chosen])
            deviation = 1.4826 * np.median(np.abs(noise - np.median(noise)))
            print(f"| {net} | {condition} | {share(held, len(chosen))} | {share(gate, len(chosen))} "
                  f"| {deviation:.2%} |")  # fmt: skip
    print()


def _family_table(rows: Sequence[dict], families: int = 2000, metrics: int = 20) -> None:
    """Families of 20 metrics whose sessions are drawn from the real ones of identical arms."""
    print("## One gate over 20 metrics\n")
    print(f"{families} gates of {metrics} metrics each, sessions drawn with replacement from the real sessions of "
          "identical arms, centred; share of gates in which any metric fails.\n")  # fmt: skip
    print("| latency | machine | all identical, threshold 2.5 % | all slower by just the threshold |")
    print("|---|---|--:|--:|")
    draw = np.random.default_rng(SEED)
    for net in NETS:
        for condition in CONDITIONS:
            chosen = [r for r in rows if (r["net"], r["condition"], r["effect"]) == (net, condition, 0.0)]
            if not chosen:
                continue
            noise = np.array([ratio for row in chosen for ratio in row["log_ratios"]])
            noise -= np.median(noise)
            cells = [
                share(sum(_family_fails(draw, noise, effect, metrics) for _ in range(families)), families)
                for effect in (0.0, 0.025)
            ]
            print(f"| {net} | {condition} | {cells[0]} | {cells[1]} |")
    print()


def _family_fails(draw: np.random.Generator, noise: np.ndarray, effect: float, metrics: int) -> bool:
    sessions = draw.choice(noise, (metrics, LOOKS[-1])) + math.log1p(effect)
    outcomes: dict = {}
    for look in LOOKS:
        evidence = {(str(m), "latency"): PairedRatios(tuple(sessions[m, :look]), LOOKS) for m in range(metrics)}
        outcomes = settle(evidence, dict.fromkeys(evidence, 0.025), outcomes)
        if Outcome.FAIL in outcomes.values():
            return True
        if len(outcomes) == metrics:
            return False
    return False


def _naive_table(rows: Sequence[dict], naive_rows: Sequence[dict]) -> None:
    if not naive_rows:
        return
    print("## Beside `pytest-benchmark --benchmark-compare-fail=mean:10%`\n")
    print("The same model and slowdowns on the same machine: base saved, head compared, as users do it. The gate's "
          "threshold is 2.5 %.\n")  # fmt: skip
    print("| true effect | machine | pytest-benchmark alarms | edgekit gate FAIL |")
    print("|--:|---|--:|--:|")
    for effect in (0.0, 0.05, 0.10):
        for condition in CONDITIONS:
            theirs = [r["alarm"] for r in naive_rows if (r["effect"], r["condition"]) == (effect, condition)]
            ours = [
                r["outcome"] == "FAIL"
                for r in rows
                if (r["net"], r["effect"], r["condition"], r["threshold"]) == ("0.8 ms", effect, condition, 0.025)
            ]
            if theirs and ours:
                print(f"| {effect:+.0%} | {condition} | {share(sum(theirs), len(theirs))} "
                      f"| {share(sum(ours), len(ours))} |")  # fmt: skip
    print()


def _peer_table(rows: Sequence[dict]) -> None:
    if not rows:
        return
    print("## Our p50 beside other tools'\n")
    print("| peer | ours / theirs, paired | pairs |")
    print("|---|--:|--:|")
    for peer in dict.fromkeys(row["peer"] for row in rows):
        ratios = [math.log(row["ours_ns"] / row["peer_ns"]) for row in rows if row["peer"] == peer]
        found = hodges_lehmann(ratios)
        print(f"| {peer} | {math.exp(found.value):.3f} [{math.exp(found.low):.3f}, {math.exp(found.high):.3f}] "
              f"| {len(ratios)} |")  # fmt: skip
    print()


def _accuracy_table(trials: int = 20_000) -> None:
    print("## Accuracy\n")
    print(f"{trials} simulated pairs of models each, margin 1 point, {ALPHA:.1%} a side.\n")
    print("| true drop | samples that the two answer differently | samples | FAIL | PASS |")
    print("|--:|--:|--:|--:|--:|")
    draw = np.random.default_rng(SEED)
    for drop, discordant, samples in (
        (0.0, 0.04, 500), (0.0, 0.04, 10_000), (0.01, 0.04, 10_000), (0.02, 0.04, 10_000), (0.02, 0.06, 10_000),
    ):  # fmt: skip
        chances = [(discordant - drop) / 2, (discordant + drop) / 2, 1 - discordant]
        counts = draw.multinomial(samples, chances, trials)
        found = [LostShare(int(gained), int(lost), samples) for gained, lost, _ in counts]
        fails = sum(evidence.low(ALPHA) > 0.01 for evidence in found)
        passes = sum(evidence.high(ALPHA) <= 0.01 for evidence in found)
        print(f"| {drop:.1%} | {discordant:.0%} | {samples} | {fails / trials:.2%} | {passes / trials:.2%} |")


if __name__ == "__main__":
    table(*map(Path, sys.argv[1:4]))
