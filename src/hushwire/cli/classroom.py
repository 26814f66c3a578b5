"""`hushwire classroom`: the second lesson, on a real host."""

from __future__ import annotations

import argparse

from hushwire.cli.errors import UsageError
from hushwire.cli.exit_code import ExitCode

PORT = 12345
_LABEL_OCTETS = 15

_HELP = """\
eBPF programs at ingress and egress of one interface secure what unchanged
applications send: they agree on a secret by Diffie-Hellman, with p = 23 and
g = 5, and XOR every payload with it. It is a lesson and protects nothing: anybody
between reads all of it, as `hushwire lab classroom` shows. Run it on both hosts:

  sudo hushwire classroom --interface eth0
  sudo hushwire classroom --interface eth0 --trace      payloads, from trace_pipe

and then, in other terminals, on bob and on alice:

  nc -ul 12345
  nc -u -p 12345 BOB 12345

Statistics stand live below, come once more at the end, and with --json a line each
time that they change. Nothing stays behind when it ends or is killed.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "classroom", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--interface", metavar="IFACE", required=True, help="the one that leads to the other host"
    )
    parser.add_argument("--port", type=_port, default=PORT, help="UDP port; default: 12345")
    parser.add_argument("--trace", action="store_true", help="follow trace_pipe here")
    parser.add_argument(
        "--label", help="a word for the lines in trace_pipe; default: the interface's name"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line instead of sentences"
    )
    parser.add_argument(
        "--clean", action="store_true", help="only remove what one that was killed has left"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.classroom.report import Report
    from hushwire.classroom.service import Lesson, OccupiedError, Service, clean
    from hushwire.system import interface
    from hushwire.system.core import need_permission
    from hushwire.system.errors import SystemFailureError

    name = arguments.interface
    label = name if arguments.label is None else arguments.label
    if not label.isascii() or not label.isprintable() or " " in label or not label:
        raise UsageError("--label wants one word of ASCII letters, digits and signs.")
    if len(label) > _LABEL_OCTETS:
        raise UsageError(f"--label has at most {_LABEL_OCTETS} letters, {label} has {len(label)}.")
    try:
        interface.index_of(name)
    except SystemFailureError as error:
        raise UsageError(str(error)) from error
    lesson = Lesson(name, arguments.port, label, trace=arguments.trace)
    try:
        if arguments.clean:
            need_permission()
            clean(name)
        else:
            Service(lesson, Report(name, as_json=arguments.json)).run()
    except OccupiedError as error:
        raise UsageError(str(error)) from error
    return ExitCode.FINE


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text} is no UDP port, which is a number from 1 to 65535")
