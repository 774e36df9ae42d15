package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.uber.org/zap"
)

const (
	followEvery = 100 * time.Millisecond
	certLife    = 30 * 24 * time.Hour
)

// serve answers as a kubelet does on the machine's address: /healthz, /metrics/resource and /containerLogs. Logs are
// for holders of a certificate of the cluster, such as the API server; the rest is for everybody on this host.
func (a *agent) serve(listener net.Listener) (io.Closer, error) {
	config, err := a.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("make the machine's certificate: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /metrics/resource", a.serveMetrics)
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", a.serveLog)
	quiet, err := zap.NewStdLogAt(a.Log, zap.DebugLevel)
	if err != nil {
		return nil, fmt.Errorf("make a logger: %w", err)
	}
	server := &http.Server{Handler: mux, ErrorLog: quiet, ReadHeaderTimeout: callTimeout}
	go func() {
		if err := server.Serve(tls.NewListener(listener, config)); !errors.Is(err, http.ErrServerClosed) {
			a.Log.Warn("the machine's server ended", zap.Error(err))
		}
	}()
	return server, nil
}

func (a *agent) tlsConfig() (*tls.Config, error) {
	ca, err := tls.LoadX509KeyPair(filepath.Join(a.PKI, "ca.crt"), filepath.Join(a.PKI, "ca.key"))
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "system:node:" + a.Name, Organization: []string{"system:nodes"}},
		NotBefore:    time.Now().Add(-time.Minute), NotAfter: time.Now().Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    []string{a.Name},
		IPAddresses: []net.IP{a.subnet.host().AsSlice()},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.Leaf)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{signed}, PrivateKey: key}},
		ClientAuth:   tls.VerifyClientCertIfGiven, ClientCAs: clients, MinVersion: tls.VersionTLS12,
	}, nil
}

// serveLog knows the query of a kubelet: follow, tailLines and previous.
func (a *agent) serveLog(w http.ResponseWriter, r *http.Request) {
	if len(r.TLS.VerifiedChains) == 0 {
		http.Error(w, "logs need a client certificate of the cluster", http.StatusUnauthorized)
		return
	}
	c := a.find(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if c == nil {
		http.Error(w, "this machine has no such container", http.StatusNotFound)
		return
	}
	restart := c.restartCount()
	if r.FormValue("previous") == "true" {
		restart--
	}
	file, err := os.Open(c.logFile(restart))
	if err != nil {
		http.Error(w, fmt.Sprintf("no log of container %q is there", c.spec.Name), http.StatusNotFound)
		return
	}
	defer file.Close()
	if lines, err := strconv.Atoi(r.FormValue("tailLines")); err == nil {
		if err := seekTail(file, lines); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain")
	follow(r.Context(), w, file, func() bool {
		return r.FormValue("follow") == "true" && c.restartCount() == restart && c.running()
	})
}

// follow copies the file, and what is added to it as long as more says so.
func follow(ctx context.Context, w http.ResponseWriter, file *os.File, more func() bool) {
	for {
		goOn := more() // asked before the copy, so that the last words are copied
		if _, err := io.Copy(w, file); err != nil {
			return
		}
		if err := http.NewResponseController(w).Flush(); err != nil || !goOn || !sleep(ctx, followEvery) {
			return
		}
	}
}

// seekTail goes to the start of the last lines.
func seekTail(file *os.File, lines int) error {
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	at := len(content)
	for seen := 0; at > 0; at-- {
		if content[at-1] == '\n' && at != len(content) {
			if seen++; seen == lines {
				break
			}
		}
	}
	if lines <= 0 {
		at = len(content)
	}
	_, err = file.Seek(int64(at), io.SeekStart)
	return err
}

func (a *agent) find(namespace, name, containerName string) *container {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pods {
		object := p.object()
		if object.Namespace != namespace || object.Name != name {
			continue
		}
		for _, c := range append(append([]*container{}, p.inits...), p.mains...) {
			if c.spec.Name == containerName {
				return c
			}
		}
	}
	return nil
}

func (c *container) running() bool {
	c.pod.mu.Lock()
	defer c.pod.mu.Unlock()
	return !c.over
}
