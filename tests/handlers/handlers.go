// Ways in which applications in Go read a message and act on it.
//
// Reads a line for each message, what kind of application it is for and its bytes in
// hex, and prints the rooms that were joined, as a JSON list.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

type request struct {
	Type   string `json:"type"`
	Op     int    `json:"op"`
	Room   string `json:"room"`
	Method string `json:"method"`
	Params []any  `json:"params"`
}

// Fields without tags are found by their names, and any values are taken.
type open struct {
	Type, Op, Room any
}

func (r request) run(join func(any)) {
	if r.Type == "join" || r.Op == 1 {
		join(r.Room)
	}
	if r.Method == "join" && len(r.Params) > 0 {
		join(r.Params[0])
	}
}

// Errors are left out as careless programs do: what was read until then stays.
func readJSON(data []byte, join func(any)) {
	var one request
	_ = json.Unmarshal(data, &one)
	one.run(join)

	var first request // the first value, whatever follows
	_ = json.NewDecoder(bytes.NewReader(data)).Decode(&first)
	first.run(join)

	var batch []request
	_ = json.Unmarshal(data, &batch)
	for _, r := range batch {
		r.run(join)
	}

	var loose open
	_ = json.Unmarshal(data, &loose)
	if loose.Type == "join" || fmt.Sprint(loose.Op) == "1" {
		join(loose.Room)
	}

	var members map[string]any
	if json.Unmarshal(data, &members) == nil {
		tables := map[string]map[any]bool{"type": {"join": true}, "op": {float64(1): true}}
		for name, table := range tables {
			switch key := members[name].(type) {
			case string, float64, bool:
				if table[key] {
					join(members["room"])
				}
			}
		}
	}

	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		var line request
		if json.Unmarshal(bytes.TrimRight(lines.Bytes(), "\x1e"), &line) == nil {
			line.run(join)
		}
	}

	var text string // JSON in a JSON text
	if json.Unmarshal(data, &text) == nil {
		var inner request
		_ = json.Unmarshal([]byte(text), &inner)
		inner.run(join)
	}
}

// What is missing is 0.
func readZero(data []byte, join func(any)) {
	var one request
	if json.Unmarshal(data, &one) == nil && one.Op == 0 && one.Room != "" {
		join(one.Room)
	}
}

func readList(data []byte, join func(any)) {
	var list []any
	if json.Unmarshal(data, &list) == nil && len(list) >= 4 && list[3] == "phx_join" {
		join(list[2])
	}
}

var packet = regexp.MustCompile(`(?s)^4[25](?:\d+-)?(?:/[^,]*,)?\d*(\[.*)$`)

func readPacket(data []byte, join func(any)) {
	found := packet.FindSubmatch(data)
	if found == nil {
		return
	}
	var payload []json.RawMessage
	var event string
	var argument request
	if json.Unmarshal(found[1], &payload) == nil && len(payload) > 1 {
		_ = json.Unmarshal(payload[0], &event)
		_ = json.Unmarshal(payload[1], &argument)
		if event == "join" && argument.Room != "" {
			join(argument.Room)
		}
	}
}

func main() {
	modes := map[string]func([]byte, func(any)){
		"json": readJSON, "zero": readZero, "list": readList, "packet": readPacket,
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		mode, message, _ := strings.Cut(lines.Text(), " ")
		data, _ := hex.DecodeString(message)
		rooms := map[string]bool{}
		modes[mode](data, func(room any) {
			if room != nil && room != "" {
				rooms[fmt.Sprint(room)] = true
			}
		})
		names := []string{}
		for room := range rooms {
			names = append(names, room)
		}
		sort.Strings(names)
		_ = json.NewEncoder(out).Encode(names)
		_ = out.Flush()
	}
}
