;; The least that a wasm filter can do to look at a WebSocket: it has the headers of
;; the handshake, and each chunk of both directions, copied to one place, looks at
;; none of it, and lets it go on.
(module
  (import "env" "proxy_get_header_map_pairs"
    (func $headers (param $map i32) (param $place i32) (param $length i32) (result i32)))
  (import "env" "proxy_get_buffer_bytes"
    (func $bytes (param $buffer i32) (param $begin i32) (param $bytes i32)
      (param $place i32) (param $length i32) (result i32)))
  (memory (export "memory") 64)
  (func (export "proxy_abi_version_0_2_1"))
  ;; Where Envoy puts what is copied; below it, what it says of that.
  (func (export "proxy_on_memory_allocate") (param $bytes i32) (result i32)
    (i32.const 1024))
  (func $copied (param $status i32)
    (if (local.get $status) (then unreachable)))
  (func $head (param $map i32) (result i32)
    (call $copied (call $headers (local.get $map) (i32.const 0) (i32.const 4)))
    (i32.const 0))
  (func $chunk (param $buffer i32) (param $bytes i32) (result i32)
    (if (local.get $bytes) (then
      (call $copied (call $bytes (local.get $buffer) (i32.const 0) (local.get $bytes)
        (i32.const 0) (i32.const 4)))))
    (i32.const 0))
  (func (export "proxy_on_request_headers")
    (param $stream i32) (param $headers i32) (param $end i32) (result i32)
    (call $head (i32.const 0)))
  (func (export "proxy_on_response_headers")
    (param $stream i32) (param $headers i32) (param $end i32) (result i32)
    (call $head (i32.const 2)))
  (func (export "proxy_on_request_body")
    (param $stream i32) (param $bytes i32) (param $end i32) (result i32)
    (call $chunk (i32.const 0) (local.get $bytes)))
  (func (export "proxy_on_response_body")
    (param $stream i32) (param $bytes i32) (param $end i32) (result i32)
    (call $chunk (i32.const 1) (local.get $bytes))))
