"""Real Chromium plays real videos from every place that serves them."""
