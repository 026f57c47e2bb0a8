"""The team's server without an engine: its services as plain processes."""
