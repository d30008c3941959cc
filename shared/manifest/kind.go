package manifest

import "strings"

// objectType is a kind without the version that serves it: rules hold for all.
type objectType struct{ group, kind string }

func typeOf(obj map[string]any) objectType {
	apiVersion, _ := obj["apiVersion"].(string)
	kind, _ := obj["kind"].(string)
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group = ""
	}
	return objectType{group: group, kind: kind}
}

// kindRules remove what is bookkeeping in one kind only. A rule may write to
// out and its metadata; of everything below it makes its own copy first.
var kindRules = map[objectType]func(out map[string]any, src *source){
	{"", "Service"}:               sanitizeService,
	{"", "PersistentVolumeClaim"}: sanitizeClaim,
	{"", "PersistentVolume"}:      sanitizeVolume,
	{"", "Namespace"}:             sanitizeNamespace,
	{"", "ServiceAccount"}:        sanitizeServiceAccount,
	{"", "Secret"}:                sanitizeSecret,
	{"", "Pod"}:                   sanitizePod,
	{"", "PodTemplate"}:           templatesAt("template"),
	{"", "ReplicationController"}: templatesAt("spec", "template"),
	{"apps", "Deployment"}:        templatesAt("spec", "template"),
	{"apps", "ReplicaSet"}:        templatesAt("spec", "template"),
	{"apps", "DaemonSet"}:         templatesAt("spec", "template"),
	{"apps", "StatefulSet"}:       sanitizeStatefulSet,
	{"batch", "Job"}:              sanitizeJob,
	{"batch", "CronJob"}:          sanitizeCronJob,
}
