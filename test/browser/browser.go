// Package browser looks at pages in a real headless Chromium, by its DevTools protocol, in tests.
package browser

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// Page is one page. It is for the test's goroutine; a call that fails ends the test.
type Page struct {
	t    *testing.T
	conn *websocket.Conn
	id   int
	// Errors are those on the page's console, a breach of its content security policy among them.
	Errors []string
}

// Open starts Chromium on a URL and waits for the page to be loaded. It skips under -short, and where there is none: Debian's package chromium has it.
func Open(t *testing.T, url string) *Page {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes some seconds to start: make e2e runs it")
	}
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Skip("there is no chromium: install Debian's package of that name to test the page in a real browser")
	}
	dir, err := os.MkdirTemp("", "wholescale-browser-")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-port=0", "--user-data-dir="+dir, "--window-size=1280,1400", url)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it has processes of its own, which end with it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it has nothing to keep
		_ = cmd.Wait()
		_ = os.RemoveAll(dir) // what is left is in the folder for temporary files
	})
	b := &Page{t: t}
	address := b.await(ctx, "a page of "+url, func() (string, error) {
		data, _ := os.ReadFile(filepath.Join(dir, "DevToolsActivePort")) // not there yet
		port, _, _ := strings.Cut(string(data), "\n")
		if port == "" {
			return "", nil
		}
		response, err := http.Get("http://127.0.0.1:" + port + "/json/list")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		var pages []struct {
			Type, URL string
			Socket    string `json:"webSocketDebuggerUrl"`
		}
		if err := json.NewDecoder(response.Body).Decode(&pages); err != nil {
			return "", err
		}
		for _, p := range pages {
			if p.Type == "page" && strings.HasPrefix(p.URL, url) {
				return p.Socket, nil
			}
		}
		return "", nil
	})
	conn, _, err := websocket.Dial(ctx, address, nil) //nolint:bodyclose // the library closes it
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	b.conn = conn
	for _, domain := range []string{"Runtime.enable", "Log.enable", "Page.enable", "Accessibility.enable"} {
		b.Call(domain, nil, nil)
	}
	b.Until(`document.readyState === "complete" && location.href.startsWith(` + strconv.Quote(url) + `)`) // there is an empty page before it
	return b
}

// await asks for something until it gets an answer.
func (b *Page) await(ctx context.Context, what string, ask func() (string, error)) string {
	b.t.Helper()
	for tick := time.Tick(50 * time.Millisecond); ; {
		got, err := ask()
		if err == nil && got != "" {
			return got
		}
		select {
		case <-tick:
		case <-ctx.Done():
			b.t.Fatalf("%s: the browser did not come to that within its time (%v); on its console: %v", what, err, b.Errors)
		}
	}
}

// Call asks the browser and reads the answer into a value, unless that is nil.
func (b *Page) Call(method string, params map[string]any, into any) {
	b.t.Helper()
	if err := b.ask(method, params, into); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *Page) ask(method string, params map[string]any, into any) error {
	b.t.Helper()
	b.id++
	body, err := json.Marshal(map[string]any{"id": b.id, "method": method, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	if err := b.conn.Write(ctx, websocket.MessageText, body); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		_, data, err := b.conn.Read(ctx)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(data, &m); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		if m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`) {
			b.Errors = append(b.Errors, string(m.Params))
		}
		if m.ID != b.id {
			continue
		}
		if m.Error != nil {
			return errors.New(m.Error.Message)
		}
		if into != nil {
			return json.Unmarshal(m.Result, into)
		}
		return nil
	}
}

// Eval is what an expression is in the page, as a string.
func (b *Page) Eval(expression string) string {
	b.t.Helper()
	value, err := b.eval(expression)
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

func (b *Page) eval(expression string) (string, error) {
	b.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	if err := b.ask("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &out); err != nil {
		return "", err
	}
	if e := out.ExceptionDetails; e != nil {
		return "", fmt.Errorf("%s %s", e.Text, e.Exception.Description)
	}
	return fmt.Sprint(out.Result.Value), nil
}

// Until waits for an expression to be true. One that throws is not true yet: what it names may still be on its way.
func (b *Page) Until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	b.await(ctx, expression, func() (string, error) {
		got, err := b.eval("Boolean(" + expression + ")")
		if got == "false" {
			got = ""
		}
		return got, err
	})
}

// Key presses a key and lets it go.
func (b *Page) Key(name string, code int) {
	b.t.Helper()
	text := ""
	if name == "Enter" {
		text = "\r"
	}
	b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text}, nil)
	b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

// Click presses the mouse in the middle of the first element that a selector finds.
func (b *Page) Click(selector string) {
	b.t.Helper()
	at := b.Eval(`(() => { const e = document.querySelector(` + strconv.Quote(selector) + `); e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect(); return Math.round(r.x + r.width / 2) + " " + Math.round(r.y + r.height / 2); })()`)
	var x, y int
	if _, err := fmt.Sscan(at, &x, &y); err != nil {
		b.t.Fatalf("%s is at %q: %v", selector, at, err)
	}
	for _, kind := range []string{"mouseMoved", "mousePressed", "mouseReleased"} {
		b.Call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}, nil)
	}
}

// Dark makes the person prefer the dark.
func (b *Page) Dark(on bool) {
	value := "light"
	if on {
		value = "dark"
	}
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": value}}}, nil)
}

// Picture writes a screenshot into a folder, unless that is empty.
func (b *Page) Picture(folder, name string) {
	b.t.Helper()
	if folder == "" {
		return
	}
	var out struct{ Data string }
	b.Call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &out)
	data, err := base64.StdEncoding.DecodeString(out.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Names are what a screen reader hears of things with one of the roles.
func (b *Page) Names(roles ...string) []string {
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	b.Call("Accessibility.getFullAXTree", nil, &tree)
	var list []string
	for _, n := range tree.Nodes {
		for _, role := range roles {
			if n.Role.Value == role && !n.Ignored {
				list = append(list, fmt.Sprint(n.Name.Value))
			}
		}
	}
	return list
}
