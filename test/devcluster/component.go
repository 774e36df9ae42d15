package devcluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	probePause   = 25 * time.Millisecond
	probeTimeout = 2 * time.Second
	// logTail is how many lines of a dead component's log its error quotes.
	logTail = 12
)

// component is one process of the control plane.
type component struct {
	name string
	log  string
	// health is the URL that answers 200 when it is ready; empty for none.
	health string
	cmd    *exec.Cmd
	// done is closed when the process has ended; then err tells how.
	done chan struct{}
	err  error
}

// startComponent runs `binary name args...` in dir with its output in dir/name.log.
func startComponent(binary, dir string, env []string, spec componentSpec) (*component, error) {
	c := &component{name: spec.name, log: filepath.Join(dir, spec.name+".log"), health: spec.health, done: make(chan struct{})}
	output, err := os.OpenFile(c.log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer output.Close()
	c.cmd = exec.Command(binary, append([]string{spec.name}, spec.args...)...)
	c.cmd.Dir, c.cmd.Env = dir, env
	c.cmd.Stdout, c.cmd.Stderr = output, output
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C at the terminal is for the owner alone
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.done)
	}()
	return c, nil
}

type componentSpec struct {
	name   string
	args   []string
	health string
}

// ended says how the component died, in words of its own log.
func (c *component) ended() error {
	content, err := readTail(c.log)
	if err != nil {
		return fmt.Errorf("%s ended: %w", c.name, c.err)
	}
	text := lastLines(content, logTail)
	return fmt.Errorf("%s ended (%w); the end of %s:\n%s%s", c.name, c.err, c.log, text, remedy(text))
}

// ready waits for health to answer 200.
func (c *component) ready(ctx context.Context, client *http.Client) error {
	last := "no answer yet"
	for {
		if c.health == "" {
			return nil
		}
		code, body, err := probe(ctx, client, c.health)
		if err == nil && code == http.StatusOK {
			return nil
		}
		if err == nil {
			last = fmt.Sprintf("status %d: %s", code, lastLines(body, 4))
		}
		select {
		case <-c.done:
			return c.ended()
		case <-ctx.Done():
			return fmt.Errorf("wait for %s at %s (%s; see %s): %w", c.name, c.health, last, c.log, ctx.Err())
		case <-time.After(probePause):
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<10))
	return response.StatusCode, body, err
}

// healthClient speaks to the components as the admin. The scheduler and the controller manager serve certificates of
// their own making on 127.0.0.1, so only the API server's is checked.
func healthClient(pki string, verify bool) (*http.Client, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(pki, "admin.crt"), filepath.Join(pki, "admin.key"))
	if err != nil {
		return nil, fmt.Errorf("load the admin's certificate: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(pki, "ca.crt"))
	if err != nil {
		return nil, fmt.Errorf("load the authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots, InsecureSkipVerify: !verify}
	if verify {
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: probeTimeout, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}, nil
}

// freePorts finds n ports on 127.0.0.1 that nobody listens on now. Somebody may take one before it is used: the start
// is then tried again with others.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port on 127.0.0.1: %w", err)
		}
		defer listener.Close()
		ports = append(ports, listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func portTaken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "address already in use")
}

// remedy turns the known endings of a component into what to do about them.
func remedy(text string) string {
	for _, known := range []struct{ symptom, advice string }{
		{"no space left on device", "the disk is full: free some, or set TMPDIR or DataDir to another one"},
		{"address already in use", "somebody took the port: try again"},
		{"too many open files", "too many open files: raise `ulimit -n`"},
		{"cannot allocate memory", "out of memory: a cluster needs about 600 MB, building the control plane about 3 GB"},
		{"signal: killed", "it was killed, perhaps for lack of memory: building the control plane needs about 3 GB"},
		{"dial tcp: lookup proxy.golang.org", "the Go module proxy cannot be reached: check the network and GOPROXY"},
	} {
		if strings.Contains(text, known.symptom) {
			return "\n" + known.advice
		}
	}
	return ""
}

func readTail(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	const tail = 32 << 10
	if info, err := file.Stat(); err == nil && info.Size() > tail {
		if _, err := file.Seek(-tail, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(file)
}

func lastLines(content []byte, n int) string {
	lines := bytes.Split(bytes.TrimRight(content, "\n"), []byte("\n"))
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return string(bytes.Join(lines, []byte("\n")))
}
