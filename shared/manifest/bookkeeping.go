package manifest

// bookkeepingAnnotations are written by kubectl and by Kubernetes' own
// controllers about what they did. kubectl.kubernetes.io/restartedAt is not
// among them: a restart is intent. Neither is pv.kubernetes.io/provisioned-by,
// without which nobody would ever delete the volume.
var bookkeepingAnnotations = map[string]bool{
	lastAppliedAnnotation:                             true,
	"deployment.kubernetes.io/revision":               true,
	"deprecated.daemonset.template.generation":        true,
	"control-plane.alpha.kubernetes.io/leader":        true,
	"autoscaling.alpha.kubernetes.io/conditions":      true,
	"autoscaling.alpha.kubernetes.io/current-metrics": true,
	"pv.kubernetes.io/bind-completed":                 true,
	boundByControllerAnnotation:                       true,
	"volume.kubernetes.io/storage-provisioner":        true,
	"volume.beta.kubernetes.io/storage-provisioner":   true,
	"volume.kubernetes.io/selected-node":              true,
}

// The labels and annotations by which a GitOps tool knows its own objects: left
// in Git, they would hand every mirrored object to that tool's pruning. What
// people tell these tools by annotation (argocd.argoproj.io/sync-wave,
// kustomize.toolkit.fluxcd.io/prune) stays.
var (
	trackingLabels = map[string]bool{
		"kustomize.toolkit.fluxcd.io/name":             true,
		"kustomize.toolkit.fluxcd.io/namespace":        true,
		"helm.toolkit.fluxcd.io/name":                  true,
		"helm.toolkit.fluxcd.io/namespace":             true,
		"fluxcd.controlplane.io/name":                  true,
		"fluxcd.controlplane.io/namespace":             true,
		"resourceset.fluxcd.controlplane.io/name":      true,
		"resourceset.fluxcd.controlplane.io/namespace": true,
		"fluxcd.io/sync-gc-mark":                       true,
		"argocd.argoproj.io/instance":                  true,
		"applyset.kubernetes.io/id":                    true,
		"applyset.kubernetes.io/part-of":               true,
	}
	trackingAnnotations = map[string]bool{
		"kustomize.toolkit.fluxcd.io/checksum":            true,
		"fluxcd.io/sync-checksum":                         true,
		"argocd.argoproj.io/tracking-id":                  true,
		"argocd.argoproj.io/installation-id":              true,
		"applyset.kubernetes.io/tooling":                  true,
		"applyset.kubernetes.io/additional-namespaces":    true,
		"applyset.kubernetes.io/contains-group-kinds":     true,
		"applyset.kubernetes.io/contains-group-resources": true,
	}
)
