package harness

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Evidence is what was seen from outside of a time in which something was killed. None of
// it is the word of kubescribe, but for the trailers of its commits.
type Evidence struct {
	Placement string            // of the destination: cluster/namespace/name
	Namespace string            // whose ConfigMaps were watched
	Delivered []Delivery        // to a test's own watch, in its order
	History   []Commit          // of the branch, since before the first delivery
	Contents  map[string]string // of the files of History, by "commit:path"
	Letters   []string          // what is among the dead letters, each like "v1 configmaps shop/settings at 17"
	Foreign   []string          // the commits that others pushed meanwhile
	Theirs    map[string]string // the files of others, by path
	Files     map[string]File   // of the branch's tip
	End       Comparison        // of Git with the cluster, once all has settled
}

// Figures are what an invariant check has counted.
type Figures struct {
	Delivered int // versions and deletions
	Repeated  int // of these: versions that say what the one before them says
	Returned  int // of these: versions that say what the last but one before them said
	Deleted   int // of these
	Committed int // all but those that were repeated, or are among the dead letters
	Letters   int
	Restored  int // files that a run made again what they were before others changed them
	Foreign   int // commits of others
}

// Add adds up.
func (f *Figures) Add(g Figures) {
	sum, one := reflect.ValueOf(f).Elem(), reflect.ValueOf(g)
	for i := range sum.NumField() {
		sum.Field(i).SetInt(sum.Field(i).Int() + one.Field(i).Int())
	}
}

// CheckInvariants compares, version by version, and says which invariants do not hold:
//
//	I1  a version that was delivered has no commit, or one that says something else
//	I2  a version has two
//	I3  those of an object are not in the cluster's order
//	I4  one that says what the one before it says has a commit of its own
//	I5  Git is not equal to the cluster in the end
//	I6  a file was removed, and its object was not
//	I8  a commit of others is not in the branch, or a file of theirs says something else
func CheckInvariants(e Evidence) (f Figures, broken []string) {
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	wanted := e.wanted(&f)
	found := e.found(&f)
	for _, resource := range sortedKeys(wanted, found) {
		for _, problem := range follow(wanted[resource], found[resource], e.Letters, &f) {
			say("%s", problem)
		}
	}
	for _, problem := range Doubles(e.History) {
		say("I2, I3: %s", problem)
	}
	if err := e.End.Err(); err != nil {
		say("I5: %v", err)
	}
	have := map[string]bool{}
	for _, c := range e.History {
		have[c.Hash] = true
	}
	for _, hash := range e.Foreign {
		if f.Foreign++; !have[hash] {
			say("I8: the branch has lost %s", hash)
		}
	}
	for path, content := range e.Theirs {
		if now, ok := e.Files[path]; !ok || now.Content != content {
			say("I8: %s is %q, and others have left %q there", path, now.Content, content)
		}
	}
	return f, broken
}

// version is one that was delivered.
type version struct {
	Delivery
	repeated bool // says what the one before it says
}

// wanted are the versions of each object, in their order.
func (e Evidence) wanted(f *Figures) map[string][]version {
	wanted := map[string][]version{}
	said := map[string][]map[string]any{} // what each object has said since it was made, one after the other
	for _, d := range e.Delivered {
		f.Delivered++
		v := version{Delivery: d}
		before := said[d.Resource]
		says := func(back int) bool {
			return back <= len(before) && reflect.DeepEqual(intent(d.Object), before[len(before)-back])
		}
		switch {
		case d.Deleted:
			f.Deleted++
			said[d.Resource] = nil
		case says(1):
			f.Repeated++
			v.repeated = true
		default:
			if says(2) {
				f.Returned++
			}
			said[d.Resource] = append(before, intent(d.Object))
		}
		wanted[d.Resource] = append(wanted[d.Resource], v)
	}
	return wanted
}

// commit is what one has done to one object.
type commit struct {
	Commit
	deleted bool
	content string
}

// found are the commits of each object, in their order. What a run has made of a file
// that others had changed is no version.
func (e Evidence) found(f *Figures) map[string][]commit {
	objects := map[string]string{} // by path
	for resource, path := range pathsOf(OfPlacement(e.History, e.Placement)) {
		if ofNamespace(resource, e.Namespace) {
			objects[path] = resource
		}
	}
	found := map[string][]commit{}
	theirs := map[string]bool{} // files that others were the last to change
	for _, c := range e.History {
		for _, file := range c.Files {
			was := theirs[file.Path]
			theirs[file.Path] = !c.Ours
			resource, known := objects[file.Path]
			switch {
			case !c.Ours || c.Placement != e.Placement || !known:
			case was && c.Origin == "reconcile":
				f.Restored++
			default:
				found[resource] = append(found[resource], commit{c, file.Status == "D", e.Contents[c.Hash+":"+file.Path]})
			}
		}
	}
	return found
}

// follow has the commits of an object follow its versions.
func follow(wanted []version, found []commit, letters []string, f *Figures) (broken []string) {
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	committed, last := map[int]string{}, -1
	for _, c := range found {
		at := slices.IndexFunc(wanted, func(v version) bool { return v.Version == c.Version && v.Deleted == c.deleted })
		switch {
		case at < 0 && c.deleted:
			say("I6: %.8s %s: no such deletion was delivered", c.Hash, c.Subject)
			continue
		case at < 0:
			say("I1: %.8s %s: no such version (%s) was delivered", c.Hash, c.Subject, c.Version)
			continue
		case wanted[at].repeated:
			say("I4: %.8s %s: it says what the one before it says", c.Hash, c.Subject)
		case committed[at] != "":
			say("I2: %.8s %s: version %s was committed by %.8s", c.Hash, c.Subject, c.Version, committed[at])
		case at < last:
			say("I3: %.8s %s: version %s comes behind %s", c.Hash, c.Subject, c.Version, wanted[last].Version)
		}
		committed[at], last = c.Hash, max(last, at)
		if c.deleted {
			continue
		}
		manifest, err := readManifest(c.content)
		if err != nil {
			say("I1: %.8s %s: %v", c.Hash, c.Subject, err)
			continue
		}
		for _, d := range differences(wanted[at].Object, manifest) {
			say("I1: %.8s %s: %s", c.Hash, c.Subject, d)
		}
	}
	for at, v := range wanted {
		switch {
		case committed[at] != "":
			f.Committed++
		case v.repeated:
		case slices.Contains(letters, v.Resource+" at "+v.Version):
			f.Letters++
		default:
			say("I1: %s at %s (deleted: %t) has no commit", v.Resource, v.Version, v.Deleted)
		}
	}
	return broken
}

// intent is an object without what its server, or a controller, keeps in it.
func intent(object map[string]any) map[string]any {
	kind, _ := object["kind"].(string)
	d := differ{kind: kind}
	var strip func(path []string, value any) any
	strip = func(path []string, value any) any {
		fields, ok := value.(map[string]any)
		if !ok {
			return value
		}
		kept := map[string]any{}
		for key, inner := range fields {
			if at := child(path, key); !d.bookkeeping(at, inner) {
				kept[key] = strip(at, inner)
			}
		}
		return kept
	}
	return strip(nil, object).(map[string]any)
}

func sortedKeys[A, B any](a map[string]A, b map[string]B) []string {
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if _, has := a[k]; !has {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// Contents are what a history has made of the files in a folder, by "commit:path".
func (r Repository) Contents(history []Commit, folder string) (map[string]string, error) {
	var names []string
	for _, c := range history {
		for _, f := range c.Files {
			if f.Status != "D" && strings.HasPrefix(f.Path, folder+"/") {
				names = append(names, c.Hash+":"+f.Path)
			}
		}
	}
	return r.blobs(names, names)
}
