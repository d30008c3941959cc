// Package index is what the watcher remembers of a type's objects: enough to see
// whether their intent changed, not what it is. It is pure.
package index

import (
	"encoding/hex"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/kubescribe/kubescribe/shared/event"
)

// Digest is a content hash: a Git blob id. The zero one is of an object that is
// there and whose content can never be written.
type Digest [20]byte

// String is the hash as manifest.Hash prints it, "" of the zero one.
func (d Digest) String() string {
	if d == (Digest{}) {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// Entry is what is remembered of an object.
type Entry struct {
	UID     types.UID
	Hash    Digest
	Version uint64 // resourceVersion; 0 if it is no number
}

// EntryOf is the entry of an object with the content hash of its change.
func EntryOf(c event.Change) Entry {
	e := Entry{UID: types.UID(c.UID)}
	_, _ = hex.Decode(e.Hash[:], []byte(c.Hash))                // of render: forty digits, or none
	e.Version, _ = strconv.ParseUint(c.ResourceVersion, 10, 64) // 0 if it is no number
	return e
}

// Same reports whether both are the same intent of the same object.
func (e Entry) Same(o Entry) bool { return e.UID == o.UID && e.Hash == o.Hash }

// Index is what the lane has published of each object of the type, or what was
// there when it was first listed.
type Index map[types.NamespacedName]Entry

// Overlay is what a watch delivered while an index was being listed.
type Overlay map[types.NamespacedName]Version

// Version is an object's state as of a watch event.
type Version struct {
	Entry
	RV   string
	Gone bool
}

// Merge is the index as of the watch's position: the list, which is exact as of
// the version it was read at, and what the watch delivered after that. It is made
// of the list's own map.
func Merge(listed Index, at string, seen Overlay) Index {
	for k, v := range seen {
		if Newer(v.RV, at) {
			listed.Put(k, v)
		}
	}
	return listed
}

// Put takes in what became of an object.
func (i Index) Put(key types.NamespacedName, v Version) {
	if v.Gone {
		delete(i, key)
		return
	}
	i[key] = v.Entry
}

// Fate is what becomes of a version that a watch delivers, or the list that closes a gap.
type Fate int

// The fates.
const (
	Published  Fate = iota
	Suppressed      // the lane holds the same intent of the same object
	Unwritable      // its content can never be published: what the lane has of the object stays
	Excluded        // nothing is mirrored of it
)

// Fate decides about a version of an object, which exclusions may apply to. Without an
// index nobody knows what the lane holds: whatever it may lack is published. One that is
// excluded by now stays as it was known until it goes.
func (i Index) Fate(key types.NamespacedName, v Version, excluded bool) Fate {
	known, had := i[key]
	switch {
	case excluded && !(v.Gone && had):
		return Excluded
	case v.Gone:
		return Published
	case v.Hash == Digest{}:
		return Unwritable
	case had && known.Same(v.Entry):
		return Suppressed
	}
	return Published
}

// Newer reports whether resource version a is later than b. The API server
// promises that versions of one type compare as integers (Kubernetes KEP-5504);
// what does not parse is never newer.
func Newer(a, b string) bool {
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && c > 0
}
