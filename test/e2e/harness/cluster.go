package harness

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// pollCompare is how often a whole cluster is listed while waiting.
const pollCompare = 250 * time.Millisecond

// listCluster reads all objects that belong into Git, Secrets among them or not.
func listCluster(ctx context.Context, cfg *rest.Config, namespaces []string, secrets bool) (map[Identity]map[string]any, error) {
	types, err := servedTypes(cfg)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("listing the cluster: %w", err)
	}
	found := map[Identity]map[string]any{}
	for _, t := range types {
		if slices.Contains(derivedTypes, t.gvr.GroupResource().String()) || (t.gvr.GroupResource() == schema.GroupResource{Resource: "secrets"} && !secrets) || (len(namespaces) > 0 && !t.namespaced) {
			continue
		}
		list, err := client.Resource(t.gvr).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsMethodNotSupported(err) {
			continue // the type went, just now
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", t.gvr.GroupResource(), err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			if derived(t.gvr.GroupResource(), o) || (len(namespaces) > 0 && !slices.Contains(namespaces, o.GetNamespace())) {
				continue
			}
			found[Identity{t.gvr.Group, t.gvr.Resource, o.GetNamespace(), o.GetName()}] = o.Object
		}
	}
	return found, nil
}

type servedType struct {
	gvr        schema.GroupVersionResource
	namespaced bool
}

// servedTypes are those that can be listed and watched, each in the version that
// the server prefers.
func servedTypes(cfg *rest.Config) ([]servedType, error) {
	client, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("asking which types are served: %w", err)
	}
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, fmt.Errorf("asking which types are served: %w", err)
	}
	var types []servedType
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, fmt.Errorf("asking which types are served: %w", err)
		}
		for _, r := range l.APIResources {
			if slices.Contains(r.Verbs, "list") && slices.Contains(r.Verbs, "watch") {
				types = append(types, servedType{gv.WithResource(r.Name), r.Namespaced})
			}
		}
	}
	return types, nil
}

// derivedTypes hold no intent of anybody's.
var derivedTypes = []string{
	"events", "events.events.k8s.io", "leases.coordination.k8s.io",
	"endpoints", "endpointslices.discovery.k8s.io", "ipaddresses.networking.k8s.io",
	"nodes", "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io", "volumeattachments.storage.k8s.io",
	"componentstatuses", "controllerrevisions.apps",
	"certificatesigningrequests.certificates.k8s.io", "podcertificaterequests.certificates.k8s.io",
}

// derived reports whether an object was made by a controller from another one, or
// by the API server of itself, and is what that one made of it.
func derived(r schema.GroupResource, o *unstructured.Unstructured) bool {
	if metav1.GetControllerOf(o) != nil {
		return true
	}
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	switch r.String() {
	case "configmaps":
		return o.GetName() == "kube-root-ca.crt"
	case "secrets":
		return o.Object["type"] == "kubernetes.io/service-account-token" || o.Object["type"] == "helm.sh/release.v1"
	case "services":
		return o.GetNamespace() == "default" && o.GetName() == "kubernetes"
	case "serviceaccounts":
		_, secrets := o.Object["secrets"]
		_, pull := o.Object["imagePullSecrets"]
		return o.GetName() == "default" && !secrets && !pull && len(labels)+len(annotations) == 0
	case "flowschemas.flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io":
		return annotations["apf.kubernetes.io/autoupdate-spec"] == "true"
	case "apiservices.apiregistration.k8s.io":
		return labels["kube-aggregator.kubernetes.io/automanaged"] != ""
	case "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
		"roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io":
		return labels["kubernetes.io/bootstrapping"] != ""
	}
	return false
}
