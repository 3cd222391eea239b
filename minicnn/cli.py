"""The command `minicnn`: one parser, one table of commands, one place for errors and exit codes.

Exit codes: 0 done; 1 something was wrong with the files or the data, or numbers differ; 2 the command line or
MINICNN_NUM_THREADS was wrong; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import warnings
from collections.abc import Iterator

from minicnn import __version__, get_num_threads
from minicnn.commands import STOPPED, bench, compare, evaluate, explain, predict, tour, trace, train

COMMANDS = {
    "tour": tour,
    "train": train,
    "predict": predict,
    "evaluate": evaluate,
    "trace": trace,
    "explain": explain,
    "compare": compare,
    "bench": bench,
}

LEAVE_FILES = {"tour", "train", "evaluate", "bench"}  # and so end their work whoever still reads along
RAISE = ("strict", "surrogateescape")  # how a stream may take a letter that it cannot print
DESCRIPTION = "A convolutional network whose every number can be followed by hand."
EXAMPLES = """examples:
  minicnn tour                                       learn real digits and see every step, in a minute
  minicnn train --data mnist-5k --out digits.safetensors
  minicnn predict digits.safetensors seven.png
  minicnn evaluate digits.safetensors --data mnist-5k
  minicnn explain digits.safetensors seven.png --layer 0 --at 3,5,7
  minicnn compare net.py:Net --input 3,32,32         hold a CNN of torch's beside ours, number by number
  minicnn bench --quick                              race it against PyTorch on this machine
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands.

    >>> build_parser().parse_args(["tour", "--seed", "3"]).seed
    3
    """
    parser = argparse.ArgumentParser(
        prog="minicnn",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"minicnn {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        subparser = subparsers.add_parser(
            name,
            help=(module.__doc__ or ": ").splitlines()[0].split(": ", 1)[1],  # python -OO has no docstrings
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run=module.run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on stderr, without a traceback.

    >>> main(["predict", "nowhere.safetensors", "image.png"])
    1
    """
    parsed = build_parser().parse_args(arguments)
    try:
        get_num_threads()
    except ValueError as error:
        print(one_line(parsed.command, error), file=sys.stderr)
        return 2
    lasting = outlasting_readers if parsed.command in LEAVE_FILES else contextlib.nullcontext
    try:
        with warnings.catch_warnings(), lasting(), replacing_letters(sys.stdout):
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = show_warning
            code = parsed.run(parsed)
            print(end="", flush=True)
    except BrokenPipeError:  # who read along, as `head` does, has read enough
        lead_nowhere(sys.stdout.fileno())  # what is still to be written
        return 1
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        print(one_line(parsed.command, error), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"minicnn {parsed.command}: stopped", file=sys.stderr)
        return STOPPED
    return code or 0


@contextlib.contextmanager
def replacing_letters(stream) -> Iterator[None]:
    """Let `stream` print a question mark for a letter that it cannot print, such as Σ in a pipe of Windows.

    >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    >>> with replacing_letters(stream):
    ...     print("Σ x · w", file=stream, end="", flush=True)
    >>> stream.buffer.getvalue()
    b'? x ? w'
    """
    if not isinstance(stream, io.TextIOWrapper) or stream.errors not in RAISE:
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        stream.reconfigure(errors=before)


@contextlib.contextmanager
def outlasting_readers() -> Iterator[None]:
    """Let the work go on when nobody reads stdout or stderr any more, as after `| head`.

    >>> with outlasting_readers():
    ...     print("as ever")
    as ever
    """
    before = sys.stdout, sys.stderr
    lasting = [lasting_stream(stream) for stream in before]
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in lasting:
            print(end="", file=stream, flush=True)


def lasting_stream(stream):
    """Return a stream to the same file that outlasts the reader of a pipe; what has no file is returned itself.

    >>> reading, writing = os.pipe()
    >>> os.close(reading)
    >>> with open(writing, "w") as stream:
    ...     print("unread", file=lasting_stream(stream), flush=True)
    """
    try:
        number = stream.fileno() if isinstance(stream, io.TextIOWrapper) else None
    except io.UnsupportedOperation:
        number = None
    if number is None:  # none at all, or one of a notebook or of a test
        return stream
    stream.flush()
    file = io.BufferedWriter(LastingFile(number, "w", closefd=False))
    return io.TextIOWrapper(file, stream.encoding, stream.errors, line_buffering=stream.line_buffering)


class LastingFile(io.FileIO):
    """A file that leads nowhere once it is a pipe without a reader.

    >>> reading, writing = os.pipe()
    >>> os.close(reading)
    >>> with LastingFile(writing, "w") as file:
    ...     file.write(b"unread")
    6
    """

    def write(self, data) -> int:
        """Write some bytes of `data`, and return how many."""
        try:
            return super().write(data)
        except BrokenPipeError:
            lead_nowhere(self.fileno())
            return super().write(data)


def lead_nowhere(number: int) -> None:
    """Throw away what is written to an open file from now on.

    >>> import tempfile
    >>> with tempfile.TemporaryFile() as file:
    ...     lead_nowhere(file.fileno())
    ...     file.write(b"lost"), file.flush(), os.fstat(file.fileno()).st_size
    (4, None, 0)
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)


def one_line(command: str, error: Exception) -> str:
    """Return the message of `error` in one line, which names the command once.

    >>> one_line("predict", FileNotFoundError(2, "No such file or directory", "a.png"))
    'minicnn predict: a.png: No such file or directory'
    >>> one_line("compare", ValueError("compare: steps must be at least 0."))
    'minicnn compare: steps must be at least 0.'
    """
    if isinstance(error, OSError) and error.filename is not None:
        return f"minicnn {command}: {error.filename}: {error.strerror}"
    message = " ".join(str(error).split()) or type(error).__name__
    return f"minicnn {command}: {message.removeprefix(f'{command}: ')}"


def show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    """Print a warning as one line, without the place in our code where it arose.

    >>> show_warning("small.png was resized", UserWarning, "x.py", 1, file=sys.stdout)
    warning: small.png was resized
    """
    print(f"warning: {message}", file=file or sys.stderr)
