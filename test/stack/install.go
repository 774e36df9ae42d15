package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/wholescale/wholescale/api/v1alpha1"
	"github.com/wholescale/wholescale/deploy"
)

// The names that deploy's manifests use.
const (
	Namespace      = "wholescale-system"
	serviceAccount = "wholescale-controller"
)

// Install applies all of deploy's manifests and returns when the API server serves our kinds.
func Install(ctx context.Context, config *rest.Config) error {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	plain, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(plain.Discovery()))
	objects, err := deploy.Objects()
	if err != nil {
		return fmt.Errorf("reading the manifests: %w", err)
	}
	for _, o := range objects {
		if err := Apply(ctx, client, mapper, o); err != nil {
			return err
		}
	}
	return served(ctx, client)
}

// Apply makes an object as it is given, whether it is there or not.
func Apply(ctx context.Context, client dynamic.Interface, mapper meta.RESTMapper, o *unstructured.Unstructured) error {
	kind := o.GroupVersionKind()
	mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return fmt.Errorf("the API server does not know %s: %w", kind, err)
	}
	var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		resource = client.Resource(mapping.Resource).Namespace(o.GetNamespace())
	}
	_, err = resource.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: "wholescale-install", Force: true})
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", kind.Kind, o.GetName(), err)
	}
	return nil
}

// served waits until our own kinds can be listed: a CRD is there some moments before what it describes.
func served(ctx context.Context, client dynamic.Interface) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err1 := client.Resource(v1alpha1.PodAutoscalers).List(ctx, metav1.ListOptions{Limit: 1})
		_, err2 := client.Resource(v1alpha1.NodePools).List(ctx, metav1.ListOptions{Limit: 1})
		err := errors.Join(err1, err2)
		if err == nil {
			return nil
		}
		if !apierrors.IsNotFound(err1) && err1 != nil {
			return fmt.Errorf("listing PodAutoscalers: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("our kinds are not served: %w", err)
		case <-tick.C:
		}
	}
}

// controllerKubeconfig writes a kubeconfig that holds the controller's own token and nothing else.
func controllerKubeconfig(ctx context.Context, admin *rest.Config, path string) error {
	client, err := kubernetes.NewForConfig(admin)
	if err != nil {
		return err
	}
	seconds := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	token, err := client.CoreV1().ServiceAccounts(Namespace).CreateToken(ctx, serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("asking for the controller's token: %w", err)
	}
	c := clientcmdapi.NewConfig()
	c.Clusters["cluster"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthority: admin.CAFile, CertificateAuthorityData: admin.CAData}
	c.AuthInfos["controller"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	c.Contexts["controller"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "controller"}
	c.CurrentContext = "controller"
	if !strings.HasPrefix(admin.Host, "http") {
		c.Clusters["cluster"].Server = "https://" + admin.Host
	}
	if err := clientcmd.WriteToFile(*c, path); err != nil {
		return fmt.Errorf("writing the controller's kubeconfig: %w", err)
	}
	return nil
}
