// Package identity says who is at the other end of a connection between Wholescale's processes: mutual TLS 1.3 in
// which each side proves a role, not a host name. A role is the URI "wholescale://<role>" in the certificate, so that
// a gateway's stolen key is of no use to somebody who wants to be the provider.
package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Role is what a process is allowed to be.
type Role string

// The roles.
const (
	Gateway    Role = "gateway"
	Controller Role = "controller"
	Provider   Role = "provider"
)

const scheme = "wholescale"

// ErrRole is wrapped in the handshake's error when the other side's certificate is good but names no allowed role.
var ErrRole = errors.New("the certificate is not for an allowed role")

// URI is the subject alternative name that proves the role.
func (r Role) URI() *url.URL { return &url.URL{Scheme: scheme, Host: string(r)} }

func (r Role) validate() error {
	switch r {
	case Gateway, Controller, Provider:
		return nil
	}
	return fmt.Errorf("role %q is not one of %s, %s, %s", string(r), Gateway, Controller, Provider)
}

// Files are the three PEM files of one process. They are read again when they change, so a rotation needs no restart.
type Files struct {
	// CA holds the certificates of the authorities to trust, one or more.
	CA string
	// Cert and Key are this process's own certificate (with its chain) and private key.
	Cert, Key string
}

// In names the files that Issue wrote to dir for the role.
func In(dir string, role Role) Files {
	return Files{
		CA:   filepath.Join(dir, "ca.crt"),
		Cert: filepath.Join(dir, string(role), "tls.crt"),
		Key:  filepath.Join(dir, string(role), "tls.key"),
	}
}

// Server is the side that listens: it demands a client certificate that chains to the CA and carries one of the
// allowed roles. The error names the file that cannot be used.
func (f Files) Server(allowed ...Role) (*tls.Config, error) {
	if len(allowed) == 0 {
		return nil, errors.New("no role is allowed to connect: name at least one")
	}
	s, err := f.open(allowed)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The chain is verified in VerifyConnection, against the CA file as it is now and not as it was at the start.
		ClientAuth:     tls.RequireAnyClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
		VerifyConnection: func(c tls.ConnectionState) error {
			return s.verify(c, x509.ExtKeyUsageClientAuth, allowed)
		},
		// A resumed session would outlive a rotation of the CA.
		SessionTicketsDisabled: true,
	}, nil
}

// Client is the side that dials: the server's certificate must chain to the CA and carry the role. The host name is
// not looked at, since addresses change and a role does not. The error names the file that cannot be used.
func (f Files) Client(server Role) (*tls.Config, error) {
	s, err := f.open([]Role{server})
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Only the host name's check is skipped: VerifyConnection verifies chain, dates and role, and always runs.
		InsecureSkipVerify:   true,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.certificate() },
		VerifyConnection: func(c tls.ConnectionState) error {
			return s.verify(c, x509.ExtKeyUsageServerAuth, []Role{server})
		},
	}, nil
}

// Public is the side that listens to everybody, as the gateway does to its users: Cert and Key are shown, and nothing is
// asked of the client; CA is not used. The error names the file that cannot be used.
func (f Files) Public() (*tls.Config, error) {
	s := &source{files: f}
	if _, err := s.certificate(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate() },
	}, nil
}

func (f Files) open(roles []Role) (*source, error) {
	for _, r := range roles {
		if err := r.validate(); err != nil {
			return nil, err
		}
	}
	s := &source{files: f}
	if _, err := s.authorities(); err != nil {
		return nil, err
	}
	if _, err := s.certificate(); err != nil {
		return nil, err
	}
	return s, nil
}

// verify checks the peer's chain and role against the CA file as it is now.
func (s *source) verify(c tls.ConnectionState, usage x509.ExtKeyUsage, allowed []Role) error {
	if len(c.PeerCertificates) == 0 {
		return errors.New("the other side sent no certificate")
	}
	roots, err := s.authorities()
	if err != nil {
		return err
	}
	between := x509.NewCertPool()
	for _, chained := range c.PeerCertificates[1:] {
		between.AddCert(chained)
	}
	leaf := c.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{usage},
	}); err != nil {
		return fmt.Errorf("the other side's certificate does not hold against %s: %w", s.files.CA, err)
	}
	if role, ok := RoleOf(leaf); !ok || !slices.Contains(allowed, role) {
		return fmt.Errorf("%w: it has %s, wanted %s", ErrRole, describe(leaf), join(allowed))
	}
	return nil
}

// RoleOf is the role that the certificate carries. A certificate with more than one role has none: a key that is
// everything is what roles are there to prevent.
func RoleOf(c *x509.Certificate) (Role, bool) {
	var found []Role
	for _, u := range c.URIs {
		if u.Scheme == scheme && *u == (url.URL{Scheme: scheme, Host: u.Host}) {
			found = append(found, Role(u.Host))
		}
	}
	if len(found) != 1 || found[0].validate() != nil {
		return "", false
	}
	return found[0], true
}

func describe(c *x509.Certificate) string {
	uris := make([]string, len(c.URIs))
	for i, u := range c.URIs {
		uris[i] = u.String()
	}
	if len(uris) == 0 {
		return "no URI"
	}
	return strings.Join(uris, ", ")
}

func join(roles []Role) string {
	uris := make([]string, len(roles))
	for i, r := range roles {
		uris[i] = r.URI().String()
	}
	return strings.Join(uris, " or ")
}
