"""Reconcilers: they read state and make it so. No arguments, idempotent, no retries of their own."""
