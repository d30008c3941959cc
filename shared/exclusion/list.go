package exclusion

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var all = []Exclusion{
	{
		Name: "api-server-service", What: "the Service kubernetes in the namespace default", Why: "the API server makes it, and keeps it as it is",
		holds: func(of schema.GroupResource, o *unstructured.Unstructured) bool {
			return of == schema.GroupResource{Resource: "services"} && o.GetNamespace() == "default" && o.GetName() == "kubernetes"
		},
	},
	{
		Name: "api-services", What: "APIServices of the API server itself", Why: "the server registers them",
		holds: func(of schema.GroupResource, o *unstructured.Unstructured) bool {
			return of.Group == "apiregistration.k8s.io" && o.GetLabels()["kube-aggregator.kubernetes.io/automanaged"] != ""
		},
	},
	{
		Name: "bootstrapped", What: "objects with the label kubernetes.io/bootstrapping, such as RBAC's default roles", Why: "the server makes them, and keeps them as they are",
		holds: func(_ schema.GroupResource, o *unstructured.Unstructured) bool {
			return o.GetLabels()["kubernetes.io/bootstrapping"] != ""
		},
	},
	{
		Name: "certificate-signing-requests", What: "CertificateSigningRequests and PodCertificateRequests", Why: "they are requests, and gone once answered",
		Types: []string{"certificatesigningrequests.certificates.k8s.io", "podcertificaterequests.certificates.k8s.io"},
	},
	{
		Name: "component-statuses", What: "ComponentStatuses", Why: "they are a view of the control plane, and no objects",
		Types: []string{"componentstatuses"},
	},
	{
		Name: "controlled", What: "objects with a controlling owner, such as the Pods of a ReplicaSet", Why: "their owner states the intent",
		holds: func(_ schema.GroupResource, o *unstructured.Unstructured) bool { return isControlled(o) },
	},
	{
		Name: "controller-revisions", What: "ControllerRevisions", Why: "controllers keep their history in them",
		Types: []string{"controllerrevisions.apps"},
	},
	{
		Name: "csi-storage-capacities", What: "CSIStorageCapacities", Why: "storage drivers measure them",
		Types: []string{"csistoragecapacities.storage.k8s.io"},
	},
	{
		Name: "default-service-accounts", What: "the ServiceAccount default of each namespace, while nobody has changed it", Why: "the control plane makes them",
		holds: func(of schema.GroupResource, o *unstructured.Unstructured) bool {
			return of == schema.GroupResource{Resource: "serviceaccounts"} && o.GetName() == "default" && isUntouched(o)
		},
	},
	{
		Name: "endpoints", What: "Endpoints and EndpointSlices", Why: "they follow from Services and Pods",
		Types: []string{"endpoints", "endpointslices.discovery.k8s.io"},
	},
	{
		Name: "events", What: "Events", Why: "they are a log",
		Types: []string{"events", "events.events.k8s.io"},
	},
	{
		Name: "flow-control", What: "FlowSchemas and PriorityLevelConfigurations with the annotation apf.kubernetes.io/autoupdate-spec", Why: "the server keeps them up to date",
		holds: func(of schema.GroupResource, o *unstructured.Unstructured) bool {
			return of.Group == "flowcontrol.apiserver.k8s.io" && o.GetAnnotations()["apf.kubernetes.io/autoupdate-spec"] == "true"
		},
	},
	{
		Name: "helm-releases", What: "Secrets of the type helm.sh/release.v1", Why: "Helm keeps the history of its releases in them",
		holds: isSecretOf("helm.sh/release.v1"),
	},
	{
		Name: "ip-addresses", What: "IPAddresses", Why: "the server allocates them for Services",
		Types: []string{"ipaddresses.networking.k8s.io"},
	},
	{
		Name: "leases", What: "Leases", Why: "they are heartbeats",
		Types: []string{"leases.coordination.k8s.io"},
	},
	{
		Name: "nodes", What: "Nodes and CSINodes", Why: "nodes register themselves",
		Types: []string{"nodes", "csinodes.storage.k8s.io"},
	},
	{
		Name: "root-certificates", What: "the ConfigMap kube-root-ca.crt of each namespace", Why: "the control plane makes them",
		holds: func(of schema.GroupResource, o *unstructured.Unstructured) bool {
			return of == schema.GroupResource{Resource: "configmaps"} && o.GetName() == "kube-root-ca.crt"
		},
	},
	{
		Name: "service-account-tokens", What: "Secrets of the type kubernetes.io/service-account-token", Why: "the control plane fills them in, for one cluster",
		holds: isSecretOf("kubernetes.io/service-account-token"),
	},
	{
		Name: "volume-attachments", What: "VolumeAttachments", Why: "the attach controller makes them",
		Types: []string{"volumeattachments.storage.k8s.io"},
	},
}

// isSecretOf holds for Secrets of a type.
func isSecretOf(kind string) func(schema.GroupResource, *unstructured.Unstructured) bool {
	return func(of schema.GroupResource, o *unstructured.Unstructured) bool {
		return of == schema.GroupResource{Resource: "secrets"} && o.Object["type"] == kind
	}
}

// isControlled reports whether an owner is marked as controlling.
func isControlled(o *unstructured.Unstructured) bool {
	refs, _, _ := unstructured.NestedSlice(o.Object, "metadata", "ownerReferences") // a wrong shape has no controller
	for _, r := range refs {
		if ref, ok := r.(map[string]any); ok && ref["controller"] == true {
			return true
		}
	}
	return false
}

// isUntouched reports whether a ServiceAccount holds nothing that a person set.
func isUntouched(o *unstructured.Unstructured) bool {
	for field := range o.Object {
		switch field {
		case "apiVersion", "kind", "metadata":
		default:
			return false
		}
	}
	return len(o.GetLabels()) == 0 && len(o.GetAnnotations()) == 0
}
