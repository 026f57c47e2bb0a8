"""As fast as the bare model: what the platform costs, each figure beside what it has to reach."""
