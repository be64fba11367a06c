# SPDX-License-Identifier: Apache-2.0
"""CPython's multiprocessing. Called as: python3 Peers/cpython METRIC SECONDS

Prints one line: {"metric": …, "unit": "ns" or "B", "samples": […]}. A group of metrics is a module with a dictionary
METRICS: name -> (unit, function of the time to measure in seconds and the time of the first statement, both as below).
"""
import time

FIRST_STATEMENT = time.monotonic_ns()

import json
import sys


def main():
    import channels
    import locks
    import managers
    import memory
    import parents
    import pools
    import scaling
    import start
    import wakes

    metrics = {}
    for group in (start, locks, managers, wakes, channels, memory, pools, scaling, parents):
        metrics |= group.METRICS
    name = sys.argv[1]
    if name == "--family":
        return parents.live()
    if name not in metrics:
        sys.exit(f"cpython cannot measure {name}")
    unit, work = metrics[name]
    samples = work(float(sys.argv[2]), FIRST_STATEMENT)
    print(json.dumps({"metric": name, "unit": unit, "samples": samples}))


# A child started by spawn runs this file too, under another name.
if __name__ == "__main__":
    main()
