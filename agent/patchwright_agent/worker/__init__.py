"""One run of a patch document's step on this host: collect facts, report them, do what the server ordered."""
