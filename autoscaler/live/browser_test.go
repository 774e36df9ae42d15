package live

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

var pictures = flag.String("pictures", "", "write screenshots of the page into this folder, to be looked at")

// browser is one page of a real headless Chromium, spoken to by its DevTools protocol.
type browser struct {
	t      *testing.T
	conn   *websocket.Conn
	id     int
	errors []string // of the page's console
}

// open starts Chromium on a URL. It skips where there is none: Debian's package chromium has it.
func open(t *testing.T, url string) *browser {
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
	dir, err := os.MkdirTemp("", "wholescale-live-")
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
	b := &browser{t: t}
	address := b.await(ctx, func() string {
		data, _ := os.ReadFile(filepath.Join(dir, "DevToolsActivePort")) // not there yet
		port, _, _ := strings.Cut(string(data), "\n")
		if port == "" {
			return ""
		}
		response, err := http.Get("http://127.0.0.1:" + port + "/json/list")
		if err != nil {
			return ""
		}
		defer response.Body.Close()
		var pages []struct {
			Type, URL string
			Socket    string `json:"webSocketDebuggerUrl"`
		}
		if json.NewDecoder(response.Body).Decode(&pages) != nil {
			return ""
		}
		for _, p := range pages {
			if p.Type == "page" && strings.HasPrefix(p.URL, url) {
				return p.Socket
			}
		}
		return ""
	})
	conn, _, err := websocket.Dial(ctx, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = conn.CloseNow() })
	b.conn = conn
	for _, domain := range []string{"Runtime.enable", "Log.enable", "Page.enable", "Accessibility.enable"} {
		b.call(domain, nil, nil)
	}
	return b
}

// await asks until it gets an answer.
func (b *browser) await(ctx context.Context, ask func() string) string {
	b.t.Helper()
	for tick := time.Tick(50 * time.Millisecond); ; {
		if s := ask(); s != "" {
			return s
		}
		select {
		case <-tick:
		case <-ctx.Done():
			b.t.Fatal("the browser did not come to that within its time; on its console: ", b.errors)
		}
	}
}

func (b *browser) call(method string, params map[string]any, into any) {
	b.t.Helper()
	b.id++
	body, err := json.Marshal(map[string]any{"id": b.id, "method": method, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	if err := b.conn.Write(ctx, websocket.MessageText, body); err != nil {
		b.t.Fatal(err)
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
			b.t.Fatal(err)
		}
		if m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded" && strings.Contains(string(m.Params), `"level":"error"`) {
			b.errors = append(b.errors, string(m.Params))
		}
		if m.ID != b.id {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if into != nil {
			if err := json.Unmarshal(m.Result, into); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// eval is what an expression is in the page, as a string.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var out struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &out)
	if out.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, out.ExceptionDetails.Text)
	}
	return fmt.Sprint(out.Result.Value)
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	b.await(ctx, func() string {
		if b.eval("Boolean("+expression+")") == "true" {
			return "yes"
		}
		return ""
	})
}

func (b *browser) key(name string, code int) {
	b.t.Helper()
	text := ""
	if name == "Enter" {
		text = "\r"
	}
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text}, nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

func (b *browser) dark(on bool) {
	value := "light"
	if on {
		value = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": value}}}, nil)
}

// picture writes a screenshot where one is wanted.
func (b *browser) picture(name string) {
	b.t.Helper()
	if *pictures == "" {
		return
	}
	var out struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &out)
	data, err := base64.StdEncoding.DecodeString(out.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*pictures, name), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// names are what a screen reader hears of things with one of the roles.
func (b *browser) names(roles ...string) []string {
	var tree struct {
		Nodes []struct {
			Ignored    bool
			Role, Name struct{ Value any }
		}
	}
	b.call("Accessibility.getFullAXTree", nil, &tree)
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

func serveSample(t *testing.T, change func(*Source)) string {
	t.Helper()
	s := sample()
	if change != nil {
		change(&s)
	}
	server := httptest.NewServer(Handler(s))
	t.Cleanup(server.Close)
	return server.URL
}

func TestThePageShowsTheLoopAndTellsWhy(t *testing.T) {
	b := open(t, serveSample(t, nil))
	b.dark(false)
	b.until(`document.querySelectorAll("#plots canvas").length === 4 && document.querySelector("#stage-money .figure").textContent !== "–"`)
	for id, want := range map[string]string{"stage-held": "49", "stage-replicas": "2 of 9", "stage-nodes": "1"} {
		if got := b.eval(`document.querySelector("#` + id + ` .figure").textContent`); got != want {
			t.Errorf("%s shows %q, want %q", id, got, want)
		}
	}
	if got := b.eval(`document.querySelectorAll("#workloads tbody tr").length + " " + document.querySelectorAll("#nodes tbody tr").length + " " + document.querySelectorAll("#pools tbody tr").length`); got != "4 3 2" {
		t.Errorf("rows: %s", got)
	}
	if got := b.eval(`document.querySelectorAll("tbody b").length`); got != "0" {
		t.Error("a name was taken as HTML")
	}
	b.picture("live-light.png")

	// With the mouse: why has this workload as many?
	b.eval(`[...document.querySelectorAll("#workloads button")].find((x) => x.textContent === "shop/cart").click()`)
	if got := b.eval(`document.getElementById("told").textContent`); !strings.Contains(got, "QueuedDemand: 85 held") || !strings.Contains(got, "Overruled") || !strings.Contains(got, "CapacityArriving") {
		t.Errorf("told %q", got)
	}
	// With the keyboard: a moment of the first plot, and what had been decided then.
	b.eval(`document.querySelector("#plots .plot[tabindex]").focus()`)
	b.key("End", 35)
	b.key("ArrowLeft", 37)
	if got := b.eval(`document.activeElement.getAttribute("aria-label")`); !strings.Contains(got, "at 11:59:59 UTC: held") {
		t.Errorf("a screen reader hears %q", got)
	}
	b.key("Enter", 13)
	b.until(`document.getElementById("moment-title").textContent.includes("11:59:59")`)
	if got := b.eval(`document.getElementById("told").textContent`); !strings.Contains(got, "shop/cart: replicas 4 → 9 by QueuedDemand") || !strings.Contains(got, "pool spot: 2 → 3 by PlacementShort") {
		t.Errorf("told %q", got)
	}
	if got := b.eval(`document.activeElement.id`); got != "moment-title" {
		t.Errorf("the focus is on %q, and the news is elsewhere", got)
	}
	b.picture("live-why.png")
	b.dark(true)
	b.until(`getComputedStyle(document.body).backgroundColor === "rgb(13, 17, 23)"`)
	b.picture("live-dark.png")
	if len(b.errors) > 0 {
		t.Errorf("on the console: %v", b.errors)
	}
}

func TestThePageCanBeHeardAndWalkedByKeyboard(t *testing.T) {
	b := open(t, serveSample(t, nil))
	b.until(`document.querySelectorAll("#plots canvas").length === 4 && document.querySelectorAll("#workloads tbody tr").length === 4`)
	for _, role := range []string{"button", "image", "img", "table", "region", "columnheader", "rowheader", "heading"} {
		for _, name := range b.names(role) {
			if strings.TrimSpace(name) == "" || name == "<nil>" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	if buttons := strings.Join(b.names("button"), "\n"); !strings.Contains(buttons, "Pause") || !strings.Contains(buttons, "Why: workload shop/cart") || !strings.Contains(buttons, "Why: node spot-2") {
		t.Errorf("buttons: %s", buttons)
	}
	// Tab goes through all that can be used, and each shows that it has the focus.
	seen := map[string]bool{}
	for range 40 {
		b.key("Tab", 9)
		what := b.eval(`(() => { const e = document.activeElement; if (!e || e === document.body) return ""; const s = getComputedStyle(e);
			return (s.outlineStyle === "none" ? "UNSEEN " : "") + (e.getAttribute("aria-label") || e.textContent).slice(0, 40); })()`)
		if strings.HasPrefix(what, "UNSEEN") {
			t.Errorf("the focus is not to be seen on %q", what)
		}
		seen[what] = true
	}
	for _, want := range []string{"Pause", "Why: workload shop/cart", "Why: node spot-1"} {
		if !seen[want] {
			t.Errorf("the keyboard does not come to %q: %v", want, seen)
		}
	}
	if got := b.eval(`document.documentElement.scrollWidth <= innerWidth`); got != "true" {
		t.Error("the page is wider than its window")
	}
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true}, nil)
	if got := b.eval(`new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(() => r([...document.querySelectorAll("main *")].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")).map((e) => e.tagName + "." + e.className).slice(0, 5).join(" ")))))`); got != "" {
		t.Errorf("beside a narrow page: %s", got)
	}
	b.picture("live-narrow.png")
}

func TestThePageSaysWhenNobodyLeads(t *testing.T) {
	var away atomic.Bool
	b := open(t, serveSample(t, func(s *Source) {
		now := s.Now
		s.Now = func() (Picture, bool) {
			if away.Load() {
				return Picture{}, false
			}
			return now()
		}
	}))
	b.until(`document.getElementById("state").textContent.startsWith("decided at")`)
	away.Store(true)
	b.until(`document.getElementById("state").textContent.includes("does not lead")`)
	if got := b.eval(`document.getElementById("state").getAttribute("role") + document.getElementById("state").className`); got != "statusbad" {
		t.Errorf("said as %q", got)
	}
	away.Store(false)
	b.until(`document.getElementById("state").textContent.startsWith("decided at")`)
	b.eval(`document.getElementById("pause").click()`)
	away.Store(true)
	if got := b.eval(`new Promise((r) => setTimeout(() => r(document.getElementById("state").textContent), 1500))`); !strings.HasPrefix(got, "decided at") {
		t.Errorf("a page that rests asked: %q", got)
	}
}
