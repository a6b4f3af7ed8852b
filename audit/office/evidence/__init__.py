"""The evidence pack: clause by clause what the product does, its setting, proof, a verdict.

`frameworks/` says which clause asks what, and how sure we are of its text; `checks_*.py` ask the
running installation; `pack.py` puts them together; `paper.py` prints it.
"""
