package devcluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// certLife is long enough for a cluster that somebody keeps between demos, and no longer.
const certLife = 365 * 24 * time.Hour

// authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
}

// identity is one certificate to issue: file is its name without ending, the rest its subject.
type identity struct {
	file, name, group string
	server            bool
}

// identities are what the parts of a cluster show each other.
var identities = []identity{
	{file: "apiserver", name: "kube-apiserver", server: true},
	{file: "admin", name: "devcluster-admin", group: "system:masters"},
	{file: "controller-manager", name: "system:kube-controller-manager"},
	{file: "scheduler", name: "system:kube-scheduler"},
	{file: "machine", name: machineUser, group: "system:nodes"},
	{file: "kubelet-client", name: "kube-apiserver-kubelet-client"},
}

// writePKI fills dir with the keys and certificates of a cluster, unless an earlier start of the same folder has.
func writePKI(dir string) error {
	last := filepath.Join(dir, "service-account.key")
	if _, err := os.Stat(last); err == nil {
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for keys: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the folder of keys: %w", err)
	}
	ca, err := newAuthority(dir, "ca", "devcluster")
	if err != nil {
		return err
	}
	for _, id := range identities {
		if err := ca.issue(dir, id); err != nil {
			return err
		}
	}
	front, err := newAuthority(dir, "front-proxy-ca", "devcluster-front-proxy")
	if err != nil {
		return err
	}
	if err := front.issue(dir, identity{file: "front-proxy", name: "front-proxy-client"}); err != nil {
		return err
	}
	_, err = writeKey(last)
	return err
}

func newAuthority(dir, file, name string) (*authority, error) {
	key, err := writeKey(filepath.Join(dir, file+".key"))
	if err != nil {
		return nil, err
	}
	template := template(name)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	signed, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", file, err)
	}
	if err := writePEM(filepath.Join(dir, file+".crt"), "CERTIFICATE", signed); err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(signed)
	if err != nil {
		return nil, fmt.Errorf("read back %s: %w", file, err)
	}
	return &authority{cert: cert, key: key}, nil
}

func (a *authority) issue(dir string, id identity) error {
	key, err := writeKey(filepath.Join(dir, id.file+".key"))
	if err != nil {
		return err
	}
	template := template(id.name)
	if id.group != "" {
		template.Subject.Organization = []string{id.group}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if id.server {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}
		template.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign %s: %w", id.file, err)
	}
	return writePEM(filepath.Join(dir, id.file+".crt"), "CERTIFICATE", signed)
}

func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand never fails on Linux
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(certLife),
	}
}

func writeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode a key: %w", err)
	}
	return key, writePEM(path, "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
