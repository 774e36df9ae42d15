package workload

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves on a free port; the returned function drains and tells how that went.
func start(t *testing.T, config Config) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.Pod, config.DrainTimeout = "p", 10*time.Second
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, listener, config) }()
	var once sync.Once
	var result error
	stop = func() error {
		once.Do(func() { cancel(); result = <-done })
		return result
	}
	t.Cleanup(func() { _ = stop() })
	return listener.Addr().String(), stop
}

func client(h2 bool) (*http.Client, func()) {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	transport := &http.Transport{Protocols: protocols}
	return &http.Client{Transport: transport}, transport.CloseIdleConnections
}

func TestAnswers(t *testing.T) {
	address, _ := start(t, Config{})
	for _, h2 := range []bool{false, true} {
		c, end := client(h2)
		for _, ask := range []struct {
			path   string
			status int
			body   string
			fails  bool
		}{
			{"/x", 200, "pod p\n", false}, {"/x?status=418", 418, "pod p\n", false}, {"/x?size=3", 200, "xxx", false},
			{"/x?abort=before", 0, "", true}, {"/x?abort=during", 0, "", true},
			{"/stream?chunks=2&every=1ms", 200, "chunk 0\nchunk 1\n", false},
		} {
			response, err := c.Get("http://" + address + ask.path)
			var body []byte
			if err == nil {
				body, err = io.ReadAll(response.Body)
				response.Body.Close()
			}
			if (err != nil) != ask.fails {
				t.Errorf("h2 %v %s: %v", h2, ask.path, err)
			} else if err == nil && (response.StatusCode != ask.status || string(body) != ask.body) {
				t.Errorf("h2 %v %s: %d %q", h2, ask.path, response.StatusCode, body)
			}
		}
		response, err := c.Get("http://" + address + "/x?trailer=7")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if got := response.Trailer.Get("X-Sum"); got != "7" {
			t.Errorf("h2 %v: trailer %q", h2, got)
		}
		end()
	}
}

// TestEchoBothWays reads each answer before it sends the next, which no buffering server survives.
func TestEchoBothWays(t *testing.T) {
	address, _ := start(t, Config{})
	for _, h2 := range []bool{false, true} {
		c, end := client(h2)
		reader, writer := io.Pipe()
		response, err := c.Post("http://"+address+"/echo", "text/plain", reader)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"one", "two"} {
			go func() { _, _ = writer.Write([]byte(word)) }()
			got := make([]byte, 3)
			if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != word {
				t.Fatalf("h2 %v: %q %v, want %q", h2, got, err, word)
			}
		}
		writer.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		end()
	}
}

func TestLimit(t *testing.T) {
	address, _ := start(t, Config{Concurrency: 1})
	c, end := client(false)
	defer end()
	reader, writer := io.Pipe()
	held, err := c.Post("http://"+address+"/echo", "text/plain", reader) // answers at once and holds the one slot
	if err != nil {
		t.Fatal(err)
	}
	over, err := c.Get("http://" + address + "/x")
	if err != nil {
		t.Fatal(err)
	}
	over.Body.Close()
	writer.Close()
	_, _ = io.Copy(io.Discard, held.Body)
	held.Body.Close()
	count, err := c.Get("http://" + address + "/count")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(count.Body)
	count.Body.Close()
	if over.StatusCode != 503 || !strings.Contains(string(body), `"maxConcurrent":1,"overLimit":1,`) {
		t.Fatalf("over the limit: %d; count %s", over.StatusCode, body)
	}
}

func TestQueueLetsAllThrough(t *testing.T) {
	address, _ := start(t, Config{Concurrency: 1, Queue: true})
	c, end := client(false)
	defer end()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			response, err := c.Get("http://" + address + "/x?ms=5")
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			if response.StatusCode != 200 {
				t.Errorf("a queued request got %d", response.StatusCode)
			}
		})
	}
	all.Wait()
}

func TestWebSocketAndDrain(t *testing.T) {
	address, stop := start(t, Config{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	socket, _, err := websocket.Dial(ctx, "ws://"+address+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	if err := socket.Write(ctx, websocket.MessageBinary, []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := socket.Read(ctx); err != nil || !bytes.Equal(got, []byte("hi")) {
		t.Fatalf("echo %q %v", got, err)
	}
	// A request in flight ends before the server does.
	c, end := client(false)
	defer end()
	reader, writer := io.Pipe()
	flight, err := c.Post("http://"+address+"/echo", "text/plain", reader)
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	go func() { _, _ = writer.Write([]byte("bye")); writer.Close() }()
	if got, err := io.ReadAll(flight.Body); err != nil || string(got) != "bye" {
		t.Fatalf("the request in flight: %q %v", got, err)
	}
	flight.Body.Close()
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if _, _, err := socket.Read(ctx); err == nil {
		t.Fatal("the WebSocket outlived the server")
	}
}

func TestGRPCHealth(t *testing.T) {
	address, _ := start(t, Config{})
	connection, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	watch, err := healthpb.NewHealthClient(connection).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for {
		answer, err := watch.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status == healthpb.HealthCheckResponse_SERVING {
			return
		}
	}
}
