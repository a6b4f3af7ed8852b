"""What goes into a bundle so that anyone can verify it: no import of ours, no network."""
