#!/usr/bin/env python3
"""Tells whether stock Envoy can load a WebAssembly module as proxy-wasm filter.

    check_wasm.py FILE.wasm

Envoy links a module by name: one import that it does not offer, and the filter
does not load anywhere. So every import must be a function that each supported
Envoy (1.36 and later) offers, and the module must export what Envoy asks for.
Exits 1 and names what is wrong otherwise. Needs nothing but Python.
"""

import sys
from pathlib import Path

# The lists are those of proxy-wasm-cpp-host, the runtime inside Envoy:
# include/proxy-wasm/exports.h, FOR_ALL_HOST_FUNCTIONS, registered as
# "env"."proxy_<name>" by src/wasm.cc, with what is registered for a module of
# ABI 0.2.1 only.
HOST_FUNCTIONS = frozenset(
    "proxy_" + name
    for name in """
    log get_status set_property get_property send_local_response
    get_shared_data set_shared_data register_shared_queue resolve_shared_queue
    dequeue_shared_queue enqueue_shared_queue
    get_header_map_value add_header_map_value replace_header_map_value
    remove_header_map_value get_header_map_pairs set_header_map_pairs get_header_map_size
    get_buffer_status get_buffer_bytes set_buffer_bytes
    http_call grpc_call grpc_stream grpc_close grpc_cancel grpc_send
    set_tick_period_milliseconds get_current_time_nanoseconds
    define_metric increment_metric record_metric get_metric
    set_effective_context done call_foreign_function
    continue_stream close_stream get_log_level
    """.split()
)

# FOR_ALL_WASI_FUNCTIONS of the same file, as Envoy 1.36 to 1.38 have it; the
# longer list of a later host (its commit 94091cd) is in 1.39 and 1.40 only.
WASI_FUNCTIONS = frozenset(
    """
    fd_write fd_read fd_seek fd_close fd_fdstat_get fd_fdstat_set_flags
    environ_get environ_sizes_get args_get args_sizes_get clock_time_get
    random_get sched_yield poll_oneoff proc_exit path_open
    fd_prestat_get fd_prestat_dir_name
    """.split()
)

ALLOWED = {
    "env": HOST_FUNCTIONS,
    "wasi_snapshot_preview1": WASI_FUNCTIONS,
    "wasi_unstable": WASI_FUNCTIONS,
}

# One of each line: WasmBase::load (ABI version), WasmBase::getFunctions (start
# and memory), and the callbacks without which a filter does nothing.
REQUIRED_EXPORTS = (
    ("proxy_abi_version_0_2_1",),
    ("_initialize", "_start"),
    ("malloc", "proxy_on_memory_allocate"),
    ("memory",),
    ("proxy_on_context_create",),
    ("proxy_on_configure",),
    ("proxy_on_request_headers",),
    ("proxy_on_request_body",),
    ("proxy_on_response_headers",),
    ("proxy_on_response_body",),
)

KINDS = ("function", "table", "memory", "global", "tag")
IMPORT_SECTION, EXPORT_SECTION = 2, 7


class Malformed(Exception):
    """The file is no WebAssembly module, or one cut short."""


class Reader:
    """Reads the primitive values of the binary format, never past the end."""

    def __init__(self, data):
        self.data = memoryview(data)
        self.at = 0

    def done(self):
        return self.at == len(self.data)

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed("ends in the middle of something")
        self.at += count
        return bytes(self.data[self.at - count : self.at])

    def byte(self):
        return self.take(1)[0]

    def uint(self):
        """An unsigned LEB128 number of at most 64 bits."""
        value = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                return value
        raise Malformed("a number is too long")

    def name(self):
        try:
            return self.take(self.uint()).decode()
        except UnicodeDecodeError:
            raise Malformed("a name is not UTF-8") from None

    def limits(self):
        flags = self.byte()
        self.uint()
        if flags & 1:
            self.uint()


def sections(module):
    """Yields (id, Reader) for each section of a module."""
    reader = Reader(module)
    if reader.take(8) != b"\0asm\x01\0\0\0":
        raise Malformed("is no WebAssembly module of version 1")
    while not reader.done():
        number = reader.byte()
        yield number, Reader(reader.take(reader.uint()))


def skip_import_type(reader, kind):
    """Moves past what an import says of its type."""
    if kind == 0:
        reader.uint()
    elif kind == 1:
        reader.byte()
        reader.limits()
    elif kind == 2:
        reader.limits()
    elif kind == 3:
        reader.take(2)
    elif kind == 4:
        reader.byte()
        reader.uint()
    else:
        raise Malformed(f"has an import of the unknown kind {kind}")


def read(module):
    """Gives (imports, exports): [(module, name, kind)] and {name}."""
    imports, exports = [], set()
    for number, body in sections(module):
        if number == IMPORT_SECTION:
            for _ in range(body.uint()):
                origin, name, kind = body.name(), body.name(), body.byte()
                skip_import_type(body, kind)
                imports.append((origin, name, KINDS[kind]))
        elif number == EXPORT_SECTION:
            for _ in range(body.uint()):
                exports.add(body.name())
                body.byte()
                body.uint()
    return imports, exports


def problems(module):
    """Everything that keeps Envoy from using the module, one sentence each."""
    imports, exports = read(module)
    found = []
    for origin, name, kind in imports:
        if kind != "function" or name not in ALLOWED.get(origin, ()):
            found.append(f"imports the {kind} {origin}.{name}, which Envoy does not offer")
    for names in REQUIRED_EXPORTS:
        if not exports.intersection(names):
            found.append(f"does not export {' or '.join(names)}, which Envoy needs")
    return found


def main(arguments):
    if len(arguments) != 1:
        print("usage: check_wasm.py FILE.wasm", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        module = path.read_bytes()
        found = problems(module)
    except (OSError, Malformed) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    for problem in found:
        print(f"{path}: {problem}", file=sys.stderr)
    if not found:
        imports, _ = read(module)
        size = f"{len(module):,} bytes ({len(module) / 2**20:.2f} MiB)"
        print(f"{path}: {size}, {len(imports)} imports, all of them Envoy's")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
