package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/spf13/cobra"

	"github.com/wholescale/wholescale/autoscaler"
	"github.com/wholescale/wholescale/autoscaler/scenario"
	"github.com/wholescale/wholescale/autoscaler/story"
)

// TestAsk runs testdata/ask/*.cli: each `run` holds the arguments of wholescale, and its outcome what stands on stdout, on
// stderr (with "! " before it) and the exit code when it is not 0. Words are split at spaces.
// `go test ./cmd/wholescale -run Ask -rewrite` writes the outcomes anew: read the diff.
func TestAsk(t *testing.T) {
	files, err := filepath.Glob("testdata/ask/*.cli")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				if d.Cmd != "run" {
					d.Fatalf(t, "unknown command %s", d.Cmd)
				}
				code, out, errs := call(strings.Fields(d.Input)...)
				var b strings.Builder
				b.WriteString(out)
				for line := range strings.Lines(errs) {
					b.WriteString("! " + line)
				}
				if code != 0 {
					fmt.Fprintf(&b, "exit %d\n", code)
				}
				return b.String()
			})
		})
	}
}

// before is what the shop looked like before shop.txt, for a log of what was decided since.
var before = []string{
	`now 09:59:00
gone node n3
pool spot cpu=4 mem=16Gi nodes=0..4 target=2 price=0.12 join=50s idle=30s consolidate=5m
workload demo/cart cpu=1 mem=1Gi target=7 total=10 slots=10 wait=300ms bounds=0..8 start=4s on=n1*3,n2
demand demo/cart 20x60 inflight=5,5,5,5`,
	`now 09:59:45
demand demo/cart 20x50 60 70 queued=38 inflight=10,10,10,10`,
	`now 09:59:46
node n3 spot coming due=10:00:35 since=09:59:45
pool spot cpu=4 mem=16Gi nodes=0..4 target=3 price=0.12 join=50s idle=30s consolidate=5m
workload demo/cart cpu=1 mem=1Gi target=7 total=10 slots=10 wait=300ms bounds=0..8 start=4s on=n1*3,n2 pending=4 replicas=8`,
}

// TestTheLogOfTheShop holds decisions.jsonl to what the core decides, and writes it anew with -rewrite.
func TestTheLogOfTheShop(t *testing.T) {
	shop, err := os.ReadFile("testdata/ask/shop.txt")
	if err != nil {
		t.Fatal(err)
	}
	var records, now scenario.Scenario
	var log bytes.Buffer
	diary, encode := story.NewDiary(), json.NewEncoder(&log)
	note := func(s *scenario.Scenario, text string) {
		if err := s.Add(text); err != nil {
			t.Fatal(err)
		}
		state, err := s.State()
		if err != nil {
			t.Fatal(err)
		}
		if entry, news := diary.Note(autoscaler.Plan(state), "queue"); news {
			if err := encode.Encode(entry); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := records.Add(string(shop)); err != nil {
		t.Fatal(err)
	}
	for _, text := range before {
		note(&records, text)
	}
	note(&now, string(shop))
	const path = "testdata/ask/decisions.jsonl"
	if rewriting() {
		if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(log.Bytes(), want) {
		t.Errorf("%v\n%s\nnot\n%s", err, log.Bytes(), want)
	}
}

// every walks all commands that can be called.
func every(c *cobra.Command, path []string, visit func(*cobra.Command, []string)) {
	visit(c, path)
	for _, sub := range c.Commands() {
		if sub.Name() != "help" && sub.Name() != "completion" {
			every(sub, append(path[:len(path):len(path)], sub.Name()), visit)
		}
	}
}

func TestEachCommandKeepsTheConvention(t *testing.T) {
	n := 0
	every(command(), nil, func(c *cobra.Command, path []string) {
		n++
		with := func(more ...string) []string { return append(path[:len(path):len(path)], more...) }
		if code, out, errs := call(with("--help")...); code != 0 || errs != "" || !strings.Contains(out, "Usage:") {
			t.Errorf("%v --help: exit %d, %q, %q", path, code, out, errs)
		}
		if c.Short == "" {
			t.Errorf("%v says not what it is for", path)
		}
		for _, wrong := range [][]string{{"--no-such-flag"}, {"-o"}, {"one", "two", "three", "four"}} {
			code, out, errs := call(with(wrong...)...)
			if code != exitUsage || out != "" || !strings.HasPrefix(errs, "wholescale: usage: ") {
				t.Errorf("%v: exit %d, %q, %q", with(wrong...), code, out, errs)
			}
		}
		if f := c.Flags().Lookup("output"); f != nil {
			if code, out, errs := call(with("-o", "nonsense")...); code != exitUsage || out != "" || errs == "" {
				t.Errorf("%v -o nonsense: exit %d, %q, %q", path, code, out, errs)
			}
		}
	})
	if n < 15 {
		t.Errorf("%d commands were seen", n)
	}
}

func TestADryBenchPrintsWhatItWouldMake(t *testing.T) {
	code, out, errs := call("bench", "step", "--dry-run", "--pool", "spare", "--image", "registry.example/subject")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, %q", code, errs)
	}
	for _, want := range []string{"kind: Namespace", "kind: NodePool", "kind: Deployment", "pool: spare", "image: registry.example/subject", "max: 8"} {
		if !strings.Contains(out, want) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	if code, out, _ := call("bench", "from-zero", "--dry-run", "-o", "json"); code != 0 || !json.Valid([]byte(out)) {
		t.Errorf("exit %d, %s", code, out)
	}
}

// controller stands for one: what it answers by path.
func controller(t *testing.T, answers map[string]http.HandlerFunc) string {
	mux := http.NewServeMux()
	for path, answer := range answers {
		mux.Handle(path, answer)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

func file(path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }
}

func TestAskingAController(t *testing.T) {
	url := controller(t, map[string]http.HandlerFunc{"/state": file("testdata/ask/shop.txt"), "/decisions": file("testdata/ask/decisions.jsonl")})
	for _, words := range []string{"why cart", "why not fewer web", "why cart --at 2026-01-01T09:59:50Z", "check", "whatif --remove-node n1", "state"} {
		args := strings.Fields(words)
		code, live, errs := call(append(args, "--controller", url)...)
		fromFiles := append(slices.Clone(args), "--state", "testdata/ask/shop.txt")
		if args[0] == "why" {
			fromFiles = append(fromFiles, "--decisions", "testdata/ask/decisions.jsonl")
		}
		if code2, offline, errs2 := call(fromFiles...); code2 != code || offline != live || errs2 != errs || live == "" {
			t.Errorf("%s: exit %d and %d\n%s%s\nnot\n%s%s", words, code, code2, live, errs, offline, errs2)
		}
	}
}

func TestAControllerThatDoesNotAnswer(t *testing.T) {
	answers := func(code int, text string) string {
		return controller(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, text, code) }})
	}
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, c := range []struct {
		url, want string
		code      int
	}{
		{answers(http.StatusServiceUnavailable, "not leading"), "does not lead", exitFailed},
		{answers(http.StatusNotFound, "404"), "has no /state", exitFailed},
		{answers(http.StatusInternalServerError, "oh"), "500 Internal Server Error: oh", exitFailed},
		{answers(http.StatusOK, "node n1"), "the state: ", exitUsage},
		{gone.URL, "port-forward", exitFailed},
		{"127.0.0.1:9091", "it is a URL", exitUsage},
		{"ftp://127.0.0.1", "it is a URL", exitUsage},
	} {
		for _, args := range [][]string{{"why", "cart"}, {"state"}, {"whatif", "--remove-node", "n1"}} {
			code, out, errs := call(append(args, "--controller", c.url)...)
			if code != c.code || out != "" || !strings.Contains(errs, c.want) {
				t.Errorf("%v of %s: exit %d, %q, %q", args, c.want, code, out, errs)
			}
		}
		// 1 says that something was found, and so it is not for this.
		if code, out, errs := call("check", "--controller", c.url); code != exitUsage || out != "" || !strings.Contains(errs, c.want) {
			t.Errorf("check of %s: exit %d, %q, %q", c.want, code, out, errs)
		}
	}
}

func TestAStateFromStdinAndWhatStateWritesReadsBack(t *testing.T) {
	code, first, errs := call("state", "--state", "testdata/ask/shop.txt")
	if code != 0 || errs != "" {
		t.Fatalf("exit %d, %q", code, errs)
	}
	path := fileWith(t, "bug.txt", first)
	if _, again, _ := call("state", "--state", path); again != first {
		t.Errorf("%s\nnot\n%s", again, first)
	}
	var out, err bytes.Buffer
	in, e := os.Open(path)
	if e != nil {
		t.Fatal(e)
	}
	defer in.Close() // read only: nothing to lose
	root := command()
	root.SetArgs([]string{"check", "--state", "-", "-o", "name"})
	root.SetIn(in)
	root.SetOut(&out)
	root.SetErr(&err)
	if e := root.Execute(); e == nil || !strings.Contains(out.String(), "pool/gpu\n") {
		t.Errorf("%v, %q, %q", e, out.String(), err.String())
	}
	var records scenario.Scenario
	if e := records.Add(first); e != nil {
		t.Error(e)
	}
}

func TestColoursAreForATerminalAlone(t *testing.T) {
	if paintFor(&bytes.Buffer{}).on {
		t.Error("a buffer is no terminal")
	}
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if paintFor(f).on {
		t.Error("a file is no terminal")
	}
	if got := (paint{on: true}).red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := (paint{}).red("x"); got != "x" {
		t.Errorf("%q", got)
	}
}

// TestTheDocumentedOutputsAreTrue runs the commands of docs/ask.md, and with -rewrite writes what came out into it.
func TestTheDocumentedOutputsAreTrue(t *testing.T) {
	const fence, end = "```console\n", "```\n"
	path, err := filepath.Abs("../../docs/ask.md")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("testdata/ask")
	var now strings.Builder
	commands := 0
	for rest := string(text); ; {
		before, after, found := strings.Cut(rest, fence)
		now.WriteString(before)
		if !found {
			break
		}
		block, after, _ := strings.Cut(after, end)
		now.WriteString(fence)
		for line := range strings.Lines(block) {
			if words, ok := strings.CutPrefix(line, "$ wholescale "); ok {
				commands++
				_, out, _ := call(strings.Fields(words)...)
				now.WriteString(line + out)
			}
		}
		now.WriteString(end)
		rest = after
	}
	if commands < 8 {
		t.Errorf("%d commands were run", commands)
	}
	if now.String() == string(text) {
		return
	}
	if rewriting() {
		if err := os.WriteFile(path, []byte(now.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("docs/ask.md shows other outputs; -rewrite writes them anew, as\n%s", now.String())
}

func rewriting() bool {
	f := flag.Lookup("rewrite")
	return f != nil && f.Value.String() == "true"
}

// TestTheDocumentationNamesEachFlagAndCode holds the tables to the code.
func TestTheDocumentationNamesEachFlagAndCode(t *testing.T) {
	text, err := os.ReadFile("../../docs/ask.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range changeFlags {
		if !strings.Contains(string(text), "`--"+f.name+" ") {
			t.Errorf("--%s is not there", f.name)
		}
	}
	source, err := os.ReadFile("../../autoscaler/story/check.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`c\.add\([^"]*"?[^"]*"?, "([a-z-]+)"|code = "([a-z-]+)"|\{"([a-z]+-[a-z-]+)", "|code, fix = "([a-z]+)"`).FindAllStringSubmatch(string(source), -1)
	seen := 0
	for _, match := range codes {
		for _, code := range match[1:] {
			if code == "" {
				continue
			}
			seen++
			if !strings.Contains(string(text), "`"+code+"`") {
				t.Errorf("code %s is not there", code)
			}
		}
	}
	if seen < 25 {
		t.Errorf("%d codes were seen", seen)
	}
}
