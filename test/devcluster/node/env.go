package node

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// inherited are the variables a container gets from this host, in place of those of an image.
var inherited = []string{"PATH", "HOME", "TMPDIR", "LANG", "TZ", "SSL_CERT_FILE"}

// environment collects variables; a later one of the same name wins.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, known := e.values[name]; !known {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) list() []string {
	list := make([]string, 0, len(e.names))
	for _, name := range e.names {
		list = append(list, name+"="+e.values[name])
	}
	return list
}

// environment is what the container's process sees: this host's basics, the pod's own, then what the spec says.
func (p *pod) environment(ctx context.Context, spec *corev1.Container) (*environment, error) {
	env := &environment{values: map[string]string{}}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			env.set(name, value)
		}
	}
	for _, variable := range p.agent.Env {
		name, value, _ := strings.Cut(variable, "=")
		env.set(name, value)
	}
	env.set("HOSTNAME", p.object().Name)
	env.set("POD_NAME", p.object().Name)
	env.set("POD_NAMESPACE", p.object().Namespace)
	env.set("POD_IP", p.ip.String())
	env.set("NODE_NAME", p.agent.Name)
	if server, err := url.Parse(p.agent.Server); err == nil && server.Host != "" {
		env.set("KUBERNETES_SERVICE_HOST", server.Hostname())
		env.set("KUBERNETES_SERVICE_PORT", server.Port())
	}
	for _, from := range spec.EnvFrom {
		if err := p.envFrom(ctx, env, from); err != nil {
			return nil, err
		}
	}
	for _, variable := range spec.Env {
		value := expand(variable.Value, env.values)
		if variable.ValueFrom != nil {
			found, known, err := p.valueFrom(ctx, spec, variable.ValueFrom)
			if err != nil {
				return nil, fmt.Errorf("env %s: %w", variable.Name, err)
			}
			if !known {
				continue
			}
			value = found
		}
		env.set(variable.Name, value)
	}
	return env, nil
}

func (p *pod) envFrom(ctx context.Context, env *environment, from corev1.EnvFromSource) error {
	var data map[string]string
	var err error
	switch {
	case from.ConfigMapRef != nil:
		data, err = p.configMap(ctx, from.ConfigMapRef.Name, from.ConfigMapRef.Optional)
	case from.SecretRef != nil:
		data, err = p.secret(ctx, from.SecretRef.Name, from.SecretRef.Optional)
	}
	for name, value := range data {
		env.set(from.Prefix+name, value)
	}
	return err
}

// valueFrom tells the value and whether there is one: an optional key may be missing.
func (p *pod) valueFrom(ctx context.Context, spec *corev1.Container, from *corev1.EnvVarSource) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := p.field(from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		return p.resourceField(spec, from.ResourceFieldRef), true, nil
	case from.ConfigMapKeyRef != nil:
		data, err := p.configMap(ctx, from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Optional)
		return key(data, from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional, err)
	case from.SecretKeyRef != nil:
		data, err := p.secret(ctx, from.SecretKeyRef.Name, from.SecretKeyRef.Optional)
		return key(data, from.SecretKeyRef.Key, from.SecretKeyRef.Optional, err)
	}
	return "", false, fmt.Errorf("this source of a value is not supported by devcluster")
}

func key(data map[string]string, name string, optional *bool, err error) (string, bool, error) {
	value, known := data[name]
	if err == nil && !known && (optional == nil || !*optional) {
		err = fmt.Errorf("there is no key %q", name)
	}
	return value, known, err
}

func (p *pod) field(path string) (string, error) {
	object := p.object()
	switch path {
	case "metadata.name":
		return object.Name, nil
	case "metadata.namespace":
		return object.Namespace, nil
	case "metadata.uid":
		return string(object.UID), nil
	case "spec.nodeName":
		return p.agent.Name, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return p.ip.String(), nil
	case "status.hostIP", "status.hostIPs":
		return p.agent.subnet.host().String(), nil
	}
	for prefix, values := range map[string]map[string]string{"metadata.labels['": object.Labels, "metadata.annotations['": object.Annotations} {
		if name, ok := strings.CutPrefix(path, prefix); ok {
			return values[strings.TrimSuffix(name, "']")], nil
		}
	}
	return "", fmt.Errorf("field %q is not supported by devcluster", path)
}

func (p *pod) resourceField(spec *corev1.Container, ref *corev1.ResourceFieldSelector) string {
	list, name, _ := strings.Cut(ref.Resource, ".")
	quantities := spec.Resources.Limits
	if list == "requests" {
		quantities = spec.Resources.Requests
	}
	quantity, set := quantities[corev1.ResourceName(name)]
	if !set && name == "cpu" {
		quantity = p.agent.CPU // without a limit, the machine is
	} else if !set && name == "memory" {
		quantity = p.agent.Memory
	}
	divisor := ref.Divisor.DeepCopy()
	if divisor.IsZero() {
		divisor.Set(1)
	}
	if name == "cpu" {
		return fmt.Sprint((quantity.MilliValue() + divisor.MilliValue() - 1) / divisor.MilliValue())
	}
	return fmt.Sprint((quantity.Value() + divisor.Value() - 1) / divisor.Value())
}

func (p *pod) configMap(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	found, err := p.agent.Client.CoreV1().ConfigMaps(p.object().Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, missing(err, optional)
	}
	return found.Data, nil
}

func (p *pod) secret(ctx context.Context, name string, optional *bool) (map[string]string, error) {
	found, err := p.agent.Client.CoreV1().Secrets(p.object().Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, missing(err, optional)
	}
	data := map[string]string{}
	for name, value := range found.Data {
		data[name] = string(value)
	}
	return data, nil
}

func missing(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && optional != nil && *optional {
		return nil
	}
	return err
}

// expand replaces $(NAME) by its value. $$ is a dollar, and an unknown name stays as it is written.
func expand(text string, values map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch end := strings.IndexByte(text[i:], ')'); {
		case text[i+1] == '$':
			out.WriteByte('$')
			i++
		case text[i+1] == '(' && end > 0:
			whole := text[i : i+end+1]
			if value, known := values[whole[2:len(whole)-1]]; known {
				whole = value
			}
			out.WriteString(whole)
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}
