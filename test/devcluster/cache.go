package devcluster

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	modulePath = "github.com/wholescale/wholescale"
	// kubernetesVersion is what the API server says it is; controlplane/go.mod pins the same.
	kubernetesVersion = "v1.37.2"
	// controlPlaneEnv names a ready control-plane binary, for machines without the source or the module proxy.
	controlPlaneEnv = "WHOLESCALE_CONTROLPLANE"
	// staleBuild is how long a control plane nobody used stays in the cache; each is about 180 MB.
	staleBuild = 30 * 24 * time.Hour
	// progressEvery is the pause between two progress lines of a build.
	progressEvery = 10 * time.Second
	lockPoll      = 200 * time.Millisecond
)

// sourceDir is the folder of this package in the checkout.
func sourceDir(ctx context.Context) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		dir := filepath.Dir(file)
		if _, err := os.Stat(filepath.Join(dir, "controlplane", "go.mod")); err == nil {
			return dir, nil
		}
	}
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath)
	out, err := list.Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "test", "devcluster")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "controlplane", "go.mod"))
	}
	if err != nil {
		return "", fmt.Errorf("find the source of the control plane: run inside a checkout of %s, or set %s to a built binary: %w",
			modulePath, controlPlaneEnv, err)
	}
	return dir, nil
}

func cacheDir(parts ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder (set XDG_CACHE_HOME): %w", err)
	}
	dir := filepath.Join(append([]string{base, "wholescale"}, parts...)...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	return dir, nil
}

// ControlPlane returns the path of the control-plane binary, and builds it first if the cache has none for this source
// and this Go version. A build takes about five minutes on two free cores; lines about it go to progress.
func ControlPlane(ctx context.Context, progress io.Writer) (string, error) {
	if path := os.Getenv(controlPlaneEnv); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("%s: %w", controlPlaneEnv, err)
		}
		return path, nil
	}
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	source = filepath.Join(source, "controlplane")
	key, err := sourceKey(ctx, source)
	if err != nil {
		return "", err
	}
	all, err := cacheDir("controlplane")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(all, key, "controlplane")
	if used(binary) {
		return binary, nil
	}
	unlock, err := lock(ctx, filepath.Join(all, key+".lock"), func() {
		fmt.Fprintln(progress, "another process builds the control plane; waiting for it")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	build := controlPlaneBuild(ctx, source, binary+".new")
	if err := runBuild(build, "building the control plane, once, about 5 minutes", progress); err != nil {
		return "", err
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		return "", fmt.Errorf("keep the built control plane: %w", err)
	}
	removeStale(all, key)
	return binary, nil
}

// MetricsServer returns the path of the real metrics-server, of the version that metricsserver/go.mod names, and builds it
// first if the cache has none of it. A build takes about two minutes on two free cores; lines about it go to progress.
func MetricsServer(ctx context.Context, progress io.Writer) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	source = filepath.Join(source, "metricsserver")
	key, err := sourceKey(ctx, source)
	if err != nil {
		return "", err
	}
	all, err := cacheDir("metricsserver")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(all, key, "metrics-server")
	unlock, err := lock(ctx, filepath.Join(all, key+".lock"), func() {
		fmt.Fprintln(progress, "another process builds metrics-server; waiting for it")
	})
	if err != nil {
		return "", err
	}
	defer unlock()
	if used(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	const program = "sigs.k8s.io/metrics-server/cmd/metrics-server"
	build := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", binary+".new", program)
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if err := runBuild(build, "building metrics-server, once, about 2 minutes", progress); err != nil {
		return "", err
	}
	if err := os.Rename(binary+".new", binary); err != nil {
		return "", fmt.Errorf("keep the built metrics-server: %w", err)
	}
	removeStale(all, key)
	return binary, nil
}

func controlPlaneBuild(ctx context.Context, source, output string) *exec.Cmd {
	const version = "k8s.io/component-base/version."
	major, minor, _ := strings.Cut(strings.TrimPrefix(kubernetesVersion, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	flags := "-s -w -X " + version + "gitVersion=" + kubernetesVersion + " -X " + version + "gitMajor=" + major +
		" -X " + version + "gitMinor=" + minor + " -X " + version + "gitTreeState=clean"
	build := exec.CommandContext(ctx, "go", "build", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", flags, "-o", output, ".")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	return build
}

// sourceKey names a build by what goes into it.
func sourceKey(ctx context.Context, source string) (string, error) {
	files, err := filepath.Glob(filepath.Join(source, "*.go"))
	if err != nil {
		return "", fmt.Errorf("list %s: %w", source, err)
	}
	files = append(files, filepath.Join(source, "go.mod"), filepath.Join(source, "go.sum"))
	sort.Strings(files)
	hash := sha256.New()
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("read the control plane's source: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n", filepath.Base(file), len(content))
		hash.Write(content)
	}
	version := exec.CommandContext(ctx, "go", "env", "GOVERSION", "GOOS", "GOARCH")
	version.Dir = source
	out, err := version.Output()
	if err != nil {
		return "", fmt.Errorf("ask the go command for its version (is go in PATH?): %w", err)
	}
	hash.Write(out)
	return hex.EncodeToString(hash.Sum(nil))[:16], nil
}

// runBuild runs one go build and tells progress every progressEvery.
func runBuild(build *exec.Cmd, what string, progress io.Writer) error {
	var output bytes.Buffer
	build.Stdout, build.Stderr = &output, &output
	begin := time.Now()
	if err := build.Start(); err != nil {
		return fmt.Errorf("%s (is go in PATH?): %w", what, err)
	}
	done := make(chan error, 1)
	go func() { done <- build.Wait() }()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err == nil {
				return nil
			}
			text := lastLines(output.Bytes(), 20)
			return fmt.Errorf("%s: %w\n%s%s", what, err, text, remedy(text))
		case <-tick.C:
			fmt.Fprintf(progress, "%s ... %.0f s\n", what, time.Since(begin).Seconds())
		}
	}
}

// Binary builds cmd/devcluster (go's own build cache makes a repeat cheap) and returns its path, which names its
// content: a later build never replaces the file under a running process.
func Binary(ctx context.Context, progress io.Writer) (string, error) {
	source, err := sourceDir(ctx)
	if err != nil {
		return "", err
	}
	dir, err := cacheDir("devcluster")
	if err != nil {
		return "", err
	}
	unlock, err := lock(ctx, filepath.Join(dir, "build.lock"), nil)
	if err != nil {
		return "", err
	}
	defer unlock()
	fresh := filepath.Join(dir, "devcluster.new")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", fresh, "./cmd/devcluster")
	build.Dir = source
	if err := runBuild(build, "building devcluster", progress); err != nil {
		return "", err
	}
	content, err := os.ReadFile(fresh)
	if err != nil {
		return "", fmt.Errorf("read the built devcluster: %w", err)
	}
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])[:16]
	binary := filepath.Join(dir, name, "devcluster")
	if used(binary) {
		return binary, nil
	}
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("make the cache folder: %w", err)
	}
	if err := os.Rename(fresh, binary); err != nil {
		return "", fmt.Errorf("keep the built devcluster: %w", err)
	}
	removeStale(dir, name)
	return binary, nil
}

// used tells whether the binary is there, and marks its folder as in use for removeStale.
func used(binary string) bool {
	if _, err := os.Stat(binary); err != nil {
		return false
	}
	now := time.Now()
	_ = os.Chtimes(filepath.Dir(binary), now, now) // only keeps the cache tidy
	return true
}

// removeStale drops the folders beside keep that nobody used for staleBuild. Failures only cost disk.
func removeStale(dir, keep string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && entry.IsDir() && entry.Name() != keep && time.Since(info.ModTime()) > staleBuild {
			_ = os.RemoveAll(filepath.Join(dir, entry.Name()))
		}
	}
}

// lock takes an exclusive lock on path, which ends with unlock or with the process. waiting, if not nil, is called
// once when somebody else holds it.
func lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	for {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = file.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			_ = file.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		if waiting != nil {
			waiting()
			waiting = nil
		}
		select {
		case <-ctx.Done():
			_ = file.Close()
			return nil, fmt.Errorf("wait for the lock %s: %w", path, ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}
