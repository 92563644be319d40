"""What runs tasks: shell commands and handlers, each in a process group of its own."""
