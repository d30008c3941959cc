package manifest

// boundByControllerAnnotation is what the volume controller puts on a claim
// exactly when it chose the volume itself.
const boundByControllerAnnotation = "pv.kubernetes.io/bound-by-controller"

// sanitizeClaim removes the name of a volume that was chosen for the claim.
func sanitizeClaim(out map[string]any, src *source) {
	if src.fromServer() && src.annotation(boundByControllerAnnotation) != "" && !src.asked("spec", "volumeName") {
		if spec, ok := own(out, "spec"); ok {
			delete(spec, "volumeName")
		}
	}
}

// sanitizeVolume leaves the claim a volume is bound to, and not which
// incarnation of it: with the uid of a claim that is gone, a volume is Released
// and never bound again.
func sanitizeVolume(out map[string]any, _ *source) {
	spec, ok := own(out, "spec")
	if !ok {
		return
	}
	prune(spec, "claimRef", func(key string, _ any) bool { return key == "uid" || key == "resourceVersion" })
}
