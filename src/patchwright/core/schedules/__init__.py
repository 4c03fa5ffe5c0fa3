"""When something runs: cron, rate and at expressions in a time zone. Time zones exist in this folder only."""
