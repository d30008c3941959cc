package capture

import (
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// entry is what is remembered of an object: enough to see whether its intent
// changed, not what it is.
type entry struct {
	uid  types.UID
	hash string
}

// index is what the lane has published of each object of the type.
type index map[types.NamespacedName]entry

// overlay is what a watch delivered while an index was being listed.
type overlay map[types.NamespacedName]version

// version is an object's state as of a watch event.
type version struct {
	entry
	rv   string
	gone bool
}

// merge is the index as of the watch's position: the list, which is exact as of
// the version it was read at, and what the watch delivered after that.
func merge(listed index, at string, seen overlay) index {
	for k, v := range seen {
		switch {
		case !newer(v.rv, at):
		case v.gone:
			delete(listed, k)
		default:
			listed[k] = v.entry
		}
	}
	return listed
}

// newer reports whether resource version a is later than b. The API server
// promises that versions of one type compare as integers (Kubernetes KEP-5504);
// what does not parse is never newer.
func newer(a, b string) bool {
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && c > 0
}
