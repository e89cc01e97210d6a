"""How dates are written: see `FORMAT_MODULE_PATH` in the settings."""
