"""Pages, one module a noun: get through the door, form, verb, render."""
