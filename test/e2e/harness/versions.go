package harness

import (
	"fmt"
	"slices"
	"strconv"
)

// Versions says what is wrong with a history, of what was written: a version
// that has no commit of its own. Everything that [Doubles] says, it says too.
func Versions(history []Commit, writes []Written) []string {
	have := map[string]bool{}
	for _, c := range history {
		if c.Version != "" {
			have[c.Resource+" at "+c.Version] = true
		}
	}
	var wrong []string
	for _, w := range writes {
		if key := w.Resource + " at " + w.Version; !w.Deleted && !have[key] {
			wrong = append(wrong, key+": has no commit")
		}
	}
	return append(wrong, Doubles(history)...)
}

// Doubles says what is wrong with a history in itself: a version that a
// destination has twice, versions of one object that are not in the cluster's
// order, positions that do not grow, a commit of kubescribe's that changes
// nothing. A run may bring back a version whose file somebody else has changed.
func Doubles(history []Commit) []string {
	var wrong []string
	seen := map[string]string{}
	newest := map[string]uint64{}
	positions := map[string]uint64{}
	foreign := map[string]bool{} // files that somebody else was the last to change
	for _, c := range history {
		restored := c.Origin == "reconcile" && slices.ContainsFunc(c.Files, func(f FileChange) bool { return foreign[f.Path] })
		for _, f := range c.Files {
			foreign[f.Path] = !c.Ours
		}
		if !c.Ours {
			continue
		}
		if c.Position <= positions[c.Ledger] {
			wrong = append(wrong, fmt.Sprintf("%.8s %s: its position %d is not above %d", c.Hash, c.Subject, c.Position, positions[c.Ledger]))
		}
		positions[c.Ledger] = c.Position
		if len(c.Files) == 0 {
			wrong = append(wrong, fmt.Sprintf("%.8s %s: changes nothing", c.Hash, c.Subject))
		}
		if c.Version == "" {
			continue
		}
		object := c.Placement + ": " + c.Resource
		key := object + " at " + c.Version
		if first, twice := seen[key]; twice && !restored {
			wrong = append(wrong, fmt.Sprintf("%s: committed by %.8s and %.8s", key, first, c.Hash))
		}
		seen[key] = c.Hash
		version, err := strconv.ParseUint(c.Version, 10, 64)
		if err != nil {
			wrong = append(wrong, fmt.Sprintf("%.8s %s: has the version %q", c.Hash, c.Subject, c.Version))
			continue
		}
		if version < newest[object] {
			wrong = append(wrong, fmt.Sprintf("%s: committed after version %d", key, newest[object]))
		}
		newest[object] = max(version, newest[object])
	}
	return wrong
}
