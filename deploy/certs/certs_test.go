package certs

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"pgregory.net/rapid"

	"github.com/wholescale/wholescale/api/wire/identity"
)

const overlap = time.Hour

// vault is the API server's Secrets, which can break after some writes.
type vault struct {
	held   map[string]*corev1.Secret
	writes int // that still succeed; below 0 all do
	log    []snapshot
	judge  bool  // each write: does everybody still trust everybody?
	wrong  error // when not
}

// snapshot is a moment's Secrets, as a pod that mounted them then would see them.
type snapshot struct {
	at   time.Time
	held map[identity.Role]Identity
}

var errBroken = errors.New("the connection broke")

func newVault() *vault {
	v := &vault{held: map[string]*corev1.Secret{}, writes: -1}
	for _, role := range Roles {
		v.held[SecretName(role)] = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: SecretName(role)}}
	}
	return v
}

func (v *vault) Get(_ context.Context, name string, _ metav1.GetOptions) (*corev1.Secret, error) {
	if s, ok := v.held[name]; ok {
		return s.DeepCopy(), nil
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
}

func (v *vault) Create(_ context.Context, s *corev1.Secret, _ metav1.CreateOptions) (*corev1.Secret, error) {
	v.held[s.Name] = s.DeepCopy()
	return s, nil
}

func (v *vault) Update(_ context.Context, s *corev1.Secret, _ metav1.UpdateOptions) (*corev1.Secret, error) {
	if v.writes == 0 {
		return nil, errBroken
	}
	v.writes--
	v.held[s.Name] = s.DeepCopy()
	now := snapshot{time.Now(), map[identity.Role]Identity{}}
	for _, role := range Roles {
		now.held[role] = read(v.held[SecretName(role)])
	}
	v.log = append(v.log, now)
	if v.judge && v.wrong == nil {
		v.wrong = v.meet()
	}
	return s, nil
}

func (v *vault) run(t testing.TB) Step {
	t.Helper()
	step, err := Run(t.Context(), Config{Secrets: v, Overlap: overlap})
	if err != nil && !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	return step
}

// mounted are the snapshots that a pod may see now: kubelets are late by less than the overlap.
func (v *vault) mounted() []snapshot {
	for i := len(v.log) - 1; i > 0; i-- {
		if time.Since(v.log[i].at) >= overlap {
			return v.log[i:]
		}
	}
	return v.log
}

// meet lets each pod that is up to date and each that may still be late trust each other.
func (v *vault) meet() error {
	late := v.mounted()
	latest := late[len(late)-1]
	for _, old := range late {
		for _, x := range Roles {
			for _, y := range Roles {
				if err := errors.Join(trusts(old.held[x], latest.held[y]), trusts(latest.held[x], old.held[y])); err != nil {
					return fmt.Errorf("%s and %s: %w", x, y, err)
				}
			}
		}
	}
	return nil
}

func trusts(a, b Identity) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CA)
	_, err := first(b.Cert).Verify(x509.VerifyOptions{Roots: roots, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}

func TestOneRenewalStepByStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault()
		for _, c := range []struct {
			after time.Duration
			want  Step
		}{
			{0, Issued}, {time.Minute, Nothing}, {59 * 24 * time.Hour, Nothing}, {2 * 24 * time.Hour, Staged}, {time.Minute, Nothing},
			{overlap, Swapped}, {time.Minute, Nothing}, {overlap, Pruned}, {overlap, Nothing},
		} {
			time.Sleep(c.after)
			if got := v.run(t); got != c.want {
				t.Errorf("after %s more: %s, want %s", c.after, got, c.want)
			}
		}
		for _, role := range Roles {
			s := v.held[SecretName(role)]
			if len(s.Data) != 3 || strings.Count(string(s.Data["ca.crt"]), "BEGIN") != 1 {
				t.Errorf("%s has %v and its CA %q", s.Name, slices.Sorted(maps.Keys(s.Data)), s.Data["ca.crt"])
			}
		}
	})
}

// Whatever is cut off and however late the kubelets are: each pod trusts each other pod at each moment.
func TestTrustNeverBreaks(t *testing.T) {
	renewed := 0
	rapid.Check(t, func(r *rapid.T) {
		gaps := rapid.SliceOfN(rapid.SampledFrom([]time.Duration{time.Minute, overlap / 2, overlap, 6 * time.Hour}), 8, 20).Draw(r, "gaps")
		cuts := rapid.SliceOfN(rapid.SampledFrom([]int{-1, -1, 0, 1, 2}), len(gaps), len(gaps)).Draw(r, "cuts")
		var wrong error
		synctest.Test(t, func(t *testing.T) {
			v := newVault()
			v.run(t)
			v.log, v.judge = v.log[len(v.log)-1:], true // before the first set is whole, no pod starts
			time.Sleep(60*24*time.Hour - overlap)       // a renewal is soon due
			for i, gap := range gaps {
				time.Sleep(gap)
				v.writes = cuts[i]
				if v.run(t) == Pruned {
					renewed++
				}
				v.writes = -1
			}
			wrong = v.wrong
		})
		if wrong != nil {
			r.Fatal(wrong)
		}
	})
	if renewed == 0 {
		t.Error("no renewal came to its end, so nothing was tested")
	}
}

func TestBrokenSetIsReplaced(t *testing.T) {
	for name, spoil := range map[string]func(map[string]*corev1.Secret){
		"a key is gone":  func(h map[string]*corev1.Secret) { delete(h[SecretName(identity.Gateway)].Data, "tls.key") },
		"no certificate": func(h map[string]*corev1.Secret) { h[SecretName(identity.Provider)].Data["tls.crt"] = []byte("x") },
		"another's secret": func(h map[string]*corev1.Secret) {
			h[SecretName(identity.Gateway)].Data = h[SecretName(identity.Provider)].Data
		},
		"all are empty": func(h map[string]*corev1.Secret) {
			for _, s := range h {
				s.Data = nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVault()
			v.run(t)
			spoil(v.held)
			if got := v.run(t); got != Issued {
				t.Errorf("%s, want %s", got, Issued)
			}
			if got := v.run(t); got != Nothing {
				t.Errorf("then %s, want %s", got, Nothing)
			}
		})
	}
}

func TestExpiredSetIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVault()
		v.run(t)
		time.Sleep(91 * 24 * time.Hour)
		if got := v.run(t); got != Issued {
			t.Errorf("%s, want %s", got, Issued)
		}
	})
}

func TestMissingSecretsAreMadeOnDemandOnly(t *testing.T) {
	v := &vault{held: map[string]*corev1.Secret{}, writes: -1}
	if _, err := Run(t.Context(), Config{Secrets: v}); err == nil || !strings.Contains(err.Error(), "wholescale-controller-tls") {
		t.Errorf("%v; want it to name the Secret", err)
	}
	if step, err := Run(t.Context(), Config{Secrets: v, Create: true}); err != nil || step != Issued {
		t.Errorf("%s, %v", step, err)
	}
}

func TestConfigNamesTheField(t *testing.T) {
	for want, c := range map[string]Config{
		"Secrets": {}, "Overlap": {Secrets: newVault(), Overlap: time.Second}, "Valid": {Secrets: newVault(), Valid: time.Hour},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to name %s", err, want)
		}
	}
}
