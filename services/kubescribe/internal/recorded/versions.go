package recorded

// versionBytes bounds twice how much of former versions is remembered.
const versionBytes = 16 << 20

// Versions remembers the last version of each object that was shown. Those not asked for
// longest go first. The zero value has seen none.
type Versions struct {
	young, old map[string]string // by stream, destination and object
	size       int               // of the young ones
}

// Take remembers the version that an entry is of, and returns the one before it, "" of a
// deletion; known is false if there is none that is remembered.
func (v *Versions) Take(e Entry) (before string, known bool) {
	key := e.Destination + " " + e.Object().Key()
	if e.Name == "" { // of a file without an object that a run removes, its path is known
		key = e.Destination + " " + e.Path
	}
	if before, known = v.young[key]; !known {
		before, known = v.old[key]
	}
	if v.young == nil || v.size > versionBytes {
		v.young, v.old, v.size = map[string]string{}, v.young, 0
	}
	v.size += len(key) + len(e.Manifest)
	v.young[key] = e.Manifest
	return before, known
}
