package devcluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// machineUser is who all machines of a cluster are to the API server.
const machineUser = "devcluster:machine"

// writeKubeconfigs writes one for each identity that speaks to the API server. They name the keys by path.
func (c *Cluster) writeKubeconfigs(server string) error {
	pki := filepath.Join(c.dir, "pki")
	for _, name := range []string{"admin", "controller-manager", "scheduler", "machine"} {
		config := clientcmdapi.NewConfig()
		config.Clusters["devcluster"] = &clientcmdapi.Cluster{Server: server, CertificateAuthority: filepath.Join(pki, "ca.crt")}
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{
			ClientCertificate: filepath.Join(pki, name+".crt"), ClientKey: filepath.Join(pki, name+".key"),
		}
		config.Contexts["devcluster"] = &clientcmdapi.Context{Cluster: "devcluster", AuthInfo: name}
		config.CurrentContext = "devcluster"
		if err := clientcmd.WriteToFile(*config, filepath.Join(c.dir, name+".kubeconfig")); err != nil {
			return fmt.Errorf("write the kubeconfig of %s: %w", name, err)
		}
	}
	return nil
}

func restConfig(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", kubeconfig, err)
	}
	config.QPS, config.Burst = -1, -1 // the API server's own fairness is the limit
	return config, nil
}

// allowMachines lets machines do what kubelets do: keep their nodes and leases, read and report pods.
func (c *Cluster) allowMachines(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.RESTConfig())
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	rule := func(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	role := &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: machineUser},
		Rules: []rbacv1.PolicyRule{
			rule("", []string{"nodes"}, "get", "list", "watch", "create", "update", "patch", "delete"),
			rule("", []string{"nodes/status"}, "update", "patch"),
			rule("coordination.k8s.io", []string{"leases"}, "get", "create", "update", "patch", "delete"),
			rule("", []string{"pods"}, "get", "list", "watch", "delete"),
			rule("", []string{"pods/status"}, "update", "patch"),
			rule("", []string{"configmaps", "secrets"}, "get"),
			rule("", []string{"serviceaccounts/token"}, "create"),
			rule("", []string{"events"}, "create", "patch"),
		},
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: machineUser},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: machineUser},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: machineUser}},
	}
	_, roleErr := client.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	_, bindErr := client.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err := errors.Join(notExists(roleErr), notExists(bindErr)); err != nil {
		return fmt.Errorf("allow machines to join: %w", err)
	}
	return nil
}

func notExists(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}
