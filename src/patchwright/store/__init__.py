"""The only room that knows SQL. Functions take a transaction and return core values."""
