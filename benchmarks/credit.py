"""What the verdicts about lessons are worth, by streams of runs whose true effects are known.

False verdicts at any time, time to true ones, the same streams under the rules of others, poisoned lessons, intervals of the store's
effect, the switch that stops showing lessons, units that come again, missing outcomes, the race of doses, and what it costs to compute.

    python benchmarks/credit.py                # all tables, 2,000 draws for each line
    python benchmarks/credit.py --quick        # 200 draws
    python benchmarks/credit.py --only verdicts --draws 500
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from credit_returning import after_each_run
from credit_rules import RULES
from credit_streams import EASY, HARD, MEDIUM, Stream, World, stream

from langchain_reflect.credit import DECIDED, difficulty, race, trials, uplift
from langchain_reflect.credit.betting import Observed, lowered, lowered_path, observe, paths, raised
from langchain_reflect.credit.columns import TREATED, Episodes, Exposures
from langchain_reflect.credit.comparing import Runs, observed_of, uneven

LIMIT = float(np.log(DECIDED))
NEVER = 10**9


def waves(part: np.ndarray) -> np.ndarray:
    """Tasks grow easier and harder, twice."""
    return 0.25 * np.sin(4 * np.pi * part)


def step(part: np.ndarray) -> np.ndarray:
    """A better model comes in half-way."""
    return np.where(part < 0.5, -0.2, 0.2)


USELESS = {
    "useless, easy tasks": World(EASY),
    "useless, medium tasks": World(MEDIUM),
    "useless, hard tasks": World(HARD),
    "useless, each task new": World(MEDIUM, repeats=False),
    "useless, tasks differ widely": World((0.02, 0.98)),
    "useless, difficulty in waves": World(MEDIUM, drift=waves),
    "useless, model changes half-way": World(MEDIUM, drift=step),
    "useless, judged 50 runs late": World(MEDIUM, delay=50),
    "useless, 40 % not judged, failures more": World(MEDIUM, missing=0.4),
    "useless, beside +20 and -20": World(MEDIUM, (0.0, 0.2, -0.2)),
    "useless, failures told at once, successes 50 runs later": World(MEDIUM, late=50),
    "useless, shares as rewards": World(MEDIUM, partial=True),
    "useless, withheld 5 %": World(MEDIUM, shown=0.95),
    "useless, other words until half-way, which took 20": World(MEDIUM, reworded=(500, -0.2)),
}
RETURN = {
    **{f"{n} in a row": {"per_unit": n} for n in (2, 5, 20)},
    **{f"{n} on average, in any order": {"users": 1000 // n} for n in (2, 5, 20)},
    **{f"{n}, all units once before one comes again": {"users": 1000 // n, "rounds": True} for n in (2, 5, 20)},
}
"""How the runs of a unit come, of 1,000 runs of a store."""
UNJUDGED = {
    "10 % of all": ((0.1, 0.1), (0.1, 0.1)),
    "10 % without the lesson, 30 % with": ((0.1, 0.1), (0.3, 0.3)),
    "half of the failures with the lesson": ((0.0, 0.0), (0.5, 0.0)),
    "half of the successes with the lesson": ((0.0, 0.0), (0.0, 0.5)),
}
"""Share of failures and of successes that nobody judges, without the lesson and with it."""
USEFUL = {
    "harmful -20, easy tasks": World(EASY, (-0.2,)),
    "helpful +20, hard tasks": World(HARD, (0.2,)),
    "harmful -20, easy, each task new": World(EASY, (-0.2,), repeats=False),
    "helpful +20, hard, each task new": World(HARD, (0.2,), repeats=False),
    "harmful -20, medium tasks": World(MEDIUM, (-0.2,)),
    "helpful +20, medium tasks": World(MEDIUM, (0.2,)),
    "helpful +20, difficulty in waves": World(MEDIUM, (0.2,), drift=waves),
    "helpful +20, hard, beside +20 and -20": World((0.25, 0.45), (0.2, 0.2, -0.2)),
    "harmful -20, easy, 40 % not judged": World(EASY, (-0.2,), missing=0.4),
    "harmful -20, easy, judged 50 runs late": World(EASY, (-0.2,), delay=50),
    "harmful -20, easy, withheld 5 %": World(EASY, (-0.2,), shown=0.95),
    "helpful +10, hard tasks": World(HARD, (0.1,)),
    "helpful +40, hard tasks": World(HARD, (0.4,)),
}
POISONED = {
    "always hurts, -30, easy": World(EASY, (-0.3,)),
    "always hurts, -30, medium": World((0.35, 0.65), (-0.3,)),
    "+20 on a quarter of tasks, -30 on others": World((0.35, 0.65), (0.2,), fits=0.25, elsewhere=-0.3),
    "+20 on half of tasks, -30 on others": World((0.35, 0.65), (0.2,), fits=0.5, elsewhere=-0.3),
}


def first_lesson(made: Stream, baseline: np.ndarray) -> Observed:
    """Judged exposures of the first lesson of each store, in its last words, in order of judgement."""
    count = len(made.exposures.episode) // len(made.world.effects)
    told = made.exposures
    mine = np.flatnonzero(told.trial[:count] < len(made.reward))
    runs = Runs(told.trial[mine], told.episode[mine], told.shown[mine], told.probability[mine])
    return observed_of(made.episodes, runs, baseline, ~np.isnan(made.episodes.reward[runs.episode]))


def crossings(observed: Observed, log_evidence: np.ndarray, draws: int, limit: float = LIMIT) -> np.ndarray:
    """Units after which the evidence first reaches the limit, for each store."""
    first = np.full(draws, NEVER)
    sizes = np.diff(observed.first, append=len(log_evidence))
    place = np.arange(len(log_evidence)) - np.repeat(observed.first, sizes)
    hit = np.flatnonzero(log_evidence >= limit)
    np.minimum.at(first, np.repeat(observed.number, sizes)[hit], place[hit] + 1)
    return first


def credited(made: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Judged exposures after which the first lesson is promoted, and retired, for each store; whatever comes first stands."""
    observed = first_lesson(made, difficulty(made.episodes))
    up, down = (crossings(observed, each, len(made.reward)) for each in (paths(observed)[0], lowered_path(observed)))
    return np.where(up < down, up, NEVER), np.where(down < up, down, NEVER)


def by_rule(made: Stream, rule: Callable[..., tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """As `credited`, by a rule that looks only at runs in which the lesson was shown."""
    draws, runs = made.reward.shape
    order = np.argsort(np.where(np.isnan(made.reward), np.inf, made.at), axis=1, kind="stable")
    reward, shown = (np.take_along_axis(each, order, axis=1) for each in (made.reward, made.shown))
    known = ~np.isnan(reward)
    total = np.concatenate([np.zeros((draws, 1)), np.nancumsum(reward, axis=1)], axis=1)
    begin = np.maximum(np.arange(runs) - 49, 0)
    recent = (total[:, 1:] - total[:, begin]) / (np.arange(runs) - begin + 1)
    used = shown & known
    place = np.argsort(~used, axis=1, kind="stable")
    count = used.sum(axis=1, keepdims=True)
    padded = np.where(np.arange(runs) < count, np.take_along_axis(reward, place, axis=1), np.nan)
    promote, retire = rule(padded, np.take_along_axis(recent, place, axis=1))
    up, down = (_first(each, place) for each in (promote, retire))
    return np.where(up < down, up, NEVER), np.where(down < up, down, NEVER)


def _first(decided: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Number of the run at which it was decided first."""
    at = np.take_along_axis(place, decided.argmax(axis=1)[:, None], axis=1)[:, 0] + 1
    return np.where(decided.any(axis=1), at, NEVER)


def share(times: np.ndarray, until: int = NEVER - 1) -> str:
    """Per cent that were decided until then."""
    return f"{100 * np.mean(times <= until):.1f}"


def median(times: np.ndarray) -> str:
    """Median, if at least half were decided at all."""
    middle = np.median(times)
    return "never" if middle >= NEVER / 2 else f"{middle:.0f}"


def table(title: str, head: str, rows: list[list[str]]) -> None:
    """Print as Markdown."""
    names = head.split("|")
    print(f"\n### {title}\n\n| {' | '.join(names)} |\n| {' | '.join(['---'] + ['---:'] * (len(names) - 1))} |")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def verdicts(draws: int) -> None:
    """False and true verdicts, at any time."""
    rows = []
    for number, (name, world) in enumerate(USELESS.items()):
        up, down = credited(stream(world, draws=draws, runs=1000, seed=number))
        rows.append([name, share(up), share(down)])
    parts = [credited(stream(World(MEDIUM), draws=min(draws, 200), runs=10_000, seed=9000 + part)) for part in range(max(draws // 200, 1))]
    up, down = (np.concatenate(each) for each in zip(*parts, strict=True))
    rows.append(["useless, medium tasks, 10,000 runs", share(up), share(down)])
    title = f"Useless lessons: wrong verdicts at any time within 1,000 runs (N = {draws} each; promised: 5 at most)"
    table(title, "lesson|promoted, %|retired, %", rows)
    rows = []
    for number, (name, world) in enumerate(USEFUL.items()):
        up, down = credited(stream(world, draws=draws, runs=1400, seed=100 + number))
        right, wrong = (up, down) if world.effects[0] > 0 else (down, up)
        rows.append([name, share(right, 200), share(right, 500), share(right, 800), median(right), share(wrong)])
    title = f"Lessons that help or hurt: right verdicts, by judged exposures of which 25 % are withheld (N = {draws} each)"
    table(title, "lesson|by 200, %|by 500, %|by 800, %|median|wrong verdict, %", rows)


def rules(draws: int) -> None:
    """The same streams under the rules of others."""
    useless = {"useless, easy": World(EASY), "useless, medium": World(MEDIUM), "useless, hard": World(HARD)}
    cells = {**useless, "useless, waves": World(MEDIUM, drift=waves)}
    cells |= {"harmful -20, easy": World(EASY, (-0.2,)), "helpful +20, hard": World(HARD, (0.2,))}
    rows = []
    for number, (name, world) in enumerate(cells.items()):
        made = stream(world, draws=draws, runs=500, seed=200 + number)
        for rule, (up, down) in {"**evidence**": credited(made), **{n: by_rule(made, r) for n, r in RULES.items()}}.items():
            rows.append([name, rule, share(up, 200), share(up, 500), share(down, 200), share(down, 500)])
    title = f"The same streams under rules that look only at runs with the lesson (N = {draws} each)"
    table(title, "lesson|rule|promoted by 200, %|by 500, %|retired by 200, %|by 500, %", rows)


def poisoned(draws: int) -> None:
    """How long harm goes on, and how much of it there is."""
    rows = []
    for number, (name, world) in enumerate(POISONED.items()):
        made = stream(world, draws=draws, runs=1000, seed=300 + number)
        everything = made.lost.sum(axis=1).mean()
        for rule, (up, down) in {"**evidence**": credited(made), **{n: by_rule(made, r) for n, r in RULES.items()}}.items():
            stopped = np.arange(1000)[None, :] >= down[:, None]
            harm = np.where(stopped, 0.0, made.lost).sum(axis=1)
            rows.append([name, rule, median(down), share(down), share(up), f"{harm.mean():.1f}", f"{everything:.1f}"])
    title = f"Poisoned lessons: runs until they are retired, and reward lost until then within 1,000 runs (N = {draws} each)"
    table(title, "lesson|rule|median runs|retired, %|promoted, %|reward lost|if never stopped", rows)


def store(draws: int) -> None:
    """Intervals of the store's effect, and the switch that stops showing lessons."""
    rows = []
    for number, effect in enumerate((-0.2, -0.1, 0.0, 0.1, 0.2)):
        parts = [_store(effect, min(draws, 500), seed=400 + 50 * number + part) for part in range(max(draws // 500, 1))]
        above, below, at_500, at_3000, killed, width, found = (np.concatenate(each) for each in zip(*parts, strict=True))
        cells = [100 * np.mean(above), 100 * np.mean(below), 100 * np.mean(~above & ~below), 100 * np.mean(at_500), 100 * np.mean(at_3000)]
        cells += [100 * np.mean(width), 100 * (np.mean(found) - effect)]
        killing = [share(killed, 500), share(killed, 1000), share(killed, 3000), median(killed)]
        rows.append([f"{100 * effect:+.0f}", *(f"{cell:.1f}" for cell in cells), *killing])
    title = f"All lessons of a store, 10 % of runs without, looked at after each of 3,000 runs (N = {draws} each; effects in points)"
    head = "true effect|low end ever too high, %|high end ever too low, %|always right, %|right after 500, %|after 3,000, %|width|bias"
    table(title, head + "|paused by 500, %|by 1,000, %|by 3,000, %|median", rows)


def _store(effect: float, draws: int, *, seed: int) -> tuple[np.ndarray, ...]:
    made = stream(World((0.3, 0.7), doses={2: effect}, holdout=0.1), draws=draws, runs=3000, seed=seed)
    baseline = difficulty(made.episodes)
    observed = _arms(made.episodes, baseline)
    true = paths(observed, effect)
    above, below = (crossings(observed, each, draws) < NEVER for each in true)
    right = [(true[0][observed.first + at] < LIMIT) & (true[1][observed.first + at] < LIMIT) for at in (499, 2999)]
    found = uplift(made.episodes, baseline)
    width, effects = (np.array(each) for each in zip(*((each.high - each.low, each.effect) for each in found), strict=True))
    return above, below, *right, crossings(observed, lowered_path(observed), draws), width, effects


def _arms(episodes: Episodes, baseline: np.ndarray) -> Observed:
    row = np.flatnonzero(episodes.treated > 0)
    chance = episodes.treated / (episodes.treated + episodes.control)
    runs = Runs(episodes.space[row], row, episodes.arm[row] == TREATED, chance[row])
    return observed_of(episodes, runs, baseline, ~np.isnan(episodes.reward[row]))


def turned(draws: int) -> None:
    """What helped for a while and hurts from then on."""
    some, rows = max(draws // 10, 1), []
    for name, p in (("on trial, withheld 25 %", 0.75), ("active, withheld 5 %", 0.95), ("all lessons, 10 % of runs without", 0.9)):
        for helped in (0, 200, 1000):
            chance, runs = np.random.default_rng(700), helped + 4000
            number = np.repeat(np.arange(some), runs)
            shown = chance.random(len(number)) < p
            effect = np.tile(np.where(np.arange(runs) < helped, 0.3, -0.3), some)
            reward = (chance.random(len(number)) < 0.5 + effect * shown).astype(float)
            same = {"number": number, "unit": np.arange(len(number)), "rank": np.arange(len(number))}
            observed = observe(**same, shown=shown, chance=np.full(len(number), p), reward=reward, baseline=np.full(len(number), 0.5))
            ends = []
            for path in (lowered_path(observed), paths(observed)[1]):
                late = path.reshape(some, runs)[:, helped:] >= LIMIT
                ends.append(np.where(late.any(axis=1), late.argmax(axis=1) + 1, NEVER))
            rows.append([name, f"{helped}", median(ends[0]), median(ends[1])])
    title = f"Helps by 30 points for some runs, then hurts by 30: runs until that is found out (N = {some} each)"
    table(title, "what|runs that it helped|median|median without beginning anew", rows)


def returning(draws: int) -> None:
    """Conversations that go on and users who come again, looked at after each run."""
    rows = []
    for number, (name, how) in enumerate(RETURN.items()):
        for spread in (0.0, 0.25, 0.5):
            world = World((0.3, 0.7), spread=spread, **how)
            parts = [
                after_each_run(stream(world, draws=min(draws, 500), runs=1000, seed=5000 + 100 * number + part + int(40 * spread)))
                for part in range(max(draws // 500, 1))
            ]
            up, down, caution = (np.concatenate(each) for each in zip(*parts, strict=True))
            reached = [up + caution >= LIMIT, down + caution >= LIMIT, up >= LIMIT, down >= LIMIT]
            rows.append([name, f"±{100 * spread:.0f}", *(f"{100 * np.mean(each.any(axis=1)):.1f}" for each in reached)])
    title = f"Useless lessons where units come again, looked at after each of 1,000 runs (N = {draws} each; promised: 5 at most)"
    table(title, "runs of a unit|units differ by, points|promoted, %|retired, %|if not halved: promoted, %|retired, %", rows)


def missing(draws: int) -> None:
    """Outcomes that are missing, alike in both arms and not."""
    rows = []
    for number, (name, shares) in enumerate(UNJUDGED.items()):
        made = stream(World((0.3, 0.7)), draws=draws, runs=1000, seed=520 + number)
        chance = np.random.default_rng(540 + number)
        lost = np.array(shares)[made.shown.astype(int), (made.reward >= 0.5).astype(int)]
        gone = (chance.random(made.reward.shape) < lost).ravel()
        rows.append([name, *_unjudged(_until(made.episodes, 1000, gone), made.exposures, draws)])
    title = f"Useless lessons of which outcomes are missing, looked at after each 100 of 1,000 runs (N = {draws} each)"
    table(title, "not judged|called uneven, %|evidence that it helps, %|promoted, %|retired, %", rows)
    rows = []
    for name, shown in (("with the lesson", True), ("without it", False)):
        up, down = credited(stream(World(MEDIUM, late=50, late_if=shown), draws=draws, runs=1000, seed=77))
        rows.append([f"only {name}", share(up), share(down), share(up, 100), share(down, 100)])
    title = f"Useless lessons of which failures are told at once and successes 50 runs later, in one arm only (N = {draws} each)"
    table(title, "late|evidence that it helps, %|that it hurts, %|by 100, helps, %|hurts, %", rows)
    some = max(draws // 4, 1)
    rows, chance = [], np.random.default_rng(501)
    for name, part in (("10 % not judged, in both arms", 0.1), ("10 % not judged without lessons, 30 % with", 0.3)):
        made = stream(World((0.3, 0.7), doses={2: 0.0}, holdout=0.1), draws=some, runs=2000, seed=502)
        gone = chance.random(len(made.episodes.id)) < np.where(made.episodes.arm == TREATED, part, 0.1)
        ever = np.zeros(some, bool)
        for until in range(100, 2001, 100):
            told = _until(made.episodes, until, gone)
            ever |= np.array([each.uneven for each in uplift(told, difficulty(told))])
        rows.append([name, f"{100 * np.mean(ever):.1f}"])
    table(f"All lessons of a store: called uneven at one of 20 looks within 2,000 runs (N = {some} each)", "case|%", rows)


def _unjudged(episodes: Episodes, told: Exposures, draws: int) -> list[str]:
    """Per cent of lessons that were called uneven, seemed to help, were promoted (only while not uneven), were retired."""
    ever = np.zeros((4, draws), bool)
    baseline = difficulty(episodes)
    for until in range(100, 1001, 100):
        kept = episodes.started[told.episode] < until
        runs = Runs(told.trial[kept], told.episode[kept], told.shown[kept], told.probability[kept])
        observed = observed_of(episodes, runs, baseline, ~np.isnan(episodes.reward[runs.episode]))
        odd, helps = uneven(episodes, runs), raised(observed, np.zeros(draws)) >= LIMIT
        ever |= np.stack([odd, helps, helps & ~odd, lowered(observed) >= LIMIT])
    return [f"{100 * each:.1f}" for each in ever.mean(axis=1)]


def _until(episodes: Episodes, until: int, gone: np.ndarray | None = None) -> Episodes:
    """Runs that began before this one.

    Args:
        episodes: All runs.
        until: Number of the run.
        gone: Which runs nobody judges.
    """
    columns = {name: getattr(episodes, name) for name in Episodes.__slots__}
    if gone is not None:
        columns.update({name: np.where(gone, np.nan, columns[name]) for name in ("reward", "at")})
    kept = episodes.started < until
    return Episodes(**{name: column[kept] for name, column in columns.items()})


def doses(draws: int) -> None:
    """Whether the race keeps the best dose and finds it."""
    some = max(draws // 5, 1)
    cases = {
        "+0, +10, -10": {1: 0.0, 2: 0.1, 3: -0.1},
        "+5, +15, +20": {1: 0.05, 2: 0.15, 3: 0.2},
        "+10, +10, +10": {1: 0.1, 2: 0.1, 3: 0.1},
        "-20, +0, +20": {1: -0.2, 2: 0.0, 3: 0.2},
        "-20, -20, -30": {1: -0.2, 2: -0.2, 3: -0.3},
    }
    rows = []
    for number, (name, effects) in enumerate(cases.items()):
        best = max(effects.values())
        history: list[Episodes] = []
        left = {space: {1: 1 / 3, 2: 1 / 3, 3: 1 / 3} for space in range(some)}
        lost = np.zeros(some, bool)
        settled = np.full(some, NEVER)
        for batch in range(16):
            history.append(_batch(effects, left, batch=batch, size=250, seed=600 + 50 * number + batch))
            whole = Episodes(**{n: np.concatenate([getattr(part, n) for part in history]) for n in Episodes.__slots__})
            for space, now in race(whole, difficulty(whole)).items():
                left[space] = now.chances
                drawn = [effects[dose] for dose, chance in now.chances.items() if chance > 0]
                lost[space] |= max(drawn) < best
                if min(drawn) == best and settled[space] == NEVER:
                    settled[space] = 250 * (batch + 1)
        given = np.mean([sum(effects[dose] * chance for dose, chance in chances.items()) for chances in left.values()])
        found = [share(settled, until) for until in (1000, 2000, 4000)]
        rows.append([name, f"{100 * np.mean(lost):.1f}", *found, f"{100 * given:+.1f}"])
    title = f"Race of the doses 1, 2, 3 beside 10 % without lessons, looked at every 250 of 4,000 runs (N = {some} each; effects in points)"
    table(title, "true effects|best ever out, %|only best left by 1,000, %|by 2,000, %|by 4,000, %|mean effect drawn at the end", rows)


def _batch(effects: dict[int, float], left: dict[int, dict[int, float]], *, batch: int, size: int, seed: int) -> Episodes:
    chance = np.random.default_rng(seed)
    spaces, count = len(left), len(left) * size
    space = np.repeat(np.arange(spaces), size)
    draws = np.array([[left[each].get(dose, 0.0) for dose in range(4)] for each in range(spaces)])[space]
    arm = (chance.random(count) >= 0.1).astype(np.int64) * TREATED
    dose = np.where(arm == TREATED, (chance.random(count)[:, None] > np.cumsum(draws, axis=1)[:, :3]).sum(axis=1), 0)
    task = chance.integers(0, 20, count)
    ease = 0.35 + 0.3 * ((task * 7 + space) % 20) / 20
    lift = np.array([0.0, *(effects[each] for each in (1, 2, 3))])[dose]
    started = batch * size + np.tile(np.arange(size, dtype=float), spaces)
    picked = np.where(arm == TREATED, 0.9 * np.take_along_axis(draws, dose[:, None], axis=1)[:, 0], 0.1)
    return Episodes(
        id=np.arange(count) + batch * count,
        unit=np.arange(count) + batch * count,
        space=space,
        group=space * 20 + task,
        arm=arm,
        dose=dose,
        chance=picked,
        control=np.full(count, 0.1),
        treated=np.full(count, 0.9),
        draws=draws,
        reward=(chance.random(count) < ease + lift).astype(float),
        trusted=np.ones(count, bool),
        at=started + 0.5,
        started=started,
        agent=np.zeros(count, np.int64),
    )


def waiting(draws: int) -> None:
    """Whether "about N more" is about right."""
    some = max(draws // 4, 1)
    cases = {"harmful -20, easy": World(EASY, (-0.2,)), "helpful +20, hard": World(HARD, (0.2,)), "helpful +10, hard": World(HARD, (0.1,))}
    rows = []
    for number, (name, world) in enumerate({**cases, "useless, medium": World(MEDIUM)}.items()):
        made = stream(world, draws=some, runs=3000, seed=700 + number)
        decided = np.minimum(*credited(made))
        for seen in (30, 100, 200):
            told = trials(*_begun(made, seen))
            said = np.array([NEVER if each.more is None else each.more for each in told])[decided > seen]
            rest = np.where(decided == NEVER, NEVER, decided - seen)[decided > seen]
            rows.append([name, str(seen), median(said), f"{np.percentile(said, 10):.0f} to {np.percentile(said, 90):.0f}", median(rest)])
    title = f'"About N more": what is said and what comes, for lessons that are still undecided (N = {some} each)'
    table(title, "lesson|exposures so far|said, median|said, in 8 of 10|came, median", rows)


def _begun(made: Stream, until: int) -> tuple[Episodes, Exposures, np.ndarray]:
    """What is known of the runs that began before this one."""
    episodes = _until(made.episodes, until)
    kept = made.episodes.started[made.exposures.episode] < until
    columns = {name: getattr(made.exposures, name)[kept] for name in Exposures.__slots__}
    columns["episode"] = (np.cumsum(made.episodes.started < until) - 1)[columns["episode"]]
    return episodes, Exposures(**columns), difficulty(episodes)


def cost(draws: int) -> None:
    """Seconds."""
    del draws
    rows = []
    for stores, runs in ((1, 1000), (1, 100_000), (100, 10_000)):
        made = stream(World(MEDIUM, (0.1,), holdout=0.1), draws=stores, runs=runs, seed=800)
        times = [time.perf_counter()]
        baseline = difficulty(made.episodes)
        times.append(time.perf_counter())
        trials(made.episodes, made.exposures, baseline)
        times.append(time.perf_counter())
        uplift(made.episodes, baseline)
        times.append(time.perf_counter())
        race(made.episodes, baseline)
        times.append(time.perf_counter())
        parts, count = np.diff(times), len(made.exposures.episode)
        rows.append([f"{count:,}", *(f"{part:.3f}" for part in parts), f"{1e6 * parts.sum() / count:.1f}"])
    table("Cost of computing everything anew, on one core", "exposures|difficulty, s|trials, s|uplift, s|race, s|µs per exposure", rows)


PARTS = {each.__name__: each for each in (verdicts, rules, poisoned, store, turned, returning, missing, doses, waiting, cost)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=2000, help="stores for each line")
    parser.add_argument("--quick", action="store_true", help="200 draws")
    parser.add_argument("--only", choices=PARTS, help="one table")
    given = parser.parse_args()
    for name, part in PARTS.items():
        if given.only in {None, name}:
            began = time.perf_counter()
            part(200 if given.quick else given.draws)
            print(f"\n({time.perf_counter() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
