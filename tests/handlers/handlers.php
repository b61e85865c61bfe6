<?php
// Ways in which applications in PHP read a message and act on it.
//
// Reads a line for each message, what kind of application it is for and its bytes in
// hex, and prints the rooms that were joined, as a JSON list.
error_reporting(0);

$ways = [
    'json' => [
        'loose' => function ($m, $join) {
            if ($m['type'] == 'join' || $m['op'] == 1) $join($m['room']);
        },
        'switch' => function ($m, $join) {
            switch ($m['type']) { case 'join': $join($m['room']); }
            switch ($m['op'] ?? 2) { case 1: $join($m['room']); }
        },
        'strict' => function ($m, $join) {
            if (($m['type'] ?? null) === 'join' || ($m['op'] ?? null) === 1) $join($m['room']);
        },
        'cast' => function ($m, $join) {
            if ((int) ($m['op'] ?? 0) === 1 || (string) ($m['type'] ?? '') === 'join') $join($m['room']);
        },
        'listed' => function ($m, $join) {
            if (in_array($m['type'] ?? null, ['join']) || in_array($m['op'] ?? null, ['1'])) $join($m['room']);
        },
        'table' => function ($m, $join) {
            $tables = ['type' => ['join' => $m['room']], 'op' => [1 => $m['room']]];
            foreach ($tables as $name => $table) {
                if (isset($m[$name], $table[$m[$name]])) $join($table[$m[$name]]);
            }
        },
        'extracted' => function ($m, $join) {
            $type = $op = $room = null;
            extract($m);
            if ($type === 'join' || $op === 1) $join($room);
        },
        'batch' => function ($m, $join) {
            foreach (array_is_list($m) ? $m : [$m] as $request) {
                if (is_string($request)) $request = json_decode($request, true);
                if (($request['method'] ?? null) == 'join') $join(reset($request['params']));
                if (($request['type'] ?? null) == 'join' || ($request['op'] ?? null) == 1) $join($request['room']);
            }
        },
        'again' => function ($m, $join) {
            while (is_string($m)) {
                if (($m = json_decode($m, true)) === null) return;
            }
            if (($m['type'] ?? null) == 'join' || ($m['op'] ?? null) == 1) $join($m['room']);
        },
    ],
    'zero' => [
        'loose' => function ($m, $join) {
            if ($m['op'] == 0) $join($m['room']);
        },
        'cast' => function ($m, $join) {
            if ((int) $m['op'] === 0) $join($m['room']);
        },
    ],
    'list' => [
        'destructured' => function ($m, $join) {
            [, , $topic, $event] = $m;
            if ($event == 'phx_join') $join($topic);
        },
    ],
    'packet' => [],
];

$objects = [
    'json' => function ($m, $join) {
        if ($m->type == 'join' || $m->op == 1) $join($m->room);
    },
    'zero' => function ($m, $join) {
        if ($m->op == 0) $join($m->room);
    },
];

function joins($mode, $data)
{
    global $ways, $objects;
    $rooms = [];
    $join = function ($room) use (&$rooms) {
        if ($room === null || is_object($room)) return;
        foreach (is_array($room) ? $room : [$room] as $one) {
            if (is_scalar($one)) $rooms[(string) $one] = true;
        }
    };
    if ($mode === 'packet') {
        // As PHP's Engine.IO servers do.
        if (preg_match('~^4[25](?:\d+-)?(?:/[^,]*,)?\d*(\[.*)$~s', $data, $found)) {
            [$event, $argument] = json_decode($found[1], true) ?? [null, null];
            if ($event == 'join') $join($argument['room'] ?? null);
        }
        return array_map('strval', array_keys($rooms));
    }
    foreach ([$data, trim($data), mb_scrub($data)] as $text) {
        foreach ([0, JSON_INVALID_UTF8_IGNORE, JSON_INVALID_UTF8_SUBSTITUTE] as $flags) {
            $message = json_decode($text, true, 512, $flags);
            foreach ($message === null ? [] : $ways[$mode] as $way) {
                try { $way($message, $join); } catch (Throwable $e) { }
            }
            $message = json_decode($text, false, 512, $flags);
            if ($message !== null && isset($objects[$mode])) {
                try { $objects[$mode]($message, $join); } catch (Throwable $e) { }
            }
        }
    }
    return array_map('strval', array_keys($rooms));
}

if (!function_exists('mb_scrub')) {
    function mb_scrub($text) { return preg_replace('/[^\x00-\x7f]/', '', $text); }
}

while (($line = fgets(STDIN)) !== false) {
    [$mode, $hex] = explode(' ', rtrim($line, "\n"), 2);
    echo json_encode(joins($mode, hex2bin($hex)), JSON_INVALID_UTF8_SUBSTITUTE), "\n";
    flush();
}
