"""Runs commands, each whatever became of those before it, and sums up their tests.

    suites.py COMMAND...

What the commands print is shown as it comes. At the end stand a line for each
suite of `cargo test` or `unittest` with its counts and its time, the names of
the tests that failed, and alone on a line how many passed and failed. A command
that ends with such a line of its own (`make test`, the demo) is one suite, and
so is one without tests (`make lint`). The status is 0 when nothing failed.
"""

import re
import subprocess
import sys
import time
from dataclasses import dataclass, field

RUNNING = re.compile(r"     Running (?:unittests )?(\S+) \(\S+\)|   Doc-tests (\S+)")
RESULT = re.compile(
    r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored; .* finished in ([0-9.]+)s")
FAILED_TEST = re.compile(r"    (\S+)")
UNITTEST_FAILED = re.compile(r"(?:FAIL|ERROR): (.+)")
UNITTEST_RAN = re.compile(r"Ran (\d+) tests? in ([0-9.]+)s")
UNITTEST_END = re.compile(r"(?:OK|FAILED|NO TESTS RAN)(?: \((.*)\))?")
TOTAL = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")


@dataclass
class Suite:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    failures: list = field(default_factory=list)
    ended: bool = False

    def line(self, width):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        state = "FAILED" if self.failed else "ok"
        return (f"{state:<6}  {self.name:<{width}}  {self.passed} passed, {self.failed} failed"
                f"{skipped}, {self.seconds:.1f} s")


class Reader:
    """Finds the suites in what one command prints."""

    def __init__(self, command):
        self.command = command
        self.suites = []
        self.total = None
        self.in_failures = False
        self.unittest_failures = []

    def read(self, line):
        if total := TOTAL.fullmatch(line):
            self.total = [int(count or 0) for count in total.groups()]
        if running := RUNNING.fullmatch(line):
            self.suites.append(Suite(running[1] or f"doc-tests of {running[2]}"))
            self.in_failures = False
        elif result := RESULT.fullmatch(line):
            self.end_of_cargo_suite(result)
        elif line == "failures:":
            # Twice: before what they printed, and before their names.
            self.in_failures = True
            if self.suites:
                self.suites[-1].failures = []
        elif self.in_failures and self.suites and (name := FAILED_TEST.fullmatch(line)):
            self.suites[-1].failures.append(name[1])
        else:
            self.read_unittest(line)

    def end_of_cargo_suite(self, result):
        if not self.suites or self.suites[-1].ended:
            self.suites.append(Suite(self.command))
        suite = self.suites[-1]
        suite.passed, suite.failed, suite.skipped = map(int, result.groups()[:3])
        suite.seconds, suite.ended = float(result[4]), True
        self.in_failures = False

    def read_unittest(self, line):
        if failed := UNITTEST_FAILED.fullmatch(line):
            self.unittest_failures.append(failed[1])
        elif ran := UNITTEST_RAN.fullmatch(line):
            self.suites.append(Suite("unittest", int(ran[1]), seconds=float(ran[2]), ended=True,
                                     failures=self.unittest_failures))
            self.unittest_failures = []
        elif (end := UNITTEST_END.fullmatch(line)) and self.suites:
            counts = dict(part.split("=") for part in (end[1] or "").split(", ") if "=" in part)
            suite = self.suites[-1]
            suite.skipped = int(counts.get("skipped", 0))
            failed = sum(int(counts.get(kind, 0)) for kind in
                         ("failures", "errors", "unexpected successes"))
            suite.failed += failed
            suite.passed -= failed + suite.skipped

    def found(self, status, seconds):
        """The suites, once the command has ended."""
        names = [name for suite in self.suites for name in suite.failures]
        if self.total is not None:
            self.suites = [Suite(self.command, *self.total, seconds, names, True)]
        if not self.suites:
            self.suites = [Suite(self.command, int(status == 0), seconds=seconds, ended=True)]
        for suite in self.suites:
            if not suite.ended:
                suite.failed += 1
                suite.failures.append("(it ended without a result)")
        if status and not any(suite.failed for suite in self.suites):
            last = self.suites[-1]
            last.failed += 1
            last.failures.append(f"(status {status} of {self.command})")
        return self.suites


def run(command):
    reader = Reader(command)
    begin = time.monotonic()
    with subprocess.Popen(["bash", "-c", command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        for line in child.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.flush()
            reader.read(line.decode(errors="replace").rstrip("\r\n"))
    return reader.found(child.returncode, time.monotonic() - begin)


def summary(suites):
    """The lines at the end."""
    width = max(len(suite.name) for suite in suites)
    lines = ["", *(suite.line(width) for suite in suites)]
    failures = [f"{suite.name}: {name}" for suite in suites for name in suite.failures]
    if failures:
        lines += ["", "failed:", *(f"  {failure}" for failure in failures)]
    passed, failed, skipped = (
        sum(getattr(suite, count) for suite in suites) for count in ("passed", "failed", "skipped"))
    more = f", {skipped} skipped" if skipped else ""
    return [*lines, "", f"{passed} passed, {failed} failed{more}"]


def main(commands):
    if not commands:
        print(__doc__, file=sys.stderr)
        return 2
    suites = [suite for command in commands for suite in run(command)]
    print("\n".join(summary(suites)), flush=True)
    return 1 if any(suite.failed for suite in suites) else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
