"""Try orders of events on the model for some time; the first finding ends it.

usage: python -m tests.model [--seconds N] [--seed N] [--steps N] [--examples N] [--loop LOOP] [--no-shrink]
"""

import argparse
import itertools
import random
import sys
import time

from tests.model.search import LOOPS, search


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="of the first round; without one it is drawn")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--examples", type=int, default=25, help="orders for each seed")
    parser.add_argument("--loop", choices=LOOPS, help="the only one; both in turn without it")
    parser.add_argument("--no-shrink", action="store_true")
    wanted = parser.parse_args()
    first = random.SystemRandom().randrange(2**31) if wanted.seed is None else wanted.seed
    loops = LOOPS if wanted.loop is None else (wanted.loop,)
    end = time.monotonic() + wanted.seconds
    for round_number in itertools.count():
        loop = loops[round_number % len(loops)]
        seed = first + round_number // len(loops)
        print(f"model: seed {seed} on {loop}, {wanted.examples} orders", flush=True)
        try:
            search(
                loop,
                seed,
                examples=wanted.examples,
                steps=wanted.steps,
                shrinks=not wanted.no_shrink,
            )
        except BaseException:
            again = f"python -m tests.model --loop {loop} --seed {seed} --steps {wanted.steps}"
            print(f"model: found by {again}", file=sys.stderr)
            raise
        if time.monotonic() > end:
            print(f"model: {round_number + 1} rounds, no findings")
            return


if __name__ == "__main__":
    main()
