"""Parts of `benchmarks.upload`."""
