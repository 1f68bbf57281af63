"""Runs a command with absl flags; reports errors as one line and an exit code.

    if __name__ == "__main__":
        define_flags()
        cli.run(main)

Imports no TensorFlow, so that `--help` and usage errors are fast. absl flags are
global: define them in a function that only the script calls, and import whatever needs
TensorFlow inside `main`.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import flags, logging

from picanet_tf.core.errors import PicanetError
from picanet_tf.core.files import FULL
from picanet_tf.core.keras_config import use_tensorflow_backend
from picanet_tf.core.signals import Terminated

__all__ = ["in_flags", "path_flags", "run"]

# TensorFlow modules that log at INFO for every checkpoint or distributed function.
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
        main: called with the positional arguments (without the program name); returns
            the exit code, None for 0.
        positional: name of the positional arguments in the help, such as "DIR". Empty:
            the command takes none, and passing one is an error (with `--flag a b`, absl
            would silently drop `b`).
        argv: the command line, program name first; defaults to `sys.argv`.
        module: module whose docstring and flags form the help.

    Exit codes: the return value of `main`; 0 after `--help`; 1, with a one-line
    message, after a `PicanetError`, a flag error, an `OSError` that names a file, a
    full disk or a closed output pipe (`| head`); 130 after Ctrl-C; 143 after SIGTERM
    if raised as `Terminated`. Any other exception is a bug and keeps its traceback.
    """
    argv = list(sys.argv if argv is None else argv)
    sys.exit(_run(main, positional, argv, module))


def _run(main: Callable, positional: str, argv: list[str], module: str) -> int:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    ignored = use_tensorflow_backend()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as in a daemon
            setattr(sys, name, open(os.devnull, mode))
    if hasattr(sys.stdout, "reconfigure"):  # File names may not be valid UTF-8.
        sys.stdout.reconfigure(errors="backslashreplace")
    program = _program_name(argv[0])
    if ignored:
        print(f"{program}: {ignored}", file=sys.stderr)
    before_paths = _before_double_dash(argv[1:])
    asks_for_help = any(word in _HELP_WORDS for word in before_paths)
    try:
        if asks_for_help:
            print(_help(program, positional, module, full="--helpfull" in before_paths))
            code = 0
        else:
            code = main(_parse(argv, positional)) or 0
        sys.stdout.flush()  # Here, where a failure can still be reported.
        return code
    except PicanetError as error:
        return _fail(program, in_flags(str(error)))
    except flags.Error as error:
        return _fail(program, str(error))
    except BrokenPipeError:
        # Python flushes stdout once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _fail(program, "the output was closed before all of it was written")
    except OSError as error:
        # With a full disk, the OSError does not name the file.
        if error.filename is None and error.errno not in FULL:
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
            f"the package {package} is required, but not installed. Without "
            "TensorFlow, picanet can only predict and serve, with the bundled network "
            "(--model picanet_vgg16_duts) or an exported LiteRT file; for everything "
            "else, run pip install . in the checkout",
        )


def in_flags(message: str) -> str:
    """Rewrites argument names in a library's message as command-line flags.

    "`steps` must be at least 1. Received: steps=0" becomes "--steps must be at least 1.
    Received: 0". In other programs, which have no such flags, it changes nothing.
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
    signal.raise_signal(signal.SIGTERM)  # Ends here, without joining threads.
    return 128 + signal.SIGTERM


def _missing_package(error: Exception) -> str:
    """Returns the missing third-party package of an import error, "" otherwise."""
    name = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
    package = name.partition(".")[0]
    return "" if package in ("picanet_tf", "data_pipeline") else package


def _follows(error: BaseException | None, kind: type[BaseException]) -> bool:
    """Whether an exception of type `kind` is in the cause or context chain."""
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
            f"unexpected argument {arguments[0]!r}: this command takes only flags"
        )
    return [_expand_home(word) for word in arguments]


def path_flags(*names: str, separator: str = "") -> None:
    """Declares that string flags are paths, in which a leading `~` is expanded.

    A shell expands `--output ~/out`, but not `--output=~/out`. Positional arguments are
    always expanded. A flag that takes one value is refused if it is given twice, since
    the first path would be ignored, and an empty one in any case.

    Args:
        *names: flags that have been defined.
        separator: separator of several paths, or of a name and its path, in one value.
    """
    for name in names:
        flags.FLAGS[name].parser = _PathParser(separator)
        flags.FLAGS[name].allow_overwrite = False


class _PathParser(flags.ArgumentParser):
    def __init__(self, separator: str):
        self._separator = separator

    def parse(self, argument: str) -> str:
        if not argument:
            raise ValueError("an empty name, perhaps of an unset variable")
        if not self._separator:
            return _expand_home(argument)
        parts = argument.split(self._separator)
        return self._separator.join(map(_expand_home, parts))


def _expand_home(path: str) -> str:
    """Expands ~, ~/path and ~user/path, but not ~name, which may be a file."""
    home, slash, _ = path.partition("/")
    return os.path.expanduser(path) if slash or home == "~" else path


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
    # absl registers the main module under the program's path.
    own = sys.argv[0] if module == "__main__" else module
    all_flags = flags.FLAGS
    described = all_flags.get_help() if full else all_flags.module_help(own)
    return f"{usage}\n\n{document}\n{described}"


def _fail(program: str, message: str) -> int:
    print(f"{program}: error: {message}", file=sys.stderr)
    return 1
