"""One file per command, each with a function `command` that parses, calls a task and shows its result."""
