"""The node's end of the agent protocol: registration, credentials, messages, commands, replies."""
