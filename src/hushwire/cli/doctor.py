"""`hushwire doctor`: what this host can and cannot do."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from typing import TYPE_CHECKING

from hushwire.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from hushwire.daemon.doctor import Finding

_HELP = """\
Looks at everything that a tunnel needs here (the TUN device, capabilities, nftables,
ports, reverse-path filter, the files in /etc/hushwire) and at what a process that was
killed has left, and names the command that mends what is wrong. It changes nothing.

  sudo hushwire doctor
  hushwire doctor --json | jq '.[] | select(.verdict == "problem")'

Exit code 0 when nothing is a problem, else 1. Without sudo it says what it could not see.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "doctor", description=_HELP, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="the findings as a JSON list")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from hushwire.daemon.doctor import Verdict, examine

    findings = examine(root=os.geteuid() == 0)
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(_text(finding) for finding in findings))
    problem = any(finding.verdict is Verdict.PROBLEM for finding in findings)
    return ExitCode.FAILED if problem else ExitCode.FINE


def _text(finding: Finding) -> str:
    cure = f"\n{'':10}→ {finding.cure}" if finding.cure else ""
    return f"{finding.verdict:9} {finding.about}: {finding.sentence}{cure}"
