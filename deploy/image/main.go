// Command image writes the image of the four programs as an OCI layout, without a container engine and without a base image:
// the programs, the certificates of public authorities, time zones, and a user. What goes in is all that the bytes hang on.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// programs are in the image's /usr/local/bin, as in the Dockerfile's.
var programs = []string{"controller", "gateway", "provider", "wholescale"}

// user is what the chart runs the image as.
const user = 65532

func main() {
	to := flag.String("to", "out/image", "folder for the OCI layout; an older one there is replaced")
	goroot := flag.String("goroot", "", "Go's installation, which has the time zones (go env GOROOT)")
	version := flag.String("version", "0.0.0", "version to put into the image's labels")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "image [--to FOLDER] [--version VERSION] ARCH=FOLDER...\n  FOLDER has the four programs built for linux/ARCH, as deploy/release/build makes them")
		flag.PrintDefaults()
	}
	flag.Parse()
	digest, err := write(source{*goroot, *version}, *to, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
	fmt.Println(digest)
}

// source is what goes in beside the programs.
type source struct{ goroot, version string }

// write makes one image for each architecture, and an index of them.
func write(from source, to string, builds []string) (digest v1.Hash, err error) {
	if len(builds) == 0 {
		return digest, errors.New("nothing to put in: name folders such as amd64=out/release/amd64")
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, build := range builds {
		arch, folder, ok := strings.Cut(build, "=")
		if !ok || arch == "" || folder == "" {
			return digest, fmt.Errorf("%q: it must be ARCH=FOLDER, such as arm64=out/release/arm64", build)
		}
		image, err := imageOf(from, arch, folder)
		if err != nil {
			return digest, fmt.Errorf("the image for %s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}},
		})
	}
	if err := makeRoom(to); err != nil {
		return digest, err
	}
	path, err := layout.Write(to, mutate.IndexMediaType(empty.Index, types.OCIImageIndex))
	if err == nil {
		// One name for all architectures: who copies it takes the one of its own.
		err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": from.version}))
	}
	if err != nil {
		return digest, fmt.Errorf("writing the layout to %s: %w", to, err)
	}
	return index.Digest()
}

// makeRoom takes an older layout away, and nothing else.
func makeRoom(to string) error {
	list, err := os.ReadDir(to)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at what is in %s: %w", to, err)
	}
	if _, err := os.Stat(filepath.Join(to, "oci-layout")); err != nil {
		return fmt.Errorf("%s has something else than an image in it: choose another folder, or empty it", to)
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("replacing %s: %w", to, err)
	}
	return nil
}

func imageOf(from source, arch, folder string) (v1.Image, error) {
	ground, err := groundLayer(from.goroot)
	if err != nil {
		return nil, err
	}
	top, err := programLayer(folder)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), ground, top)
	if err != nil {
		return nil, fmt.Errorf("putting the layers together: %w", err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the empty configuration: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	config.Config = v1.Config{
		User: fmt.Sprintf("%d:%d", user, user), Entrypoint: []string{"/usr/local/bin/wholescale"}, WorkingDir: "/",
		Env: []string{"PATH=/usr/local/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt", "ZONEINFO=/usr/share/zoneinfo.zip"},
		Labels: map[string]string{
			"org.opencontainers.image.title": "wholescale", "org.opencontainers.image.version": from.version,
			"org.opencontainers.image.licenses": "Apache-2.0", "org.opencontainers.image.source": "https://github.com/wholescale/wholescale",
		},
	}
	return mutate.ConfigFile(image, config)
}

// file is one in a layer; a path that ends in / is a folder.
type file struct {
	path string
	mode int64
	data []byte
}

// groundLayer is what programs expect of a system.
func groundLayer(goroot string) (v1.Layer, error) {
	var authorities bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file of certificates cannot say it
		}
		if err := pem.Encode(&authorities, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, fmt.Errorf("writing the authorities: %w", err)
		}
	}
	zones, err := os.ReadFile(filepath.Join(goroot, "lib", "time", "zoneinfo.zip"))
	if err != nil {
		return nil, fmt.Errorf("reading the time zones of the Go installation (--goroot is go env GOROOT): %w", err)
	}
	return layer([]file{
		{"etc/", 0o755, nil},
		{"etc/group", 0o644, fmt.Appendf(nil, "root:x:0:\nnonroot:x:%d:\n", user)},
		{"etc/passwd", 0o644, fmt.Appendf(nil, "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%d:%d:nonroot:/:/sbin/nologin\n", user, user)},
		{"etc/ssl/", 0o755, nil},
		{"etc/ssl/certs/", 0o755, nil},
		{"etc/ssl/certs/ca-certificates.crt", 0o644, authorities.Bytes()},
		{"tmp/", 0o1777, nil},
		{"usr/", 0o755, nil},
		{"usr/share/", 0o755, nil},
		{"usr/share/zoneinfo.zip", 0o644, zones},
	})
}

func programLayer(folder string) (v1.Layer, error) {
	files := []file{{"usr/", 0o755, nil}, {"usr/local/", 0o755, nil}, {"usr/local/bin/", 0o755, nil}}
	for _, name := range programs {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return nil, fmt.Errorf("reading a program (deploy/release/build makes them): %w", err)
		}
		files = append(files, file{"usr/local/bin/" + name, 0o755, data})
	}
	return layer(files)
}

// layer is files of root's, of no time.
func layer(files []file) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode, Size: int64(len(f.data)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		if strings.HasSuffix(f.path, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("writing %s: %w", f.path, err)
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, fmt.Errorf("writing %s: %w", f.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("ending the layer: %w", err)
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }, tarball.WithMediaType(types.OCILayer))
}
