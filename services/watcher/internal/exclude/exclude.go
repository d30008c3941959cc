// Package exclude is the list of what is not mirrored by default, with the
// reason for each.
package exclude

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Reason says why something is left out.
type Reason string

// types are left out whole, by resource.group: never listed, never watched.
var types = map[string]Reason{
	"secrets":                             "Secrets are not mirrored by this version: they would stand in clear",
	"events":                              "events are a log, not intent",
	"events.events.k8s.io":                "events are a log, not intent",
	"leases.coordination.k8s.io":          "leases are heartbeats",
	"endpoints":                           "derived from Services and Pods",
	"endpointslices.discovery.k8s.io":     "derived from Services and Pods",
	"nodes":                               "nodes register themselves",
	"csinodes.storage.k8s.io":             "nodes register themselves",
	"csistoragecapacities.storage.k8s.io": "measured by storage drivers",
	"volumeattachments.storage.k8s.io":    "made by the attach controller",
	"componentstatuses":                   "a view, not an object",
	"controllerrevisions.apps":            "history kept by controllers",
	"certificatesigningrequests.certificates.k8s.io": "requests, gone once answered",
	"ipaddresses.networking.k8s.io":                  "allocated by the server for Services",
}

// Type reports whether a type is left out, and why.
func Type(group, resource string) (Reason, bool) {
	name := resource
	if group != "" {
		name += "." + group
	}
	r, out := types[name]
	return r, out
}

// Types names all types that are left out, sorted, as resource.group.
func Types() []string { return slices.Sorted(maps.Keys(types)) }

// Object reports whether an object of a type that is not left out is itself
// left out, and why.
func Object(group, resource string, o *unstructured.Unstructured) (Reason, bool) {
	if owner := controller(o); owner != "" {
		return Reason("made by its controller " + owner + ", which states the intent"), true
	}
	switch {
	case group == "" && resource == "configmaps" && o.GetName() == "kube-root-ca.crt":
		return "published into every namespace by the server", true
	case group == "" && resource == "serviceaccounts" && o.GetName() == "default" && untouched(o):
		return "made in every namespace by the server, and not changed since", true
	case o.GetLabels()["kubernetes.io/bootstrapping"] != "":
		return "bootstrapped by the server", true
	case group == "flowcontrol.apiserver.k8s.io" && o.GetAnnotations()["apf.kubernetes.io/autoupdate-spec"] == "true":
		return "kept up to date by the server", true
	case group == "apiregistration.k8s.io" && o.GetLabels()["kube-aggregator.kubernetes.io/automanaged"] != "":
		return "registered by the server itself", true
	}
	return "", false
}

// controller names the owner that is marked as controlling, "" if none is.
func controller(o *unstructured.Unstructured) string {
	refs, _, _ := unstructured.NestedSlice(o.Object, "metadata", "ownerReferences") // a wrong shape has no controller
	for _, r := range refs {
		ref, ok := r.(map[string]any)
		if ok && ref["controller"] == true {
			return fmt.Sprintf("%v %v", ref["kind"], ref["name"])
		}
	}
	return ""
}

// untouched reports whether a ServiceAccount holds nothing that a person set.
func untouched(o *unstructured.Unstructured) bool {
	for field := range o.Object {
		switch field {
		case "apiVersion", "kind", "metadata":
		default:
			return false
		}
	}
	return len(o.GetLabels()) == 0 && len(o.GetAnnotations()) == 0
}
