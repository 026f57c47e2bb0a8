"""The team's server as docker-compose.yml describes it: its services, their backup, the digests of their images."""
