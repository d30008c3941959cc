package manifest

import (
	"errors"
	"maps"
)

// Generation numbers what Sanitize and Encode make of an object. Another
// output for any object is another generation, and one explained commit per
// destination.
const Generation = 1

// ErrMetadata says that an object's metadata is no map.
var ErrMetadata = errors.New("sanitizing object: metadata is not a map")

// Sanitize returns the object without its status and without what the API
// server and its controllers keep in it for themselves: what is left is what
// somebody asked for. What it does not know, it keeps. A policy decides where people
// differ.
//
// A value that the server assigns where nobody asked for one (a Service's
// cluster IP) is removed unless the managed fields or kubectl's last-applied
// annotation show that somebody did. So the object must come with both, as the
// API server gave it. An object with neither uid nor resourceVersion is taken
// for a manifest, in which every value was asked for; hence Sanitize of its own
// result changes nothing.
//
// What managers that the policy ignores own, by the managed fields, and nobody else does, is
// left out; what nobody owns stays, unless it is in something that is left out. Where no
// other manager owns anything of the result, there is none, and the error is ErrIgnored.
//
// The input is not changed. The result shares with it what did not change and
// must not be written to.
func Sanitize(obj map[string]any, policy Policy) (map[string]any, error) {
	var metadata map[string]any
	if value, ok := obj["metadata"]; ok {
		if metadata, ok = value.(map[string]any); !ok {
			return nil, ErrMetadata
		}
	}
	var by owners
	if len(policy.IgnoreManagers) > 0 {
		by = ownersOf(obj, metadata, policy.IgnoreManagers)
	}
	if len(by.ignored) > 0 {
		obj = by.strip(obj)
	}
	out := make(map[string]any, len(obj))
	for key, value := range obj {
		if key != "status" {
			out[key] = value
		}
	}
	if left, ok := obj["metadata"].(map[string]any); ok {
		out["metadata"] = sanitizeMetadata(left, policy)
	}
	if rule, ok := kindRules[typeOf(obj)]; ok {
		rule(out, &source{metadata: metadata})
	}
	policy.apply(out)
	if len(by.ignored) > 0 && !by.elsewhere && !by.others.own(out) {
		return nil, ErrIgnored
	}
	return out, nil
}

// serverFields are the fields of metadata that are the server's own.
var serverFields = map[string]bool{
	"uid":                        true,
	"resourceVersion":            true,
	"generation":                 true,
	"creationTimestamp":          true,
	"deletionTimestamp":          true,
	"deletionGracePeriodSeconds": true,
	"managedFields":              true,
	"selfLink":                   true,
}

func sanitizeMetadata(metadata map[string]any, policy Policy) map[string]any {
	out := make(map[string]any, len(metadata))
	for key, value := range metadata {
		if !serverFields[key] {
			out[key] = value
		}
	}
	if !policy.KeepOwners { // they are named by uid, and so mean nothing in another cluster
		delete(out, "ownerReferences")
	}
	// The server has made a name of it.
	if name, _ := out["name"].(string); name != "" {
		delete(out, "generateName")
	}
	prune(out, "annotations", func(key string, _ any) bool {
		return bookkeepingAnnotations[key] || trackingAnnotations[key] && !policy.KeepTracking
	})
	prune(out, "labels", func(key string, _ any) bool { return trackingLabels[key] && !policy.KeepTracking })
	return out
}

// own replaces a map inside a map by a copy that may be written to. The parent
// must be one already.
func own(parent map[string]any, key string) (map[string]any, bool) {
	child, ok := parent[key].(map[string]any)
	if !ok {
		return nil, false
	}
	child = maps.Clone(child)
	parent[key] = child
	return child, true
}

// prune drops entries of the map under a key, and the key where it held
// nothing else. A map that was empty before stays: somebody wrote it. The
// parent must be writable, the map itself is copied.
func prune(parent map[string]any, key string, drop func(key string, value any) bool) {
	entries, _ := parent[key].(map[string]any)
	dropped := 0
	for k, v := range entries {
		if drop(k, v) {
			dropped++
		}
	}
	switch dropped {
	case 0:
	case len(entries):
		delete(parent, key)
	default:
		kept := make(map[string]any, len(entries)-dropped)
		for k, v := range entries {
			if !drop(k, v) {
				kept[k] = v
			}
		}
		parent[key] = kept
	}
}
