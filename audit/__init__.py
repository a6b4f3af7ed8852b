"""The log: `ledger` writes and proves events, `office` is what auditors do with them."""
