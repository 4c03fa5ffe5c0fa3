"""The node's door: registration, credentials, messages, and the patch worker's runs."""
