"""The sums over suites, held against what cargo and unittest print."""

import contextlib
import io
import subprocess
import sys
import unittest
from pathlib import Path

import suites

CARGO = """\
    Finished `test` profile [unoptimized] target(s) in 0.50s
     Running unittests src/lib.rs (target/debug/deps/wsguard-1)

running 3 tests
test a ... ok
test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.25s

     Running tests/envoy/main.rs (target/debug/deps/envoy-2)
test bans::ends ... FAILED

failures:

---- bans::ends stdout ----
    word
thread 'bans::ends' panicked at tests/envoy/bans.rs:1:1:

failures:
    bans::ends
    rates::passes

test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 60.00s

error: 1 target failed:
    `--test envoy`
"""


def read(text, status=0, command="make it"):
    reader = suites.Reader(command)
    for line in text.splitlines():
        reader.read(line)
    return reader.found(status, 7.0)


class Found(unittest.TestCase):
    def test_each_suite_of_cargo_is_one_with_its_counts_and_the_names_that_failed(self):
        first, second = read(CARGO, 101)
        self.assertEqual((first.name, first.passed, first.failed), ("src/lib.rs", 3, 0))
        self.assertEqual(first.seconds, 1.25)
        self.assertEqual((second.passed, second.failed, second.skipped), (5, 2, 1))
        self.assertEqual(second.failures, ["bans::ends", "rates::passes"])
        self.assertEqual(suites.summary([first, second])[-1], "8 passed, 2 failed, 1 skipped")

    def test_a_suite_that_dies_has_failed(self):
        text = "     Running tests/a.rs (target/a-1)\n     Running tests/b.rs (target/b-1)\n"
        died, other = read(text + "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; "
                           "0 filtered out; finished in 0.00s", 101)
        self.assertEqual((died.failed, other.failed), (1, 0))

    def test_unittest_tells_failures_errors_and_what_was_skipped(self):
        text = ("FAIL: test_a (test_x.X.test_a)\nERROR: test_b (test_x.X.test_b)\n"
                "Ran 9 tests in 0.5s\n\nFAILED (failures=1, errors=1, skipped=2)")
        (suite,) = read(text, 1)
        self.assertEqual((suite.passed, suite.failed, suite.skipped), (5, 2, 2))
        self.assertEqual(len(suite.failures), 2)
        (good,) = read("Ran 9 tests in 0.5s\n\nOK")
        self.assertEqual((good.passed, good.failed), (9, 0))

    def test_a_command_that_sums_up_itself_is_one_suite(self):
        (suite,) = read(CARGO + "\n8 passed, 2 failed, 1 skipped", 1, "make test")
        self.assertEqual((suite.name, suite.passed, suite.failed), ("make test", 8, 2))
        self.assertEqual(suite.failures, ["bans::ends", "rates::passes"])

    def test_a_command_without_tests_counts_by_its_status(self):
        self.assertEqual([(s.passed, s.failed) for s in read("words")], [(1, 0)])
        self.assertEqual([(s.passed, s.failed) for s in read("words", 2)], [(0, 1)])

    def test_a_status_that_no_test_explains_is_a_failure(self):
        (suite,) = read("Ran 9 tests in 0.5s\n\nOK", 3)
        self.assertEqual(suite.failed, 1)


class Commands(unittest.TestCase):
    def run_them(self, *commands):
        script = Path(suites.__file__)
        ran = subprocess.run([sys.executable, script, *commands], capture_output=True, text=True)
        return ran.returncode, ran.stdout.splitlines()

    def test_those_behind_a_failure_run(self):
        status, lines = self.run_them("echo one; exit 3", "echo two")
        self.assertEqual(status, 1)
        self.assertIn("two", lines)
        self.assertEqual(lines[-1], "1 passed, 1 failed")
        self.assertEqual(self.run_them("true", "true")[0], 0)

    def test_no_command_is_an_error(self):
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(suites.main([]), 2)


if __name__ == "__main__":
    unittest.main()
