"""Simulated learners of stated skill, taught by the real tutor: is it right about them?

    python benchmarks/teach_learners.py --runs 200 --cases 300 --out results.json

No scan is rendered: whether a metastasis is found is drawn from the psychometric function of the
learner, at the contrast-to-noise ratio that the tutor asked for. Two questions:

1. How often does the staircase's 95 % interval hold the learner's true threshold, over all bones
   (learners with one threshold) and for each bone (learners whose bones differ)?
2. How much more often are kinds shown that the learner mistakes (in 60 % of cases) than those that
   the learner knows (mistaken in 2 %)? Kinds are dealt out at random in each run; the course has
   all with the same share.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bonescint.intervals import exact_share
from bonescint.scan import UptakeSite
from bonescint.simulate import TWELVE_NAMES
from bonescint.simulate.metastases import draw_lesion_number
from bonescint.teach.appearances import Appearance
from bonescint.teach.cases import VISIBLE_CONTRAST_TO_NOISE, CaseSpec
from bonescint.teach.courses import ContrastRange, Course, read_course
from bonescint.teach.outcomes import FindingOutcome, LesionOutcome, Outcome
from bonescint.teach.staircase import found_probability
from bonescint.teach.supply import AHEAD
from bonescint.teach.tutor import LearnerState, Tutor

KINDS = tuple(read_course("joints").mimics)
SHARE = 0.25
BY_CHANCE = 0.10
"""Share of the cases that show a kind without being asked, where nothing thins them out."""
SESSION, CASE_S, DAY_S = 30, 60.0, 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Skill:
    """What a simulated learner can do."""

    thresholds: dict[str, float]
    slope: float
    lapse: float
    mistakes: dict[UptakeSite, float]


def skill_of(rng: np.random.Generator, *, bones_differ: bool) -> Skill:
    """Draw a learner."""
    middle = float(np.exp(rng.normal(np.log(12), 0.5)))
    spread = 0.3 if bones_differ else 0.0
    missed = set(rng.permutation(len(KINDS))[: len(KINDS) // 2].tolist())
    return Skill(
        thresholds={bone: middle * float(np.exp(rng.normal(0, spread))) for bone in TWELVE_NAMES},
        slope=float(rng.uniform(1.5, 4.0)),
        lapse=float(rng.uniform(0.01, 0.08)),
        mistakes={kind: 0.6 if n in missed else 0.02 for n, kind in enumerate(KINDS)},
    )


def course() -> Course:
    """A course in which every kind has the same share."""
    return replace(
        read_course("joints"),
        mimics=dict.fromkeys(KINDS, SHARE),
        lesions={Appearance.SOLITARY: 0.5, Appearance.DISSEMINATED: 0.5},
        contrast_to_noise=ContrastRange(low=3, high=60),
        prevalence=0.5,
    )


def outcome_of(spec: CaseSpec, skill: Skill, rng: np.random.Generator) -> Outcome:
    """What the learner makes of a case."""
    lesions: list[LesionOutcome] = []
    unseen: list[LesionOutcome] = []
    if spec.contrast_to_noise is not None:
        number = 1
        if spec.appearance is not Appearance.SOLITARY:
            number = draw_lesion_number(rng, "other")
        ratios = [spec.contrast_to_noise * float(np.exp(rng.normal(0, 0.03)))]
        ratios += [
            spec.contrast_to_noise * (1.25 + float(rng.lognormal(0, 0.8)))
            for _ in range(number - 1)
        ]
        bones = [spec.bone, *rng.choice(TWELVE_NAMES, size=number - 1).tolist()]
        for bone, ratio in zip(bones, ratios, strict=True):
            chance = float(
                found_probability(ratio, skill.thresholds[bone], skill.slope, skill.lapse)
            )
            confidence = 80.0 if rng.random() < chance else None
            hidden = confidence is None and ratio < VISIBLE_CONTRAST_TO_NOISE
            (unseen if hidden else lesions).append(
                LesionOutcome(bone=bone, contrast_to_noise=ratio, confidence=confidence)
            )
    shown = [
        kind for kind in KINDS if kind in spec.findings or rng.random() < BY_CHANCE * spec.others
    ]
    return Outcome(
        positive=spec.positive,
        called=any(one.confidence is not None for one in lesions),
        confidence=50,
        seconds=40,
        lesions=tuple(lesions),
        findings=tuple(
            FindingOutcome(
                site=kind, mistaken=bool(rng.random() < skill.mistakes[kind]), named=None
            )
            for kind in shown
        ),
        unseen=tuple(unseen),
    )


def taught(skill: Skill, cases: int, seed: int) -> tuple[LearnerState, Counter[str], Counter[str]]:
    """Teach one learner.

    Returns:
        What the tutor knows in the end, how often each kind was shown because the tutor asked for
        it, and how often it was shown at all.
    """
    rng = np.random.default_rng([seed, 2])
    tutor = Tutor(course=course(), seed=str(seed))
    state, now_s = LearnerState(), 1.7e9
    ahead = [tutor.spec(number, state, now_s=0.0) for number in range(AHEAD + 1)]
    asked: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for number in range(cases):
        spec = ahead.pop(0)
        outcome = outcome_of(spec, skill, rng)
        asked.update(spec.findings)
        seen.update(finding.site for finding in outcome.findings)
        now_s += CASE_S if (number + 1) % SESSION else DAY_S - CASE_S * SESSION
        state = state.after(outcome, at_s=now_s)
        ahead.append(tutor.spec(number + AHEAD + 1, state, now_s=now_s))
    return state, asked, seen


def ratio_of(counts: Counter[str], skill: Skill) -> float:
    """Mean count of kinds that are mistaken, over that of kinds that are known."""
    missed = [counts[kind] for kind, share in skill.mistakes.items() if share > 0.5]
    known = [counts[kind] for kind, share in skill.mistakes.items() if share <= 0.5]
    return float(np.mean(missed) / max(np.mean(known), 1e-9))


def main() -> None:
    """Run, print and store the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    inside = {"all bones together": [0, 0], "bone by bone": [0, 0]}
    widths, asked_ratios, seen_ratios = [], [], []
    for run in range(options.runs):
        for bones_differ in (False, True):
            rng = np.random.default_rng([options.seed, run, bones_differ])
            skill = skill_of(rng, bones_differ=bones_differ)
            seed = int(rng.integers(2**31))
            state, asked, seen = taught(skill, options.cases, seed)
            for estimate in state.estimates():
                if bones_differ == (estimate.bone == ""):
                    continue
                kind = "bone by bone" if bones_differ else "all bones together"
                truth = skill.thresholds[estimate.bone or TWELVE_NAMES[0]]
                inside[kind][0] += estimate.low <= truth <= estimate.high
                inside[kind][1] += 1
                if not bones_differ:
                    widths.append(estimate.high / estimate.low)
            asked_ratios.append(ratio_of(asked, skill))
            seen_ratios.append(ratio_of(seen, skill))
        print(run + 1, inside, f"asked {np.median(asked_ratios):.1f}", flush=True)
    results = {
        "runs": options.runs,
        "cases": options.cases,
        "seed": options.seed,
        "interval holds the truth": {
            kind: exact_share(hits, number).text(3) for kind, (hits, number) in inside.items()
        },
        "upper over lower end of the interval, median": float(np.median(widths)),
        "shown on request, mistaken over known kinds": {
            "median": float(np.median(asked_ratios)),
            "least": float(min(asked_ratios)),
            "share of runs with at least 3": float(np.mean(np.array(asked_ratios) >= 3)),
        },
        "shown at all, mistaken over known kinds": {
            "median": float(np.median(seen_ratios)),
            "least": float(min(seen_ratios)),
        },
    }
    text = json.dumps(results, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
