// Package index is what the watcher remembers of a type's objects: enough to see
// whether their intent changed, not what it is. It is pure.
package index

import (
	"encoding/hex"
	"iter"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/kubescribe/kubescribe/services/watcher/selection"
)

// Digest is a content hash: a Git blob id. The zero one is of an object that is
// there and whose content can never be written.
type Digest [20]byte

// DigestOf reads a hash as manifest.Hash prints it; the zero one of "".
func DigestOf(hash string) (d Digest) {
	_, _ = hex.Decode(d[:], []byte(hash)) // forty digits, or none
	return d
}

// String is the hash as manifest.Hash prints it, "" of the zero one.
func (d Digest) String() string {
	if d == (Digest{}) {
		return ""
	}
	return hex.EncodeToString(d[:])
}

// Rendering is an object's content as some destinations have it.
type Rendering struct {
	To   selection.Set
	Hash Digest
}

// Entry is what is remembered of an object. Nobody wants one without renderings.
type Entry struct {
	UID     types.UID
	Version uint64      // resourceVersion; 0 if it is no number
	Rest    uint64      // a hash of all but its scale; 0 if it has none
	first   Rendering   // of most objects the only one
	others  []Rendering // each of other destinations, and with another hash
}

// NewEntry is the entry of an object, as yet for nobody.
func NewEntry(uid, resourceVersion string) Entry {
	e := Entry{UID: types.UID(uid)}
	e.Version, _ = strconv.ParseUint(resourceVersion, 10, 64) // 0 if it is no number
	return e
}

// Add has more destinations have the object with a content.
func (e *Entry) Add(to selection.Set, hash Digest) {
	switch i := slices.IndexFunc(e.others, func(r Rendering) bool { return r.Hash == hash }); {
	case to == "":
	case e.first.To == "" || e.first.Hash == hash:
		e.first = Rendering{e.first.To.With(to), hash}
	case i >= 0:
		e.others = slices.Clone(e.others)
		e.others[i].To = e.others[i].To.With(to)
	default:
		e.others = append(slices.Clip(e.others), Rendering{to, hash})
	}
}

// Renderings are the object's, for all who have it.
func (e Entry) Renderings() iter.Seq[Rendering] {
	return func(yield func(Rendering) bool) {
		if e.first.To == "" || !yield(e.first) {
			return
		}
		for _, r := range e.others {
			if !yield(r) {
				return
			}
		}
	}
}

// To is all destinations that have the object.
func (e Entry) To() (all selection.Set) {
	for r := range e.Renderings() {
		all = all.With(r.To)
	}
	return all
}

// Of is the content that a destination has of the object; ok is false if it has none of it.
func (e Entry) Of(place int) (hash Digest, ok bool) {
	for r := range e.Renderings() {
		if r.To.Has(place) {
			return r.Hash, true
		}
	}
	return Digest{}, false
}

// without is the entry as if some destinations did not have the object.
func (e Entry) without(to selection.Set) Entry {
	left := Entry{UID: e.UID, Version: e.Version, Rest: e.Rest}
	for r := range e.Renderings() {
		left.Add(r.To.Without(to), r.Hash)
	}
	return left
}

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

// Unwritable is a version that destinations cannot have: only that it is there is known.
func (v Version) Unwritable(to selection.Set) Version {
	v.Entry = v.without(to)
	v.Add(to, Digest{})
	return v
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
	if v.Gone || v.first.To == "" {
		delete(i, key)
		return
	}
	i[key] = v.Entry
}

// Publication is a message of the lane: a version of an object as some destinations are to
// have it, or that they are to have it no more.
type Publication struct {
	To     selection.Set
	Hash   Digest
	Delete bool
}

// Publications is what is to be published of a version of an object; nothing where all have
// what they are to have. Each goes to other destinations. What cannot be written (its hash is
// the zero one) is not published: what the lane has of the object stays, as long as it is
// selected.
//
// Without an index nobody knows what the lane holds. Whatever it may lack is published: the
// version to all who select it, and that it is gone to all who may have had it, which possible
// names. Whether others had a version before is for a run to find out: a deletion that nobody has
// seen would go around what a destination says of pruning.
func (i Index) Publications(key types.NamespacedName, v Version, possible func() selection.Set) (all []Publication) {
	had := i[key]
	before, selected := had.To(), v.To()
	if v.Gone {
		selected = ""
	}
	if i == nil && v.Gone {
		before = possible()
	}
	if leaving := before.Without(selected); leaving != "" {
		all = append(all, Publication{To: leaving, Delete: true})
	}
	if v.Gone {
		return all
	}
	for r := range v.Renderings() {
		if r.Hash == (Digest{}) {
			continue
		}
		stale := r.To
		if had.UID == v.UID {
			for same := range had.Renderings() {
				if same.Hash == r.Hash {
					stale = stale.Without(same.To)
				}
			}
		}
		if stale != "" {
			all = append(all, Publication{To: stale, Hash: r.Hash})
		}
	}
	return all
}

// Published takes in that a publication of a version is stored. What is not yet, or never
// can be, stands as it was.
func (i Index) Published(key types.NamespacedName, v Version, p Publication) {
	e := i[key].without(p.To)
	e.UID, e.Version, e.Rest = v.UID, v.Entry.Version, v.Rest
	if !p.Delete {
		e.Add(p.To, p.Hash)
	}
	i.Put(key, Version{Entry: e})
}

// Unwritable takes in that destinations cannot have a version: what they have of the object
// stays, and those that have nothing of it know that it is there.
func (i Index) Unwritable(key types.NamespacedName, v Version, to selection.Set) {
	e := i[key]
	if e.first.To == "" {
		e.UID, e.Version, e.Rest = v.UID, v.Entry.Version, v.Rest
	}
	e.Add(to.Without(e.To()), Digest{})
	i.Put(key, Version{Entry: e})
}

// Seen takes in the rest of a version of which nothing is left to be published: what changed may
// be what nobody has in Git.
func (i Index) Seen(key types.NamespacedName, v Version) {
	if e, ok := i[key]; ok && e.UID == v.UID {
		e.Rest = v.Rest
		i[key] = e
	}
}

// Newer reports whether resource version a is later than b. The API server
// promises that versions of one type compare as integers (Kubernetes KEP-5504);
// what does not parse is never newer.
func Newer(a, b string) bool {
	c, err := resourceversion.CompareResourceVersion(a, b)
	return err == nil && c > 0
}
