"""The import check, held against modules made by hand."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

import check_wasm

HEADER = b"\0asm\x01\0\0\0"


def uint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def name(text):
    return uint(len(text.encode())) + text.encode()


def section(number, entries):
    body = uint(len(entries)) + b"".join(entries)
    return bytes([number]) + uint(len(body)) + body


def function(origin, text):
    return name(origin) + name(text) + b"\x00" + uint(0)


def export(text):
    return name(text) + b"\x00" + uint(0)


GOOD_EXPORTS = [export(names[-1]) for names in check_wasm.REQUIRED_EXPORTS]
GOOD_IMPORTS = [
    function("env", "proxy_log"),
    function("wasi_snapshot_preview1", "fd_write"),
]


def module(imports=(), exports=GOOD_EXPORTS):
    custom = b"\x00" + uint(7) + name("note") + b"hi"
    return HEADER + custom + section(2, list(imports)) + section(7, list(exports))


class Imports(unittest.TestCase):
    def only_problem(self, entry):
        found = check_wasm.problems(module([*GOOD_IMPORTS, entry]))
        self.assertEqual(len(found), 1, found)
        return found[0]

    def test_what_every_envoy_offers_passes(self):
        self.assertEqual(check_wasm.problems(module(GOOD_IMPORTS)), [])

    def test_every_allowed_name_passes(self):
        every = [function(m, n) for m, names in check_wasm.ALLOWED.items() for n in names]
        self.assertEqual(check_wasm.problems(module(every)), [])

    def test_a_host_function_that_envoy_lacks_is_named(self):
        self.assertIn("env.proxy_teleport", self.only_problem(function("env", "proxy_teleport")))

    def test_a_wasi_call_that_only_newer_envoys_have_is_refused(self):
        entry = function("wasi_snapshot_preview1", "fd_filestat_get")
        self.assertIn("wasi_snapshot_preview1.fd_filestat_get", self.only_problem(entry))

    def test_a_good_name_from_another_module_is_refused(self):
        self.assertIn("wasi_snapshot_preview1.proxy_log",
                      self.only_problem(function("wasi_snapshot_preview1", "proxy_log")))

    def test_javascript_glue_is_refused(self):
        entry = function("__wbindgen_placeholder__", "__wbindgen_throw")
        self.assertIn("__wbindgen_throw", self.only_problem(entry))

    def test_what_is_no_function_is_refused_even_by_a_good_name(self):
        kinds = {
            "table": b"\x01\x70\x00" + uint(1),
            "memory": b"\x02\x01" + uint(1) + uint(2),
            "global": b"\x03\x7f\x00",
            "tag": b"\x04\x00" + uint(0),
        }
        for kind, type_bytes in kinds.items():
            with self.subTest(kind):
                entry = name("env") + name("proxy_log") + type_bytes
                self.assertIn(f"the {kind} env.proxy_log", self.only_problem(entry))

    def test_what_follows_such_an_import_is_still_seen(self):
        memory = name("env") + name("memory") + b"\x02\x00" + uint(1)
        found = check_wasm.problems(module([memory, function("env", "emscripten_exit")]))
        self.assertEqual(len(found), 2, found)


class Exports(unittest.TestCase):
    def test_each_missing_one_is_named(self):
        for position, names in enumerate(check_wasm.REQUIRED_EXPORTS):
            with self.subTest(names[0]):
                rest = GOOD_EXPORTS[:position] + GOOD_EXPORTS[position + 1 :]
                self.assertEqual(len(found := check_wasm.problems(module(exports=rest))), 1)
                self.assertIn(names[0], found[0])

    def test_either_of_two_names_does(self):
        other = [export(names[0]) for names in check_wasm.REQUIRED_EXPORTS]
        self.assertEqual(check_wasm.problems(module(exports=other)), [])


class Files(unittest.TestCase):
    def check(self, data):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "m.wasm")
            path.write_bytes(data)
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = check_wasm.main([str(path)])
        return code, out.getvalue() + err.getvalue()

    def test_a_good_module_is_told_with_its_size(self):
        data = module(GOOD_IMPORTS)
        code, said = self.check(data)
        self.assertEqual(code, 0)
        self.assertIn(f"{len(data):,} bytes", said)

    def test_a_bad_module_fails(self):
        self.assertEqual(self.check(module([function("env", "nope")]))[0], 1)

    def test_no_prefix_of_a_module_passes(self):
        data = module(GOOD_IMPORTS)
        for end in range(len(data)):
            self.assertEqual(self.check(data[:end])[0], 1, f"first {end} bytes")

    def test_a_number_without_end_is_refused(self):
        self.assertIn("too long", self.check(HEADER + b"\x02" + b"\x80" * 20)[1])


if __name__ == "__main__":
    unittest.main()
