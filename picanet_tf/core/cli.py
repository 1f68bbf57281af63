"""Runs a command: absl flags in, one clear line and an exit code out.

    if __name__ == "__main__":
        define_flags()
        cli.run(main)

Imports no TensorFlow, so that `--help` and a mistyped flag are answered at once.
Flags are global in absl: define them in a function that only the script calls, and
import whatever needs TensorFlow inside `main`.
"""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import flags, logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.signals import Terminated

__all__ = ["run"]

# Writing then fails without a word on which file.
_FULL = (errno.ENOSPC, errno.EDQUOT)
# TensorFlow tells how long each checkpoint took to be put together, and each time that
# it makes a function which machines run together.
_TALKATIVE = ("functional_saver.py", "cross_device_ops.py", "mirrored_run.py")
_HELP_WORDS = ("--help", "-help", "-h", "--helpshort", "--helpfull")


def run(
    main: Callable[[list[str]], int | None],
    *,
    positional: str = "",
    argv: Sequence[str] | None = None,
    module: str = "__main__",
) -> NoReturn:
    """Parses the flags, calls `main` and exits the process.

    Args:
        main: called with the positional arguments (without the program's name);
            returns the exit code, None for 0.
        positional: what the positional arguments are called in the help, such as
            "DIR".  Empty: the command takes none, and one that comes is an error
            (with `--flag a b`, absl would silently lose the `b`).
        argv: the command line, program name first; `sys.argv` by default.
        module: whose docstring and flags are the help.

    Exit codes: what `main` returned; 0 after `--help`; 1 after a `PicanetError`, a
    wrong flag, an `OSError` about a named file, a full disk, or when nobody reads
    on (`| head`), each told in one line; 130 after Ctrl-C, 143 after SIGTERM where
    it is `Terminated`.  Any other exception is a bug of ours and keeps its traceback.
    """
    argv = list(sys.argv if argv is None else argv)
    sys.exit(_run(main, positional, argv, module))


def _run(main: Callable, positional: str, argv: list[str], module: str) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as of a daemon
            setattr(sys, name, open(os.devnull, mode))
    if hasattr(sys.stdout, "reconfigure"):  # A file's name may be no UTF-8.
        sys.stdout.reconfigure(errors="backslashreplace")
    program = _program_name(argv[0])
    asks_for_help = any(word in _HELP_WORDS for word in _before_double_dash(argv[1:]))
    try:
        if asks_for_help:
            print(_help(program, positional, module, full="--helpfull" in argv))
            code = 0
        else:
            code = main(_parse(argv, positional)) or 0
        sys.stdout.flush()  # Here, where it can still be told that it fails.
        return code
    except PicanetError as error:
        return _fail(program, _in_flags(str(error)))
    except flags.Error as error:
        return _fail(program, str(error))
    except BrokenPipeError:
        # Python flushes once more on its way out.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(program, "the output was closed before all was written")
    except OSError as error:
        if error.filename is None and error.errno not in _FULL:
            raise
        name = "" if error.filename is None else f"{error.filename}: "
        return _fail(program, f"{name}{error.strerror}")
    except KeyboardInterrupt:
        return _interrupted(program)
    except Terminated:
        return _terminated(program)
    except Exception as error:
        if _follows(error, Terminated):
            return _terminated(program)
        if _follows(error, KeyboardInterrupt):
            return _interrupted(program)
        package = _missing_package(error)
        if not package:
            raise
        return _fail(
            program,
            f"the package {package} is not installed, and this needs it. Of all "
            "commands only predict, serve and models do without TensorFlow; pip "
            "install with all requirements brings the rest",
        )


def _in_flags(message: str) -> str:
    """A library's message about arguments, in the words of the command line.

    "`steps` must be at least 1. Received: steps=0" speaks of --steps, received 0.
    """
    for name in set(re.findall(r"`(\w+)`", message)) & set(flags.FLAGS):
        message = message.replace(f"`{name}`", f"--{name}")
        message = re.sub(rf"(Received: (?:.*, )?){name}=", r"\1", message)
    return message


def _interrupted(program: str) -> int:
    print(f"{program}: interrupted", file=sys.stderr)
    return 130


def _terminated(program: str) -> int:
    print(f"{program}: terminated", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTERM)  # Ends here, and waits for no thread.
    return 128 + signal.SIGTERM


def _missing_package(error: Exception) -> str:
    """The package that an import did not find; "" of ours, and of another error."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    package = name.partition(".")[0]
    return "" if package in ("picanet_tf", "data_pipeline") else package


def _follows(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether such a one is behind it: some code fails for having been interrupted."""
    while error and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def _parse(argv: list[str], positional: str) -> list[str]:
    arguments = flags.FLAGS(argv)[1:]
    logging.use_absl_handler()
    if flags.FLAGS["verbosity"].using_default_value:
        logging.set_verbosity(logging.INFO)
        logging.get_absl_handler().addFilter(
            lambda record: record.filename not in _TALKATIVE
        )
    if arguments and not positional:
        raise PicanetError(
            f"unexpected argument {arguments[0]!r}; only flags are taken"
        )
    return arguments


def _before_double_dash(words: list[str]) -> list[str]:
    return words[: words.index("--")] if "--" in words else words


def _program_name(path: str) -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and os.path.basename(path) == os.path.basename(
        spec.origin or ""
    ):
        return f"python -m {spec.name}"
    return os.path.basename(path)


def _help(program: str, positional: str, module: str, *, full: bool) -> str:
    usage = f"usage: {program} [flags] {positional}".rstrip()
    document = (sys.modules[module].__doc__ or "").strip()
    # absl knows the main module by the program's path.
    own = sys.argv[0] if module == "__main__" else module
    all_flags = flags.FLAGS
    described = all_flags.get_help() if full else all_flags.module_help(own)
    return f"{usage}\n\n{document}\n{described}"


def _fail(program: str, message: str) -> int:
    print(f"{program}: error: {message}", file=sys.stderr)
    return 1
