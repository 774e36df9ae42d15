package identity

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func issued(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := Issue(dir, Gateway, Controller, Provider); err != nil {
		t.Fatal(err)
	}
	return dir
}

// handshake connects the two and returns each side's error.
func handshake(t *testing.T, server, client *tls.Config) (serverErr, clientErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	done := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		s := tls.Server(c, server)
		if err := s.Handshake(); err != nil {
			done <- err
			return
		}
		_, err = s.Write([]byte("x"))
		done <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	s := tls.Client(c, client)
	clientErr = s.Handshake()
	if clientErr == nil {
		// In TLS 1.3 the client learns from its first read that the server refused its certificate.
		_, clientErr = s.Read(make([]byte, 1))
	}
	c.Close()
	return <-done, clientErr
}

func configs(t *testing.T, server, client Files, want Role, allowed ...Role) (*tls.Config, *tls.Config) {
	t.Helper()
	s, err := server.Server(allowed...)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Client(want)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestOnlyTheNamedRolesMeet(t *testing.T) {
	dir, other := issued(t), issued(t)
	expired := t.TempDir()
	if err := issue(expired, time.Now().Add(-2*time.Hour), time.Hour, []Role{Gateway, Controller}); err != nil {
		t.Fatal(err)
	}
	mixed := func(ca, own string, r Role) Files {
		f := In(own, r)
		f.CA = In(ca, r).CA
		return f
	}
	for _, c := range []struct {
		name           string
		server, client Files
		want           Role
		allowed        []Role
		wrong          string // part of the error on either side; empty: both are content
	}{
		{"gateway to controller", In(dir, Controller), In(dir, Gateway), Controller, []Role{Gateway}, ""},
		{"one of two allowed", In(dir, Provider), In(dir, Controller), Provider, []Role{Gateway, Controller}, ""},
		{"gateway may not call the provider", In(dir, Provider), In(dir, Gateway), Provider, []Role{Controller}, "has wholescale://gateway, wanted wholescale://controller"},
		{"gateway poses as controller", In(dir, Gateway), In(dir, Gateway), Controller, []Role{Gateway}, "has wholescale://gateway, wanted wholescale://controller"},
		{"client of another CA", In(dir, Controller), mixed(dir, other, Gateway), Controller, []Role{Gateway}, "unknown authority"},
		{"server of another CA", mixed(dir, other, Controller), In(dir, Gateway), Controller, []Role{Gateway}, "unknown authority"},
		{"expired client", mixed(expired, expired, Controller), In(expired, Gateway), Controller, []Role{Gateway}, "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, cl := configs(t, c.server, c.client, c.want, c.allowed...)
			serverErr, clientErr := handshake(t, s, cl)
			if c.wrong == "" {
				if serverErr != nil || clientErr != nil {
					t.Fatalf("server: %v, client: %v", serverErr, clientErr)
				}
				return
			}
			if serverErr == nil || clientErr == nil {
				t.Fatalf("both sides must fail; server: %v, client: %v", serverErr, clientErr)
			}
			if text := serverErr.Error() + clientErr.Error(); !strings.Contains(text, c.wrong) {
				t.Errorf("want %q in\nserver: %v\nclient: %v", c.wrong, serverErr, clientErr)
			}
		})
	}
}

func TestExpiredClientIsRefusedByTheServer(t *testing.T) {
	dir := t.TempDir()
	old := t.TempDir()
	if err := issue(old, time.Now().Add(-2*time.Hour), time.Hour, []Role{Gateway}); err != nil {
		t.Fatal(err)
	}
	if err := Issue(dir, Controller, Gateway); err != nil {
		t.Fatal(err)
	}
	appendFile(t, In(dir, Gateway).CA, In(old, Gateway).CA)
	client := In(old, Gateway)
	client.CA = In(dir, Gateway).CA
	s, c := configs(t, In(dir, Controller), client, Controller, Gateway)
	if serverErr, _ := handshake(t, s, c); serverErr == nil || !strings.Contains(serverErr.Error(), "expired") {
		t.Errorf("server: %v; want: expired", serverErr)
	}
}

func TestRotationNeedsNoRestart(t *testing.T) {
	dir := issued(t)
	s, c := configs(t, In(dir, Controller), In(dir, Gateway), Controller, Gateway)
	if a, b := handshake(t, s, c); a != nil || b != nil {
		t.Fatalf("before: server %v, client %v", a, b)
	}
	before := issued(t)
	copyFile(t, In(dir, Gateway).Cert, In(before, Gateway).Cert)
	copyFile(t, In(dir, Gateway).Key, In(before, Gateway).Key)
	stale := In(before, Gateway)
	stale.CA = In(dir, Gateway).CA

	if err := Issue(dir, Gateway, Controller, Provider); err != nil {
		t.Fatal(err)
	}
	age(t, dir)
	if a, b := handshake(t, s, c); a != nil || b != nil {
		t.Fatalf("after: server %v, client %v", a, b)
	}
	old, err := stale.Client(Controller)
	if err != nil {
		t.Fatal(err)
	}
	if a, _ := handshake(t, s, old); a == nil {
		t.Error("a certificate of the authority that was rotated out is still accepted")
	}
}

// TestPublicRotationNeedsNoRestart: users see the certificate that the files hold now.
func TestPublicRotationNeedsNoRestart(t *testing.T) {
	dir := issued(t)
	s, err := In(dir, Gateway).Public()
	if err != nil {
		t.Fatal(err)
	}
	shown := func() (serial string) {
		client := &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(c tls.ConnectionState) error {
			serial = c.PeerCertificates[0].SerialNumber.String()
			return nil
		}}
		if a, b := handshake(t, s, client); a != nil || b != nil {
			t.Fatalf("server %v, client %v", a, b)
		}
		return serial
	}
	before := shown()
	if err := Issue(dir, Gateway, Controller, Provider); err != nil {
		t.Fatal(err)
	}
	age(t, dir)
	if after := shown(); after == before {
		t.Errorf("still shown after the files changed: %s", before)
	}
	if _, err := (Files{Cert: "/nowhere/c", Key: "/nowhere/k"}).Public(); err == nil || !strings.Contains(err.Error(), "/nowhere/c") {
		t.Errorf("without files: %v", err)
	}
}

func TestHalfRotatedPairKeepsTheOldOne(t *testing.T) {
	dir := issued(t)
	s, c := configs(t, In(dir, Controller), In(dir, Gateway), Controller, Gateway)
	if err := os.WriteFile(In(dir, Gateway).Key, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, b := handshake(t, s, c); a != nil || b != nil {
		t.Fatalf("server %v, client %v", a, b)
	}
}

func TestCAThatCannotBeReadTrustsNobody(t *testing.T) {
	dir := issued(t)
	s, c := configs(t, In(dir, Controller), In(dir, Gateway), Controller, Gateway)
	if err := os.Remove(In(dir, Gateway).CA); err != nil {
		t.Fatal(err)
	}
	if a, b := handshake(t, s, c); a == nil && b == nil {
		t.Error("the handshake succeeded without a CA")
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := issued(t)
	good := In(dir, Gateway)
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]Files{
		"/nowhere/ca": {CA: "/nowhere/ca", Cert: good.Cert, Key: good.Key},
		"/nowhere/c":  {CA: good.CA, Cert: "/nowhere/c", Key: good.Key},
		"/nowhere/k":  {CA: good.CA, Cert: good.Cert, Key: "/nowhere/k"},
		empty:         {CA: empty, Cert: good.Cert, Key: good.Key},
		good.Cert:     {CA: good.CA, Cert: good.Cert, Key: In(dir, Controller).Key},
	} {
		if _, err := f.Server(Gateway); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("server: %v; want it to name %s", err, name)
		}
		if _, err := f.Client(Gateway); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("client: %v; want it to name %s", err, name)
		}
	}
	if _, err := good.Server(); err == nil {
		t.Error("a server that allows no role")
	}
	if _, err := good.Server("root"); err == nil {
		t.Error("a role that does not exist")
	}
	if err := Issue(dir, "../../etc"); err == nil {
		t.Error("issued for a role that does not exist")
	}
}

func TestIssueKeepsSecretsPrivate(t *testing.T) {
	dir := issued(t)
	keys := 0
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(data), "PRIVATE KEY") {
			return err
		}
		keys++
		info, err := d.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %s", path, info.Mode())
		}
		return err
	})
	if err != nil || keys != 3 {
		t.Errorf("%d keys on disk, want the three roles' and not the authority's; %v", keys, err)
	}
}

func appendFile(t *testing.T, to, from string) {
	t.Helper()
	a, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, append(a, b...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// age gives the files a time of their own, for file systems whose clock is coarser than this test.
func age(t *testing.T, dir string) {
	t.Helper()
	at := time.Now().Add(time.Minute)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chtimes(path, at, at)
	})
	if err != nil {
		t.Fatal(err)
	}
}
