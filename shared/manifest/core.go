package manifest

import "strings"

// sanitizeNamespace removes the label and the finalizer that the server gives
// to every namespace.
func sanitizeNamespace(out map[string]any, _ *source) {
	if metadata, ok := out["metadata"].(map[string]any); ok {
		prune(metadata, "labels", func(key string, _ any) bool { return key == "kubernetes.io/metadata.name" })
	}
	spec, ok := own(out, "spec")
	if !ok {
		return
	}
	if finalizers, ok := spec["finalizers"].([]any); ok {
		filter(spec, "finalizers", finalizers, func(item any) bool { return item == "kubernetes" })
		if len(spec) == 0 {
			delete(out, "spec")
		}
	}
}

// sanitizePod removes the node that the scheduler chose.
func sanitizePod(out map[string]any, src *source) {
	if src.fromServer() && !src.asked("spec", "nodeName") {
		if spec, ok := own(out, "spec"); ok {
			delete(spec, "nodeName")
		}
	}
}

// sanitizeServiceAccount removes the references to tokens that Kubernetes
// before 1.24 made for every account.
func sanitizeServiceAccount(out map[string]any, src *source) {
	secrets, ok := out["secrets"].([]any)
	if !ok || !src.fromServer() || src.asked("secrets") {
		return
	}
	account, _ := src.metadata["name"].(string)
	filter(out, "secrets", secrets, func(item any) bool {
		reference, _ := item.(map[string]any)
		secret, _ := reference["name"].(string)
		suffix, ok := strings.CutPrefix(secret, account+"-token-")
		return ok && len(reference) == 1 && isGenerated(suffix)
	})
}

// sanitizeSecret removes what the token controller puts into a Secret of a service account's
// token, which it does again in another cluster, and by which it keeps track of its use.
func sanitizeSecret(out map[string]any, src *source) {
	if out["type"] != "kubernetes.io/service-account-token" || !src.fromServer() {
		return
	}
	if metadata, ok := out["metadata"].(map[string]any); ok {
		prune(metadata, "annotations", func(key string, _ any) bool { return key == "kubernetes.io/service-account.uid" })
		prune(metadata, "labels", func(key string, _ any) bool { return strings.HasPrefix(key, "kubernetes.io/legacy-token-") })
	}
	prune(out, "data", func(key string, _ any) bool {
		return (key == "token" || key == "ca.crt" || key == "namespace") && !src.asked("data", key)
	})
}

// isGenerated reports whether text is what the server appends to a
// generateName: five characters of apimachinery's util/rand alphabet.
func isGenerated(suffix string) bool {
	return len(suffix) == 5 && strings.Trim(suffix, "bcdfghjklmnpqrstvwxz2456789") == ""
}

// filter drops items of the list under a key, and the key where it held
// nothing else. The parent must be writable, the list itself is copied.
func filter(parent map[string]any, key string, items []any, drop func(any) bool) {
	kept := make([]any, 0, len(items))
	for _, item := range items {
		if !drop(item) {
			kept = append(kept, item)
		}
	}
	if len(kept) == 0 && len(items) > 0 {
		delete(parent, key)
		return
	}
	parent[key] = kept
}
