package manifest

import "k8s.io/apimachinery/pkg/util/json"

const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration"

// source is what the unsanitized object tells of who asked for its values.
type source struct {
	metadata map[string]any
	parsed   bool
	applied  map[string]any
}

// fromServer reports whether the object came from an API server, so that it may
// hold values that nobody asked for.
func (s *source) fromServer() bool {
	return s.metadata["uid"] != nil || s.metadata["resourceVersion"] != nil
}

func (s *source) annotation(key string) string {
	annotations, _ := s.metadata["annotations"].(map[string]any)
	value, _ := annotations[key].(string)
	return value
}

// asked reports whether a client set a field, given by its path.
func (s *source) asked(path ...string) bool {
	fields := make([]string, len(path))
	value, ok := any(s.lastApplied()), true
	for i, step := range path {
		fields[i] = "f:" + step
		parent, _ := value.(map[string]any)
		value, ok = parent[step]
	}
	return ok && !isUnset(value) || s.managed(fields...)
}

// isUnset reports whether the server fills in a value where it finds this one.
func isUnset(value any) bool {
	return value == nil || value == "" || value == int64(0)
}

// controlPlane are managers that are nobody's intent: Kubernetes itself, and
// the name under which the server puts all fields of an object that had no
// managed fields before its first server-side apply, assigned ones too.
var controlPlane = map[string]bool{
	"before-first-apply":       true,
	"kube-apiserver":           true,
	"kube-controller-manager":  true,
	"cloud-controller-manager": true,
	"kube-scheduler":           true,
	"kubelet":                  true,
}

// managed reports whether a client manages a field, given by its path in the
// notation of fieldsV1. The server records managers before it allocates
// anything, so an allocated value is nobody's until a client changes it.
func (s *source) managed(path ...string) bool {
	entries, _ := s.metadata["managedFields"].([]any)
	for _, entry := range entries {
		entry, _ := entry.(map[string]any)
		if manager, _ := entry["manager"].(string); controlPlane[manager] {
			continue
		}
		if hasPath(entry["fieldsV1"], path) {
			return true
		}
	}
	return false
}

func hasPath(value any, path []string) bool {
	for _, step := range path {
		parent, _ := value.(map[string]any)
		var ok bool
		if value, ok = parent[step]; !ok {
			return false
		}
	}
	return true
}

// lastApplied is the object as kubectl apply last sent it; nil where it never
// did, or where the annotation is damaged.
func (s *source) lastApplied() map[string]any {
	if !s.parsed {
		s.parsed = true
		if text := s.annotation(lastAppliedAnnotation); text != "" {
			if json.Unmarshal([]byte(text), &s.applied) != nil {
				s.applied = nil
			}
		}
	}
	return s.applied
}
