package manifest

import (
	"maps"
	"reflect"
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
// gives to the template for it.
func sanitizeJob(out map[string]any, src *source) {
	sanitizeTemplate(out, "spec", "template")
	spec, ok := out["spec"].(map[string]any)
	if !ok || spec["manualSelector"] == true {
		return
	}
	spec = maps.Clone(spec)
	out["spec"] = spec
	delete(spec, "selector")
	var labels any
	if template, ok := own(spec, "template"); ok {
		if metadata, ok := own(template, "metadata"); ok {
			labels = metadata["labels"]
			name := src.metadata["name"]
			prune(metadata, "labels", func(key string, value any) bool {
				return isJobUID(key) || isJobName(key) && value == name
			})
			if len(metadata) == 0 {
				delete(template, "metadata")
			}
		}
	}
	sanitizeJobLabels(out, src, labels)
}

// sanitizeJobLabels removes the labels of a Job that had none: the server gave it
// the template's, those among them that it generates, and will again. To a Job that
// has any it gives none, so that there only the uid goes.
func sanitizeJobLabels(out map[string]any, src *source, template any) {
	metadata, ok := out["metadata"].(map[string]any)
	if !ok {
		return
	}
	labels, _ := src.metadata["labels"].(map[string]any)
	for key := range labels {
		if isJobUID(key) && reflect.DeepEqual(any(labels), template) {
			delete(metadata, "labels")
			return
		}
	}
	prune(metadata, "labels", func(key string, _ any) bool { return isJobUID(key) })
}

func isJobUID(label string) bool {
	return label == "controller-uid" || label == "batch.kubernetes.io/controller-uid"
}

func isJobName(label string) bool {
	return label == "job-name" || label == "batch.kubernetes.io/job-name"
}
