package manifest

import (
	"maps"
	"slices"
)

// templatesAt is the rule of a kind whose only bookkeeping is the metadata of
// the template at a path.
func templatesAt(path ...string) func(map[string]any, *source) {
	return func(out map[string]any, _ *source) { sanitizeTemplate(out, path...) }
}

// sanitizeTemplate removes the creationTimestamp null that older API servers
// write into every template, and metadata that holds nothing else: an upgrade
// of the server is no change of intent. The parent must be writable.
func sanitizeTemplate(parent map[string]any, path ...string) {
	template := parent
	for _, step := range path {
		template, _ = template[step].(map[string]any)
	}
	metadata, ok := template["metadata"].(map[string]any)
	if !ok {
		return
	}
	created, stamped := metadata["creationTimestamp"]
	stamped = stamped && created == nil
	if !stamped && len(metadata) > 0 {
		return
	}
	template = parent
	for _, step := range path {
		template, _ = own(template, step)
	}
	if stamped && len(metadata) > 1 {
		metadata, _ = own(template, "metadata")
		delete(metadata, "creationTimestamp")
		return
	}
	delete(template, "metadata")
}

// sanitizeStatefulSet treats the claim templates too: they are written out as
// whole claims, with a status.
func sanitizeStatefulSet(out map[string]any, _ *source) {
	sanitizeTemplate(out, "spec", "template")
	spec, _ := out["spec"].(map[string]any)
	claims, ok := spec["volumeClaimTemplates"].([]any)
	if !ok {
		return
	}
	claims = slices.Clone(claims)
	for i, item := range claims {
		claim, ok := item.(map[string]any)
		if !ok {
			continue
		}
		claim = maps.Clone(claim)
		delete(claim, "status")
		sanitizeTemplate(claim)
		claims[i] = claim
	}
	spec = maps.Clone(spec)
	spec["volumeClaimTemplates"] = claims
	out["spec"] = spec
}

func sanitizeCronJob(out map[string]any, _ *source) {
	sanitizeTemplate(out, "spec", "jobTemplate", "spec", "template")
	sanitizeTemplate(out, "spec", "jobTemplate")
}

// sanitizeJob removes the selector that the server generates, and the labels it
// gives to the template for it, of which a Job without labels takes a copy.
func sanitizeJob(out map[string]any, src *source) {
	sanitizeTemplate(out, "spec", "template")
	spec, ok := out["spec"].(map[string]any)
	if !ok || spec["manualSelector"] == true {
		return
	}
	name := src.metadata["name"]
	generated := func(key string, value any) bool {
		switch key {
		case "controller-uid", "batch.kubernetes.io/controller-uid":
			return true
		case "job-name", "batch.kubernetes.io/job-name":
			return value == name
		}
		return false
	}
	if metadata, ok := out["metadata"].(map[string]any); ok {
		prune(metadata, "labels", generated)
	}
	spec = maps.Clone(spec)
	out["spec"] = spec
	delete(spec, "selector")
	template, ok := own(spec, "template")
	if !ok {
		return
	}
	if metadata, ok := own(template, "metadata"); ok {
		prune(metadata, "labels", generated)
		if len(metadata) == 0 {
			delete(template, "metadata")
		}
	}
}
