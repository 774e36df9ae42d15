package certs

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/wholescale/wholescale/api/wire/identity"
)

// changedAnnotation is when a run last changed the Secret, RFC 3339.
const changedAnnotation = "autoscaling.wholescale.dev/certificates-changed"

// SecretName is the Secret of a role, whose certificate the chart mounts.
func SecretName(role identity.Role) string { return "wholescale-" + string(role) + "-tls" }

// Secrets are those of one namespace; client-go's SecretInterface is one.
type Secrets interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.Secret, error)
	Create(ctx context.Context, s *corev1.Secret, o metav1.CreateOptions) (*corev1.Secret, error)
	Update(ctx context.Context, s *corev1.Secret, o metav1.UpdateOptions) (*corev1.Secret, error)
}

// Config is one run.
type Config struct {
	Secrets Secrets
	// Create makes Secrets that are not there. The account in the cluster may not: the chart makes them, empty.
	Create bool
	// Valid is how long a certificate lasts; default 90 days. It is renewed when a third is left.
	Valid time.Duration
	// Overlap is how long a step is given to reach all processes; it must be longer than a kubelet takes to show a
	// changed Secret in a pod, one to two minutes. Default 1 h.
	Overlap time.Duration
}

// Validate fills defaults in and names the field that is wrong.
func (c *Config) Validate() error {
	if c.Secrets == nil {
		return fmt.Errorf("certs: Secrets is missing: where are they kept?")
	}
	if c.Valid == 0 {
		c.Valid = 90 * 24 * time.Hour
	}
	if c.Overlap == 0 {
		c.Overlap = time.Hour
	}
	if c.Overlap < 5*time.Minute {
		return fmt.Errorf("certs: Overlap %s: must be at least 5m, for kubelets to show what changed", c.Overlap)
	}
	if c.Valid < 12*c.Overlap {
		return fmt.Errorf("certs: Valid %s: must be at least 12 times Overlap %s, or a renewal does not end in time", c.Valid, c.Overlap)
	}
	return nil
}

// Run does the next step, if one is due, and says which. What it wrote before an error stays, and the next run goes on.
func Run(ctx context.Context, c Config) (Step, error) {
	if err := c.Validate(); err != nil {
		return Nothing, err
	}
	stored := map[identity.Role]*corev1.Secret{}
	set := map[identity.Role]Identity{}
	for _, role := range Roles {
		s, err := c.get(ctx, SecretName(role))
		if err != nil {
			return Nothing, err
		}
		stored[role], set[role] = s, read(s)
	}
	want, step, err := rotation{time.Now(), c.Valid, c.Overlap}.rotate(set)
	if err != nil {
		return Nothing, err
	}
	for _, role := range Roles {
		if want[role].equal(set[role]) {
			continue
		}
		write(stored[role], want[role])
		// The resource version makes a second run at the same time fail rather than mix two sets.
		if _, err := c.Secrets.Update(ctx, stored[role], metav1.UpdateOptions{FieldManager: "wholescale-certificates"}); err != nil {
			return step, fmt.Errorf("writing the Secret %s (run again): %w", SecretName(role), err)
		}
	}
	return step, nil
}

func (c *Config) get(ctx context.Context, name string) (*corev1.Secret, error) {
	s, err := c.Secrets.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && c.Create {
		s, err = c.Secrets.Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Secret %s (the chart makes it; --create does too): %w", name, err)
	}
	return s, nil
}

// fields are the keys of a Secret and where each belongs.
func fields(id *Identity) map[string]*[]byte {
	return map[string]*[]byte{
		"ca.crt": &id.CA, "tls.crt": &id.Cert, "tls.key": &id.Key, "next.crt": &id.NextCert, "next.key": &id.NextKey,
	}
}

func read(s *corev1.Secret) (id Identity) {
	for key, to := range fields(&id) {
		*to = s.Data[key]
	}
	// A time that cannot be read is the zero one: long ago.
	id.Changed, _ = time.Parse(time.RFC3339, s.Annotations[changedAnnotation])
	return id
}

func write(s *corev1.Secret, id Identity) {
	if s.Data == nil {
		s.Data = map[string][]byte{}
	}
	for key, from := range fields(&id) {
		if len(*from) == 0 {
			delete(s.Data, key)
			continue
		}
		s.Data[key] = *from
	}
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[changedAnnotation] = id.Changed.UTC().Format(time.RFC3339)
}
