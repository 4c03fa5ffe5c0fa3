"""The operator's commands. `serve` runs the server; the others are calls of the API."""
