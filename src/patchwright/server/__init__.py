"""The edge: settings, clock, HTTP, and the root that puts everything together."""
