"""What each kind of operation does, step by step. Called by deployments.runner with a lease."""
