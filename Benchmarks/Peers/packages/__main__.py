# SPDX-License-Identifier: Apache-2.0
"""Packages from PyPI that do what this one does. Called as: python3 Peers/packages PACKAGE METRIC SECONDS

Prints one line, as Peers/cpython does. `python3` is the one on the PATH: activate an environment that has the packages.
"""
import importlib
import json
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent / "cpython"))


def main():
    package, name, seconds = sys.argv[1:4]
    peer = importlib.import_module("with_" + package.replace("-", "_"))
    if name not in peer.METRICS:
        sys.exit(f"{package} cannot measure {name}")
    unit, work = peer.METRICS[name]
    samples = work(float(seconds))
    # One of several ranks tells.
    if samples is not None:
        print(json.dumps({"metric": name, "unit": unit, "samples": samples}))


# A child started by spawn runs this file too, under another name.
if __name__ == "__main__":
    main()
