"""Alembic's environment: it is handed an open connection and never reads a file of settings."""

from alembic import context

from patchwright.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
