"""The host's package managers, driven by their own tools; running and parsing are kept apart."""
