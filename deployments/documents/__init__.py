"""The text of documents: read by a child with limits (`child`), asked through `reading`."""
