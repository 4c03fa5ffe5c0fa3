"""Pure decisions over frozen values: no SQL, no HTTP, no clock, no randomness."""
