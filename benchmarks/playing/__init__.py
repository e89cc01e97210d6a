"""What `benchmarks.playback` measures, and how."""
