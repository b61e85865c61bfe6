// The receiver of gorilla/websocket: see tests/receivers/README.md.
package main

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/gorilla/websocket"
)

var output sync.Mutex

func say(words ...interface{}) {
	output.Lock()
	defer output.Unlock()
	fmt.Println(words...)
}

func receive(connection *websocket.Conn, id string) {
	defer connection.Close()
	for {
		kind, data, err := connection.ReadMessage()
		if err != nil {
			code := 1006
			if closed, ok := err.(*websocket.CloseError); ok {
				code = closed.Code
			}
			say(id, "end", code, err)
			return
		}
		if kind == websocket.TextMessage {
			say(id, "text", hex.EncodeToString(data))
		} else {
			say(id, "binary", hex.EncodeToString(data))
		}
	}
}

func serve() error {
	upgrader := websocket.Upgrader{EnableCompression: true, CheckOrigin: func(*http.Request) bool { return true }}
	handler := func(w http.ResponseWriter, r *http.Request) {
		id := r.URL.Query().Get("id")
		connection, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			say(id, "end", 0, err)
			return
		}
		receive(connection, id)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	say(listener.Addr().(*net.TCPAddr).Port)
	return http.Serve(listener, http.HandlerFunc(handler))
}

func clients(url string, first, count int) {
	dialer := websocket.Dialer{EnableCompression: true}
	var all sync.WaitGroup
	for number := first; number < first+count; number++ {
		all.Add(1)
		go func(number int) {
			defer all.Done()
			id := strconv.Itoa(number)
			connection, _, err := dialer.Dial(fmt.Sprintf("%s/%d?id=%d", url, number%10, number), nil)
			if err != nil {
				say(id, "end", 0, err)
				return
			}
			receive(connection, id)
		}(number)
	}
	all.Wait()
}

// Sends one message with all that gorilla/websocket has by default, and says how many bytes
// came back.
func send(url string, bytes int) {
	connection, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		say("end", 0, err)
		return
	}
	defer connection.Close()
	err = connection.WriteMessage(websocket.TextMessage, make([]byte, bytes))
	if err != nil {
		say("end", 0, err)
		return
	}
	_, data, err := connection.ReadMessage()
	if closed, ok := err.(*websocket.CloseError); ok {
		say("end", closed.Code, closed.Text)
	} else if err != nil {
		say("end", 1006, err)
	} else {
		say("echo", len(data))
	}
}

func main() {
	if os.Args[1] == "send" {
		bytes, _ := strconv.Atoi(os.Args[3])
		send(os.Args[2], bytes)
		return
	}
	if os.Args[1] == "server" {
		fmt.Fprintln(os.Stderr, serve())
		os.Exit(1)
	}
	first, _ := strconv.Atoi(os.Args[3])
	count, _ := strconv.Atoi(os.Args[4])
	clients(os.Args[2], first, count)
}
