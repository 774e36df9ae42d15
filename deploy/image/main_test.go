package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// words are programs that are not: what is in the image and not what it does.
func words(t *testing.T, word string) string {
	t.Helper()
	dir := t.TempDir()
	for _, p := range programs {
		if err := os.WriteFile(filepath.Join(dir, p), []byte(p+" "+word), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// images reads a layout back.
func images(t *testing.T, dir string) []v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Fatal(err)
	}
	// The layout's own index names the one of architectures.
	outer, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	inner, err := index.ImageIndex(outer.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := inner.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var list []v1.Image
	for _, m := range manifest.Manifests {
		image, err := inner.Image(m.Digest)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, image)
	}
	return list
}

// unpack writes an image's files into a folder and returns their names with their modes.
func unpack(t *testing.T, image v1.Image, dir string) []string {
	t.Helper()
	var names []string
	r := mutate.Extract(image)
	defer r.Close()
	for files := tar.NewReader(r); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(h.ModTime.Truncate(1)) || h.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d:%d, time %v", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			names = append(names, h.FileInfo().Mode().String()+" "+h.Name)
			var data []byte
			if data, err = io.ReadAll(files); err == nil {
				err = os.WriteFile(path, data, h.FileInfo().Mode())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheSameProgramsAreTheSameImage(t *testing.T) {
	from, one, two := source{goroot(t), "1.2.3"}, t.TempDir(), t.TempDir()
	first, err := write(from, one, []string{"amd64=" + words(t, "x"), "arm64=" + words(t, "y")})
	if err != nil {
		t.Fatal(err)
	}
	second, err := write(from, two, []string{"amd64=" + words(t, "x"), "arm64=" + words(t, "y")})
	if err != nil || first != second {
		t.Errorf("%s and %s (%v)", first, second, err)
	}
	if other, err := write(from, two, []string{"amd64=" + words(t, "x"), "arm64=" + words(t, "z")}); err != nil || other == first {
		t.Errorf("other programs are %s too (%v)", other, err)
	}
	list := images(t, one)
	if len(list) != 2 {
		t.Fatalf("%d images", len(list))
	}
	for i, arch := range []string{"amd64", "arm64"} {
		c, err := list[i].ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if c.Architecture != arch || c.OS != "linux" || c.Config.User != "65532:65532" || !slices.Equal(c.Config.Entrypoint, []string{"/usr/local/bin/wholescale"}) || c.Config.Labels["org.opencontainers.image.version"] != "1.2.3" {
			t.Errorf("%s: %+v", arch, c)
		}
		root := t.TempDir()
		want := []string{
			"-rw-r--r-- etc/group", "-rw-r--r-- etc/passwd", "-rw-r--r-- etc/ssl/certs/ca-certificates.crt", "-rw-r--r-- usr/share/zoneinfo.zip",
			"-rwxr-xr-x usr/local/bin/controller", "-rwxr-xr-x usr/local/bin/gateway", "-rwxr-xr-x usr/local/bin/provider", "-rwxr-xr-x usr/local/bin/wholescale",
		}
		got := unpack(t, list[i], root)
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) {
			t.Errorf("%s has %v", arch, got)
		}
		authorities, err := os.ReadFile(filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
		if err != nil || strings.Count(string(authorities), "BEGIN CERTIFICATE") < 100 {
			t.Errorf("%d bytes of authorities (%v)", len(authorities), err)
		}
	}
}

func TestWhatCannotBeAnImage(t *testing.T) {
	for _, builds := range [][]string{nil, {"amd64"}, {"=x"}, {"amd64=/nowhere"}, {"amd64=" + words(t, "x")}} {
		dir := t.TempDir()
		kept := filepath.Join(dir, "kept")
		if err := os.WriteFile(kept, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := write(source{goroot: goroot(t)}, dir, builds); err == nil {
			t.Errorf("%v is an image", builds)
		}
		if _, err := os.Stat(kept); err != nil {
			t.Error("a failure took away what was there")
		}
	}
}

// TestTheRealProgramsRun: each program says what it is, from the image's own files, as the image's user, with nothing else there.
func TestTheRealProgramsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("the programs are built for it: make image-check runs it")
	}
	build, layout, root := t.TempDir(), t.TempDir(), t.TempDir()
	if out, err := exec.Command("../release/build", build, "-buildvcs=false").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if _, err := write(source{goroot(t), "1.2.3"}, layout, []string{runtime.GOARCH + "=" + build}); err != nil {
		t.Fatal(err)
	}
	unpack(t, images(t, layout)[0], root)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		cmd := exec.Command("/usr/local/bin/"+p, "--help")
		cmd.Dir, cmd.Env = "/", []string{"ZONEINFO=/usr/share/zoneinfo.zip"}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: user, Gid: user}}
		} else {
			cmd.Path = filepath.Join(root, cmd.Path) // who is not root cannot have its own root
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "Usage:") {
			t.Errorf("%s: %v: %s", p, err, out)
		}
	}
}
