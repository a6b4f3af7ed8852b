"""Which kind of document a file is: what its name says must be what its first bytes say. Pure."""

from __future__ import annotations

from deployments.documents.found import Problem

SUFFIXES = (".txt", ".md", ".csv", ".pdf", ".docx")
KINDS = {suffix: suffix[1:] for suffix in SUFFIXES}
ZIP = b"PK\x03\x04"
# The container of old Word files, and of new ones with a password.
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ENCRYPTED = "EncryptedPackage".encode("utf-16-le")


def kind_of(name: str, data: bytes) -> str:
    """ "pdf", "docx", "txt", "md" or "csv". Raises Problem."""
    dot = name.rfind(".")
    suffix = name[dot:].lower() if dot >= 0 else ""
    if suffix == ".doc" and data.startswith(OLE):
        raise Problem("old_word")
    said = KINDS.get(suffix)
    if said is None:
        raise Problem("kind")
    if said == "docx" and data.startswith(OLE):
        raise Problem("password" if ENCRYPTED in data else "old_word")
    is_pdf = b"%PDF-" in data[:1024]
    is_binary = is_pdf or data.startswith((ZIP, OLE))
    right = {"pdf": is_pdf, "docx": data.startswith(ZIP)}.get(said, not is_binary)
    if not right:
        raise Problem("not_what_it_says", said=suffix)
    return said
