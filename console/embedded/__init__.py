"""The embedded default: real engines from wheels, kept running by one supervisor (`make up`)."""
