"""One file a command: DESCRIPTION and EXAMPLES for its help, add_arguments(parser) and run(arguments)."""

STOPPED = 130  # the exit code after Ctrl-C, as shells have it: 128 and the number of the signal
