"""The main job on real input, for people to watch: `make demo`."""
