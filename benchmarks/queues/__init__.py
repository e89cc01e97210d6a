"""The parts of `benchmarks.queue`."""
