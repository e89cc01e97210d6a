"""The parts of `python -m benchmarks.download`: the origin, the material, the contenders, what was measured."""
