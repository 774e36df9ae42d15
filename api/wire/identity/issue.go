package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Year is how long certificates from Issue last.
const Year = 365 * 24 * time.Hour

// skew is how far a machine's clock may be behind the issuer's.
const skew = 5 * time.Minute

// Issue makes an authority and one certificate for each role: dir/ca.crt, dir/<role>/tls.crt and dir/<role>/tls.key
// (mode 0600), for one year. The authority's key is thrown away, so nobody can issue more: to rotate, issue all anew.
func Issue(dir string, roles ...Role) error { return IssueFor(dir, Year, roles...) }

// IssueFor is Issue with another lifetime, counted from now.
func IssueFor(dir string, valid time.Duration, roles ...Role) error {
	if valid <= 0 {
		return fmt.Errorf("lifetime %s of the certificates: must be above 0", valid)
	}
	return issue(dir, time.Now(), valid, roles)
}

func issue(dir string, now time.Time, valid time.Duration, roles []Role) error {
	for _, r := range roles {
		if err := r.validate(); err != nil {
			return err
		}
	}
	ca, err := newAuthority(now, valid)
	if err != nil {
		return fmt.Errorf("make the authority: %w", err)
	}
	for _, r := range roles {
		if err := ca.issue(filepath.Join(dir, string(r)), r); err != nil {
			return fmt.Errorf("issue the certificate of role %s: %w", r, err)
		}
	}
	return write(filepath.Join(dir, "ca.crt"), "CERTIFICATE", ca.cert.Raw, 0o644)
}

type authority struct {
	cert     *x509.Certificate
	key      *ecdsa.PrivateKey
	from, to time.Time
}

func newAuthority(now time.Time, valid time.Duration) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, from: now.Add(-skew), to: now.Add(valid)}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "wholescale authority"},
		NotBefore: a.from, NotAfter: a.to,
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	a.cert, err = x509.ParseCertificate(der)
	return a, err
}

func (a *authority) issue(dir string, r Role) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := serialNumber()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "wholescale " + string(r)},
		NotBefore: a.from, NotAfter: a.to,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{r.URI()},
	}, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, "tls.key"), "PRIVATE KEY", secret, 0o600); err != nil {
		return err
	}
	return write(filepath.Join(dir, "tls.crt"), "CERTIFICATE", der, 0o644)
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}

// write replaces the file in one step, so that a reader finds the old one or the new one.
func write(path, kind string, der []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = f.Chmod(mode)
	if err == nil {
		err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
