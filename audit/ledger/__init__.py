"""Events in: names, canonical bytes, the one door that writes. Imports nothing else of ours."""
