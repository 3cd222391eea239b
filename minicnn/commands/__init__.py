"""One file a command: DESCRIPTION and EXAMPLES for its help, add_arguments(parser) and run(arguments)."""
