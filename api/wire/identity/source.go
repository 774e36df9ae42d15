package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// maxFile bounds one PEM file; a CA bundle of a hundred certificates is about 150 KB.
const maxFile = 1 << 20

// stamp tells whether a file is still the one that was read. Kubernetes swaps a mounted secret by a link, which changes
// the time of the file that the path leads to.
type stamp struct {
	modified time.Time
	size     int64
}

// source reads the files when they change. It is safe for concurrent use.
type source struct {
	files Files

	mu        sync.Mutex
	roots     *x509.CertPool
	rootStamp stamp
	pair      *tls.Certificate
	pairStamp [2]stamp
}

// authorities are the CAs to trust now. A CA file that cannot be read trusts nobody: falling back on the old one would
// go on trusting an authority that was just taken away.
func (s *source) authorities() (*x509.CertPool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := stampOf(s.files.CA)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	if s.roots != nil && now == s.rootStamp {
		return s.roots, nil
	}
	pem, err := read(s.files.CA)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no PEM certificate", s.files.CA)
	}
	s.roots, s.rootStamp = roots, now
	return roots, nil
}

// certificate is this process's own. While a rotation has replaced only one of the two files, the last good pair goes
// on being used: the other side judges it by its dates anyway.
func (s *source) certificate() (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pair, stamps, err := s.load()
	switch {
	case err == nil:
		s.pair, s.pairStamp = pair, stamps
	case s.pair == nil:
		return nil, err
	}
	return s.pair, nil
}

func (s *source) load() (*tls.Certificate, [2]stamp, error) {
	var stamps [2]stamp
	var pem [2][]byte
	for i, path := range []string{s.files.Cert, s.files.Key} {
		var err error
		if stamps[i], err = stampOf(path); err != nil {
			return nil, stamps, fmt.Errorf("%s file: %w", [...]string{"certificate", "key"}[i], err)
		}
	}
	if s.pair != nil && stamps == s.pairStamp {
		return s.pair, stamps, nil
	}
	for i, path := range []string{s.files.Cert, s.files.Key} {
		var err error
		if pem[i], err = read(path); err != nil {
			return nil, stamps, fmt.Errorf("%s file: %w", [...]string{"certificate", "key"}[i], err)
		}
	}
	pair, err := tls.X509KeyPair(pem[0], pem[1])
	if err != nil {
		return nil, stamps, fmt.Errorf("certificate %s with key %s: %w", s.files.Cert, s.files.Key, err)
	}
	return &pair, stamps, nil
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxFile)
	}
	return data, nil
}
