// Package certs keeps the certificates of Wholescale's processes in one Secret for each role, and renews them in steps
// between which no two processes stop trusting each other.
//
// Each renewal has an authority of its own, whose key is thrown away at once: whoever reads all Secrets still cannot
// issue a certificate. So trust has to overlap: first everybody learns the new authority, an Overlap later everybody
// shows the new certificate, and an Overlap after that the old authority is forgotten. A run that was cut off between
// two Secrets leaves a state from which the next run goes on.
package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/wholescale/wholescale/api/wire/identity"
)

// Roles have a Secret each, and are written in this order.
var Roles = []identity.Role{identity.Controller, identity.Gateway, identity.Provider}

// Identity is what one role's Secret holds, all in PEM.
type Identity struct {
	// CA are the authorities that the process trusts, Cert and Key what it shows.
	CA, Cert, Key []byte
	// NextCert and NextKey wait until everybody trusts their authority; empty when nothing waits.
	NextCert, NextKey []byte
	// Changed is when any of the above last changed. Zero is unknown and counts as long ago.
	Changed time.Time
}

// Step is what a run does.
type Step string

// The steps, in the order of one renewal.
const (
	Nothing Step = "nothing"
	Issued  Step = "issued"  // there was no usable set: all are new, and shown at once
	Staged  Step = "staged"  // the new authority is told to everybody
	Swapped Step = "swapped" // the new certificates are shown
	Pruned  Step = "pruned"  // the old authority is forgotten
)

// rotation is the settings of one run.
type rotation struct {
	now            time.Time
	valid, overlap time.Duration
}

// rotate says what the Secrets should hold, given what they hold. It changes nothing in set.
func (r rotation) rotate(set map[identity.Role]Identity) (map[identity.Role]Identity, Step, error) {
	trusted := union(set)
	settled := !r.now.Before(lastChange(set).Add(r.overlap))
	waiting, due := false, false
	for _, role := range Roles {
		id := set[role]
		leaf, err := r.usable(set, id.Cert, id.Key, role)
		if err != nil {
			return r.renew(trusted, nil, Issued)
		}
		due = due || leaf.NotAfter.Sub(r.now) < r.valid/3
		if len(id.NextCert) == 0 {
			continue
		}
		waiting = true
		if _, err := r.usable(set, id.NextCert, id.NextKey, role); err != nil {
			return r.renew(trusted, set, Staged) // a run was cut off before everybody knew the authority
		}
	}
	switch {
	case waiting && settled:
		next := r.edit(set, func(id *Identity) {
			if len(id.NextCert) > 0 {
				id.Cert, id.Key, id.NextCert, id.NextKey = id.NextCert, id.NextKey, nil, nil
			}
		})
		return next, Swapped, nil
	case waiting:
		return set, Nothing, nil
	case due:
		return r.renew(trusted, set, Staged)
	case settled:
		return r.prune(set, trusted)
	}
	return set, Nothing, nil
}

// renew makes a new authority and a certificate for each role. Over an old set they wait; without one they are shown.
func (r rotation) renew(trusted []*x509.Certificate, old map[identity.Role]Identity, step Step) (map[identity.Role]Identity, Step, error) {
	fresh, err := issue(r.valid)
	if err != nil {
		return nil, Nothing, err
	}
	trusted = slices.DeleteFunc(slices.Clone(trusted), func(c *x509.Certificate) bool { return r.now.After(c.NotAfter) })
	next := map[identity.Role]Identity{}
	for role, id := range fresh {
		bundle := append(bytes.Clone(encode(trusted)), id.CA...)
		if old == nil {
			next[role] = Identity{CA: bundle, Cert: id.Cert, Key: id.Key, Changed: r.now}
			continue
		}
		was := old[role]
		next[role] = Identity{CA: bundle, Cert: was.Cert, Key: was.Key, NextCert: id.Cert, NextKey: id.Key, Changed: r.now}
	}
	return next, step, nil
}

// prune forgets the authorities that nobody's certificate is from.
func (r rotation) prune(set map[identity.Role]Identity, trusted []*x509.Certificate) (map[identity.Role]Identity, Step, error) {
	needed := slices.DeleteFunc(slices.Clone(trusted), func(ca *x509.Certificate) bool {
		for _, role := range Roles {
			if leaf := first(set[role].Cert); leaf != nil && leaf.CheckSignatureFrom(ca) == nil {
				return false
			}
		}
		return true
	})
	bundle := encode(needed)
	next, step := set, Nothing
	for _, role := range Roles {
		if !bytes.Equal(set[role].CA, bundle) {
			next, step = r.edit(set, func(id *Identity) { id.CA = bundle }), Pruned
		}
	}
	return next, step, nil
}

// edit changes copies and notes the time where something changed.
func (r rotation) edit(set map[identity.Role]Identity, change func(*Identity)) map[identity.Role]Identity {
	next := map[identity.Role]Identity{}
	for _, role := range Roles {
		id := set[role]
		change(&id)
		if !id.equal(set[role]) {
			id.Changed = r.now
		}
		next[role] = id
	}
	return next
}

func (id Identity) equal(other Identity) bool {
	return bytes.Equal(id.CA, other.CA) && bytes.Equal(id.Cert, other.Cert) && bytes.Equal(id.Key, other.Key) &&
		bytes.Equal(id.NextCert, other.NextCert) && bytes.Equal(id.NextKey, other.NextKey)
}

// usable is a certificate that fits its key, names the role, and is trusted by everybody now.
func (r rotation) usable(set map[identity.Role]Identity, cert, key []byte, role identity.Role) (*x509.Certificate, error) {
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return nil, err
	}
	leaf := first(cert)
	if leaf == nil || !slices.ContainsFunc(leaf.URIs, func(u *url.URL) bool { return u.String() == role.URI().String() }) {
		return nil, fmt.Errorf("the certificate is not for the role %s", role)
	}
	for _, other := range Roles {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(set[other].CA)
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: r.now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			return nil, fmt.Errorf("the %s does not trust it: %w", other, err)
		}
	}
	return leaf, nil
}

// issue makes a certificate for each role under one new authority, whose key is gone when it returns.
func issue(valid time.Duration) (set map[identity.Role]Identity, err error) {
	dir, err := os.MkdirTemp("", "wholescale-certs-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for new certificates (is /tmp writable?): %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := identity.IssueFor(dir, valid, Roles...); err != nil {
		return nil, err
	}
	set = map[identity.Role]Identity{}
	for _, role := range Roles {
		var id Identity
		files := identity.In(dir, role)
		for path, to := range map[string]*[]byte{files.CA: &id.CA, files.Cert: &id.Cert, files.Key: &id.Key} {
			if *to, err = os.ReadFile(path); err != nil {
				return nil, err
			}
		}
		set[role] = id
	}
	return set, nil
}

func lastChange(set map[identity.Role]Identity) (last time.Time) {
	for _, id := range set {
		if id.Changed.After(last) {
			last = id.Changed
		}
	}
	return last
}

// union are all authorities that anybody trusts, each once, in the order of the roles.
func union(set map[identity.Role]Identity) (all []*x509.Certificate) {
	for _, role := range Roles {
		for _, c := range parse(set[role].CA) {
			if !slices.ContainsFunc(all, c.Equal) {
				all = append(all, c)
			}
		}
	}
	return all
}

// parse reads the certificates and passes over what is none.
func parse(text []byte) (all []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return all
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			all = append(all, c)
		}
	}
}

func first(text []byte) *x509.Certificate {
	if all := parse(text); len(all) > 0 {
		return all[0]
	}
	return nil
}

func encode(all []*x509.Certificate) []byte {
	var text []byte
	for _, c := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return text
}
