"""What a script found: printed as it goes, then once more as a table or as one line of JSON."""

import json
import sys
import time
import traceback

import ensemble as e
import harness
from model import Violation


class Report:
    """Numbers by name, and every promise that was broken."""

    def __init__(self, name, options):
        self.name, self.options = name, options
        self.values, self.violations = {}, []
        self.begun_s = time.monotonic()

    def note(self, text):
        """Progress; not part of the result."""
        print(f"  {time.monotonic() - self.begun_s:6.1f} s  {text}", file=sys.stderr, flush=True)

    def value(self, name, value):
        self.values[name] = value

    def violation(self, text):
        self.violations.append(str(text))
        self.note(f"VIOLATION  {text}")

    def check(self, holds, text):
        if not holds:
            self.violation(text)

    def finish(self):
        """Prints the result; the exit code."""
        subject = getattr(self.options, "observer", None) or self.options.ensemble_of
        if self.options.json:
            found = {"check": self.name, "observer": subject, **self.values}
            print(json.dumps({**found, "violations": self.violations}))
        else:
            print(f"{self.name}, {subject}")
            for name, value in self.values.items():
                print(f"  {name:32} {value}")
            for violation in self.violations:
                print(f"  VIOLATION {violation}")
            print(f"{self.name}: {len(self.violations)} violations")
        return 1 if self.violations else 0


def run(name, parser, check, absent=e.absent):
    """Runs `check(options, report)`; the exit code of the script."""
    harness.exit_on_signals()
    options = parser.parse_args()
    if why := absent(options):
        print(f"SKIPPED: {name}: {why}")
        return 1 if options.require else 0
    report = Report(name, options)
    try:
        check(options, report)
    except (Violation, AssertionError, harness.ServerFailed, OSError) as failure:
        traceback.print_exc()
        report.violation(f"{type(failure).__name__}: {failure}")
    return report.finish()
